"""The trained numbers of a supernet as one flat vector, and which part of it is whose.

Only these numbers travel between the driver and its workers. ``Segment`` describes one
parameter; the vector is all of them end to end, in the order of the supernet's modules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from raynas.spaces.architecture import Architecture

Role = Literal["gamma", "beta", "weight", "classifier"]


@dataclass(frozen=True)
class Segment:
    """One trained parameter: ``vector[start:stop]``.

    Attributes:
        start: First index.
        stop: One after the last index.
        role: Scale or shift of a batch norm, anything else that a layer trains, or a weight or
            bias of the classifier.
        layer: The searched layer; None in stem and head, which every path uses.
        candidate: The candidate of that layer; None for what every path through it uses.
        is_indicator: Whether the block or layer indicator is read from it.
        positions: Height times width of what a batch norm scales; 1 where it was not asked for.
    """

    start: int
    stop: int
    role: Role
    layer: int | None = None
    candidate: int | None = None
    is_indicator: bool = False
    positions: int = 1

    def is_on(self, path: Architecture) -> bool:
        """Return whether the path uses this parameter."""
        if self.layer is None or self.candidate is None:
            return True
        return path[self.layer] == self.candidate


def indices_on(segments: Sequence[Segment], path: Architecture) -> npt.NDArray[np.int64]:
    """Return the indices of the vector that a path's gradient fills, in order."""
    ranges = [np.arange(part.start, part.stop) for part in segments if part.is_on(path)]
    return np.concatenate([np.empty(0, dtype=np.int64), *ranges])


def classifier_start(segments: Sequence[Segment]) -> int:
    """Return the first index of the classifier, which comes last; the end where it is frozen."""
    return next((part.start for part in segments if part.role == "classifier"), segments[-1].stop)


def parts_on(
    segments: Sequence[Segment], path: Architecture, values: npt.NDArray[Any]
) -> Iterator[tuple[Segment, npt.NDArray[Any]]]:
    """Yield each segment that a path uses with its part of the path's gradient, in order.

    Args:
        segments: Those of the vector, or its units; without the classifier's if values are.
        path: A path.
        values: Its gradient: a number for each index of ``indices_on``.
    """
    start = 0
    for segment in segments:
        if segment.is_on(path):
            stop = start + segment.stop - segment.start
            yield segment, values[start:stop]
            start = stop


def units(segments: Sequence[Segment]) -> list[Segment]:
    """Return neighbours of one owner joined: what the optimiser treats as one tensor.

    The parts of a unit are always trained together, so one momentum serves them all.
    """
    joined: list[Segment] = []
    for part in segments:
        last = joined[-1] if joined else None
        if last is not None and _owner(last) == _owner(part):
            joined[-1] = Segment(last.start, part.stop, part.role, part.layer, part.candidate)
        else:
            joined.append(part)
    return joined


def _owner(part: Segment) -> tuple[int | None, int | None, bool]:
    return part.layer, part.candidate, part.role == "classifier"
