"""What a differentiable search learns beside weights, and the mixtures that are drawn by it.

Sources: DARTS (arXiv 1806.09055), PC-DARTS (arXiv 1907.05737), PR-DARTS (arXiv 2006.16537).
"""

from collections.abc import Mapping

import torch

from raynas.differentiable.gates import draw_gates, edge_softmax
from raynas.differentiable.mixed_network import Mixture
from raynas.differentiable.penalties import groups_of, penalty, terms
from raynas.settings.differentiable import DifferentiableSettings
from raynas.spaces.cells import CellSpace

CELLS = ("normal", "reduction")
"""The kinds of cell, in the order in which a network takes their mixtures."""

_SCALE = 1e-3  # standard deviation of what is learnt, at the start


def first_parameters(
    space: CellSpace, settings: DifferentiableSettings, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Return alpha of both cells, E x O by their names, and betas of edges, E, by ``X_edges``.

    Args:
        space: Tells edges and operations.
        settings: Whether edges are weighed.
        generator: Where random numbers come from.
    """
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        CELLS, (len(space.edges), len(space.operations))
    )
    if settings.edge_weights:
        shapes |= {f"{cell}_edges": (len(space.edges),) for cell in CELLS}
    return {
        name: (_SCALE * torch.randn(shape, generator=generator)).requires_grad_()
        for name, shape in shapes.items()
    }


def draw(
    space: CellSpace,
    parameters: Mapping[str, torch.Tensor],
    settings: DifferentiableSettings,
    temperature: float,
    generator: torch.Generator,
) -> tuple[list[Mixture], torch.Tensor]:
    """Return the weights of both kinds of cell, and what their gates cost, a scalar.

    Args:
        space: Tells edges and operations.
        parameters: What was learnt, as ``first_parameters`` returns it.
        settings: The method.
        temperature: Of the gates; a softmax has none.
        generator: Where random numbers come from; a softmax needs none.
    """
    edges = [
        edge_softmax(parameters[f"{cell}_edges"], space.nodes) if settings.edge_weights else None
        for cell in CELLS
    ]
    alphas = {cell: parameters[cell] for cell in CELLS}
    if settings.gates == "softmax":
        weights = [alpha.softmax(dim=1) for alpha in alphas.values()]
        return list(map(Mixture, weights, edges)), torch.zeros(())
    drawn = {
        cell: draw_gates(alpha, temperature, settings, generator) for cell, alpha in alphas.items()
    }
    chosen = {cell: each.chosen for cell, each in drawn.items()}
    found = terms(alphas, chosen, groups_of(space), temperature, settings)
    gates = [each.gates for each in drawn.values()]
    return list(map(Mixture, gates, edges)), penalty(found, settings)
