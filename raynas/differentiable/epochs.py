"""What an epoch of a differentiable search did, and what its gates say: values that become rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from raynas.differentiable.gates import edge_softmax, open_probability
from raynas.differentiable.genotype_rules import best_edges, best_pairs, path_depth, skip_share
from raynas.differentiable.penalties import groups_of
from raynas.differentiable.sampling import CELLS
from raynas.settings.differentiable import DifferentiableSettings
from raynas.spaces.cells import CellSpace
from raynas.spaces.genotype import Genotype, Node

Table = tuple[tuple[float, ...], ...]
"""E x O: edges of a cell, operations of an edge."""


@dataclass(frozen=True)
class CellGates:
    """The gates of one kind of cell, and the cell that they make.

    Attributes:
        alpha: E x O, what was learnt.
        weights: E x O, what the genotype is chosen by: a softmax over the operations, times that
            over the edges where they are weighed.
        probabilities: E x O, that the gate is open at this epoch's temperature; None: no gates.
        skip_share: Share of skip connections among the inputs that are chosen, in [0, 1].
        path_depth: Mean number of operations with weights on a path through the chosen cell.
    """

    alpha: Table
    weights: Table
    probabilities: Table | None
    skip_share: float
    path_depth: float


@dataclass(frozen=True)
class SearchEpoch:
    """What an epoch did.

    Attributes:
        epoch: Its number, from 1.
        temperature: Of the gates; None where they are a softmax.
        learning_rate: Of the weights at its end.
        train_loss: Mean cross-entropy on the half that trains weights.
        val_loss: Likewise on the half that trains gates, before their step.
        val_accuracy: Share of that half's images classified correctly, in [0, 1], while training:
            with the gates that were drawn and the batch's own statistics.
        penalty: Mean of what the groups cost less what the path earned; 0 during warmup.
        genotype: Of the gates at its end.
        normal: The gates of normal cells at its end.
        reduction: Likewise of reduction cells.
        seconds: Wall time.
    """

    epoch: int
    temperature: float | None
    learning_rate: float
    train_loss: float
    val_loss: float
    val_accuracy: float
    penalty: float
    genotype: str
    normal: CellGates
    reduction: CellGates
    seconds: float


def cell_weights(
    space: CellSpace, parameters: Mapping[str, torch.Tensor], cell: str
) -> torch.Tensor:
    """Return what a genotype is chosen by, E x O.

    Args:
        space: Tells the edges.
        parameters: What was learnt: E x O by the name of the cell, and where edges are weighed E
            by that name and ``_edges``.
        cell: normal or reduction.
    """
    weights = parameters[cell].detach().softmax(dim=1)
    if (beta := parameters.get(f"{cell}_edges")) is not None:
        weights = weights * edge_softmax(beta.detach(), space.nodes)[:, None]
    return weights


def derived(
    space: CellSpace, parameters: Mapping[str, torch.Tensor], settings: DifferentiableSettings
) -> Genotype:
    """Return the genotype by the rule of the settings; arguments as for ``cell_weights``."""
    rule = best_pairs if settings.genotype == "pairs" else best_edges
    normal, reduction = (
        rule(space, cell_weights(space, parameters, cell).numpy()) for cell in CELLS
    )
    return Genotype(normal, reduction)


def cell_gates(
    space: CellSpace,
    parameters: Mapping[str, torch.Tensor],
    settings: DifferentiableSettings,
    temperature: float | None,
    cell: str,
) -> CellGates:
    """Return the gates of one kind of cell; other arguments as for ``cell_weights``.

    Args:
        space: Tells edges and operations.
        parameters: What was learnt.
        settings: The rule and the stretch.
        temperature: Of the gates; None where they are a softmax.
        cell: normal or reduction.
    """
    alpha = parameters[cell].detach()
    genotype = derived(space, parameters, settings)
    nodes: Sequence[Node] = genotype.normal if cell == "normal" else genotype.reduction
    groups, names = groups_of(space), [operation.name for operation in space.operations]
    return CellGates(
        _table(alpha),
        _table(cell_weights(space, parameters, cell)),
        None
        if temperature is None
        else _table(open_probability(alpha, temperature, settings.low, settings.high)),
        skip_share(nodes, {names[column] for column in groups.skip}),
        path_depth(nodes, {names[column] for column in groups.parametric}),
    )


def epoch_row(epoch: SearchEpoch) -> dict[str, Any]:
    """Return an epoch as a row of the table ``search_epochs``, all but the seed."""
    shown = asdict(epoch)
    cells = {cell: shown.pop(cell) for cell in CELLS}
    return shown | {
        f"{cell}_{name}": gates[name]
        for cell, gates in cells.items()
        for name in ("skip_share", "path_depth")
    }


def gate_rows(epoch: SearchEpoch, space: CellSpace) -> list[dict[str, Any]]:
    """Return a row for every gate of an epoch: its place, what was learnt, and what it says.

    Args:
        epoch: What the epoch did.
        space: Tells edges and operations.
    """
    return [
        {
            "epoch": epoch.epoch,
            "cell": cell,
            "source": source,
            "node": node,
            "operation": operation.name,
            "alpha": gates.alpha[row][column],
            "weight": gates.weights[row][column],
            "probability": gates.probabilities[row][column] if gates.probabilities else None,
        }
        for cell, gates in zip(CELLS, (epoch.normal, epoch.reduction), strict=True)
        for row, (source, node) in enumerate(space.edges)
        for column, operation in enumerate(space.operations)
    ]


def to_json(epochs: Sequence[SearchEpoch]) -> str:
    """Return epochs as text."""
    return json.dumps([asdict(epoch) for epoch in epochs])


def from_json(text: str) -> list[SearchEpoch]:
    """Return the epochs of ``to_json``."""
    return [
        SearchEpoch(**row | {cell: _cell(row[cell]) for cell in CELLS}) for row in json.loads(text)
    ]


def _cell(row: dict[str, Any]) -> CellGates:
    tables = {name: row[name] for name in ("alpha", "weights", "probabilities")}
    read = {
        name: None if table is None else tuple(map(tuple, table)) for name, table in tables.items()
    }
    return CellGates(**row | read)


def _table(values: torch.Tensor) -> Table:
    return tuple(map(tuple, values.tolist()))
