"""The network of a differentiable search: every edge of its cells holds all operations, weighed.

Sources: DARTS (Liu et al. 2019, arXiv 1806.09055), whose batch norms have no scales while it
searches; PC-DARTS (Xu et al. 2020, arXiv 1907.05737) for partial channels and weighed edges.
The weights are arguments of ``forward``. Legend: E edges of a cell, O operations of an edge.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from raynas.differentiable.penalties import groups_of
from raynas.nets.cells import Preprocessing, States, cell_head, cell_stem, stride_of
from raynas.settings.differentiable import DifferentiableSettings
from raynas.spaces.cells import CellSpace
from raynas.spaces.node_choices import CellPlace

Made = dict[str, torch.Tensor]
"""What modules without weights made of a state, by their descriptions: all its edges share it, so
that it is computed and kept for the backward pass once."""


class Mixture(NamedTuple):
    """The weights of one kind of cell.

    Attributes:
        operations: E x O; what weighs exactly 0 is not computed and has no gradient.
        edges: E, or None where every edge counts in full.
    """

    operations: torch.Tensor
    edges: torch.Tensor | None = None


def searched_in(space: CellSpace, settings: DifferentiableSettings) -> CellSpace:
    """Return the space with the cells and channels of a search; its stem is as much narrower.

    A stem that is no dataclass with a field ``out_channels`` keeps its width.
    """
    width = space.stem.out_channels * settings.channels // space.channels
    try:
        stem = replace(space.stem, out_channels=width)  # type: ignore[type-var]  # or TypeError
    except TypeError:
        stem = space.stem
    return replace(space, stem=stem, cells=settings.cells, channels=settings.channels)


class SearchNetwork(nn.Module):
    """Maps images and the weights of both kinds of cell to logits."""

    def __init__(
        self,
        space: CellSpace,
        settings: DifferentiableSettings,
        in_channels: int,
        num_classes: int,
    ) -> None:
        """Build all operations of all edges of all cells.

        Args:
            space: The operations, stem and head; its cells and channels do not matter.
            settings: Those that do, and what goes around the operations.
            in_channels: Channels of the images.
            num_classes: Classes of the task.
        """
        super().__init__()
        narrow = searched_in(space, settings)
        self.stem = cell_stem(narrow, in_channels)
        self.kinds = [int(place.is_reduction) for place in narrow.layout]
        self.cells = nn.ModuleList(MixedCell(narrow, place, settings) for place in narrow.layout)
        width = narrow.out_channels
        normed = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.last = normed if settings.last_norm else nn.Identity()
        self.head = cell_head(narrow, num_classes)

    def forward(self, images: torch.Tensor, normal: Mixture, reduction: Mixture) -> torch.Tensor:
        """Return logits, N x num_classes, of images N x C x H x W."""
        columns = [list(_open_columns(each.operations)) for each in (normal, reduction)]
        mixtures = [_on(images.device, each) for each in (normal, reduction)]
        states: States = self.stem(images)
        for kind, cell in zip(self.kinds, self.cells, strict=True):
            states = cell(states, mixtures[kind], columns[kind])
        logits: torch.Tensor = self.head((states[0], self.last(states[1])))
        return logits


class MixedCell(nn.Module):
    """A cell of which every node adds up all earlier states, through weighed operations."""

    def __init__(
        self, space: CellSpace, place: CellPlace, settings: DifferentiableSettings
    ) -> None:
        super().__init__()
        self.wiring = space.edges
        self.nodes = space.nodes
        self.preprocessing = Preprocessing(place)
        self.edges = nn.ModuleList(
            MixedOperation(
                space,
                settings,
                place.channels,
                stride_of(source, is_reduction=place.is_reduction),
            )
            for source, _ in space.edges
        )
        _remove_scales_(self)

    def forward(self, states: States, mixture: Mixture, columns: Sequence[Sequence[int]]) -> States:
        """Return the output of the last cell and that of this one.

        Args:
            states: The outputs of the two cells before.
            mixture: The weights of cells of this kind.
            columns: Of every edge, the operations whose weights are not 0.
        """
        known = list(self.preprocessing(states))
        made: list[Made] = [{} for _ in range(2 + self.nodes)]
        for node in range(self.nodes):
            reached = [
                self._reached(row, known[source], mixture, columns[row], made[source])
                for row, (source, reader) in enumerate(self.wiring)
                if reader == node
            ]
            known.append(_sum(reached))
        return states[1], torch.cat(known[2:], dim=1)

    def _reached(
        self, row: int, x: torch.Tensor, mixture: Mixture, columns: Sequence[int], made: Made
    ) -> torch.Tensor:
        y: torch.Tensor = self.edges[row](x, mixture.operations[row], columns, made)
        return y if mixture.edges is None else y * mixture.edges[row]


class MixedOperation(nn.Module):
    """The weighed sum of all operations between two states, maybe of a part of the channels."""

    def __init__(
        self, space: CellSpace, settings: DifferentiableSettings, channels: int, stride: int
    ) -> None:
        super().__init__()
        self.stride = stride
        self.partial = settings.partial
        self.through = channels // settings.partial
        self.around = nn.MaxPool2d(2, 2, ceil_mode=True) if stride == 2 else nn.Identity()
        pooling = groups_of(space).pooling if settings.pooling_norm else ()
        self.operations = nn.ModuleList()
        for column, operation in enumerate(space.operations):
            built = operation.build(self.through, self.through, stride)
            normed = nn.Sequential(built, nn.BatchNorm2d(self.through))
            self.operations.append(normed if column in pooling else built)
        self.keys = [_key_of(operation) for operation in self.operations]

    def forward(
        self,
        x: torch.Tensor,
        weights: torch.Tensor,
        columns: Sequence[int],
        made: Made | None = None,
    ) -> torch.Tensor:
        """Return N x C x ceil(H / stride) x ceil(W / stride).

        Args:
            x: N x C x H x W.
            weights: O.
            columns: The operations whose weights are not 0.
            made: What other edges have made of x already, and where this one's share goes.
        """
        chosen, made = x[:, : self.through], {} if made is None else made
        if columns:
            mixed = _sum([weights[each] * self._applied(each, chosen, made) for each in columns])
        else:
            mixed = chosen[:, :, :: self.stride, :: self.stride] * 0.0
        if self.partial == 1:
            return mixed
        return shuffled(torch.cat([mixed, self.around(x[:, self.through :])], 1), self.partial)

    def _applied(self, column: int, x: torch.Tensor, made: Made) -> torch.Tensor:
        """Return what an operation makes of x; what it begins with may have been made before."""
        operation, key = self.operations[column], self.keys[column]
        if key is None:
            y: torch.Tensor = operation(x)
            return y
        first, *others = _parts(operation)
        if key not in made:
            made[key] = first(x)
        y = made[key]
        for part in others:
            y = part(y)
        return y


def _key_of(operation: nn.Module) -> str | None:
    """Return what describes an operation's beginning if all edges make the same of a state."""
    first = _parts(operation)[0]
    return repr(first) if isinstance(first, nn.ReLU | nn.AvgPool2d | nn.MaxPool2d) else None


def _parts(operation: nn.Module) -> list[nn.Module]:
    """Return an operation's modules in order, nested sequences as such."""
    return list(operation) if isinstance(operation, nn.Sequential) else [operation]


def _sum(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum of one tensor or more, from left to right."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def shuffled(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Return x, N x C x H x W, with the channels of its groups taken in turns.

    Source: ShuffleNet (Zhang et al. 2018, arXiv 1707.01083). So each state's first channels, the
    ones that the next operations see, come from all groups of the last ones.
    """
    turned: torch.Tensor = x.unflatten(1, (groups, -1)).transpose(1, 2)
    return turned.flatten(1, 2)


def _open_columns(weights: torch.Tensor) -> Iterator[list[int]]:
    """Yield of every edge the operations that weigh something."""
    for row in weights.detach().cpu().tolist():
        yield [column for column, weight in enumerate(row) if weight != 0]


def _on(device: torch.device, mixture: Mixture) -> Mixture:
    edges = None if mixture.edges is None else mixture.edges.to(device, non_blocking=True)
    return Mixture(mixture.operations.to(device, non_blocking=True), edges)


def _remove_scales_(module: nn.Module) -> None:
    """Leave batch norms nothing to learn: scales would make up for small weights."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.affine = False
            part.register_parameter("weight", None)
            part.register_parameter("bias", None)
