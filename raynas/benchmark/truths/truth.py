"""What networks truly reach and cost, whatever file it was read from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import numpy.typing as npt

from raynas.errors import UserError
from raynas.spaces.architecture import Architecture

Array = npt.NDArray[np.float64]
Skips = tuple[int | None, ...]
"""For each layer, the candidate that skips it; None: it has none."""


@dataclass(frozen=True)
class Truth:
    """What networks truly reach, and what they cost.

    Attributes:
        name: Of the file, for tables and messages.
        architectures: Those that the file names.
        network: For each of them, the index of its network.
        accuracy: Per network, in percent: the mean of its trainings.
        repeats: Networks x trainings, in percent; NaN at the end where a network has fewer.
        skips: Of which depth does not count the choice; None: the file does not tell.
        macs: Per network; None: the file does not tell.
        params: Likewise.
        relu_inputs: Likewise; no file tells them, but a run may.
        notes: What a reader of the numbers must know of the file.
    """

    name: str
    architectures: tuple[Architecture, ...]
    network: npt.NDArray[np.int64]
    accuracy: Array
    repeats: Array
    skips: Skips | None = None
    macs: Array | None = None
    params: Array | None = None
    relu_inputs: Array | None = None
    notes: tuple[str, ...] = ()

    @property
    def depth(self) -> Array | None:
        """The number of layers that are not skipped, per network; None: not known, or all equal."""
        if self.skips is None or all(skip is None for skip in self.skips):
            return None
        skipping = np.array([-1 if skip is None else skip for skip in self.skips])
        return self.merged((np.array(self.architectures) != skipping).sum(axis=1))

    @property
    def trainings(self) -> npt.NDArray[np.int64]:
        """The number of trainings of each network."""
        counts: npt.NDArray[np.int64] = np.isfinite(self.repeats).sum(axis=1)
        return counts

    def merged(self, values: npt.ArrayLike) -> Array:
        """Return one value per network: the mean over its architectures."""
        total = np.bincount(self.network, weights=np.asarray(values, dtype=np.float64))
        mean: Array = total / np.bincount(self.network)
        return mean

    def only(self, keys: npt.NDArray[np.bool_]) -> "Truth":
        """Return what is said of some architectures: the networks that one of them describes."""
        kept, network = np.unique(self.network[keys], return_inverse=True)
        return replace(
            self,
            architectures=tuple(compress(self.architectures, keys)),
            network=network,
            accuracy=self.accuracy[kept],
            repeats=self.repeats[kept],
            macs=None if self.macs is None else self.macs[kept],
            params=None if self.params is None else self.params[kept],
            relu_inputs=None if self.relu_inputs is None else self.relu_inputs[kept],
        )


def in_percent(values: Sequence[float], where: str) -> Array:
    """Return the accuracies of a file in percent: as they are, or a hundred times shares of 1.

    Args:
        values: All of them, since one alone does not tell which it is.
        where: The file, for messages.

    Raises:
        UserError: One is no accuracy, or some are shares and some are percentages.
    """
    found = np.array(values, dtype=np.float64)
    wrong = found[~((found >= 0) & (found <= 100))]
    if wrong.size:
        raise UserError(
            f"truth file {where}: got the accuracy {wrong[0]:g}, wanted 0 to 100 percent, or "
            "shares from 0 to 1"
        )
    are_shares = found <= 1
    if are_shares.any() and not are_shares.all():
        raise UserError(
            f"truth file {where}: got accuracies from {found.min():g} to {found.max():g}, some at "
            "most 1 and some above; write all in percent, or all as shares of 1"
        )
    return found * 100 if are_shares.all() else found


def padded(trainings: Sequence[Sequence[float]]) -> Array:
    """Return the trainings of each network as a rectangle, NaN where one has fewer."""
    rectangle = np.full((len(trainings), max(map(len, trainings))), np.nan)
    for row, values in zip(rectangle, trainings, strict=True):
        row[: len(values)] = values
    return rectangle


def refuse_lengths(architectures: Sequence[Architecture], where: str) -> None:
    """Refuse architectures that differ in their number of choices, or that name none.

    Raises:
        UserError: Names one of them.
    """
    wanted = len(architectures[0])
    for each in architectures:
        if len(each) != wanted or min(each) < 0:
            raise UserError(
                f"truth file {where}: got the architecture {each}, wanted {wanted} choices from 0, "
                "as the first one has"
            )
