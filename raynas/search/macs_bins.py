"""Single paths whose MACs are spread over bins, as SPOS's published supernet was trained.

Source: the published code of SPOS (arXiv 1904.00420; its article knows uniform paths alone): a bin
is drawn uniformly, then random paths until one lands in it, 500 at most; else any random path.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from raynas.costs.costs import CostTable, show_quantity
from raynas.errors import UserError
from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture

_ATTEMPTS = 500  # random paths of which the first that lies in the bin is taken

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MacsBins:
    """Bins of MACs; both ends belong to a bin, as published.

    Attributes:
        first: Where the first one begins.
        last: Where the last one ends.
        width: Of each.
    """

    first: int
    last: int
    width: int

    @property
    def starts(self) -> range:
        """Where each bin begins."""
        return range(self.first, self.last, self.width)

    def refuse_beyond(self, costs: CostTable) -> None:
        """Refuse bins in which no architecture can lie.

        Raises:
            UserError: The space's MACs are all below the bins, or all above them.
        """
        low, high = costs.smallest.macs, costs.largest.macs
        if high < self.first or low > self.last:
            raise UserError(
                f"--pretrain.bins-from {show_quantity(self.first)} --pretrain.bins-to "
                f"{show_quantity(self.last)}: no architecture lies there, since on these images "
                f"those of the space have {show_quantity(low)} to {show_quantity(high)} MACs; "
                "move the bins"
            )


@dataclass(frozen=True)
class BinnedPaths:
    """Draws the one path of each step: a pure function of seed and step.

    Attributes:
        bins: Where MACs are to lie.
        costs: What candidates cost on the run's images, stem and head among them.
    """

    bins: MacsBins
    costs: CostTable
    _sizes: Counts = field(init=False, repr=False)
    _macs: Counts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = self.costs.macs
        width = max(map(len, rows))
        padded = [(*row, *[0] * (width - len(row))) for row in rows]
        object.__setattr__(self, "_sizes", np.array([len(row) for row in rows]))
        object.__setattr__(self, "_macs", np.array(padded, dtype=np.int64))

    def __call__(self, seed: int, step: int) -> list[Architecture]:
        """Return the path of a step, as a list of one."""
        rng = random_numbers(seed, Stream.BINNED_PATHS, step)
        starts = self.bins.starts
        start = starts[int(rng.integers(len(starts)))]
        # the last one is the path that is taken where all attempts miss
        drawn = rng.integers(self._sizes, size=(_ATTEMPTS + 1, len(self._sizes)))
        macs = self.macs(drawn[:-1])
        hits = (macs >= start) & (macs <= start + self.bins.width)
        chosen = int(hits.argmax()) if hits.any() else _ATTEMPTS
        return [Architecture(map(int, drawn[chosen]))]

    def macs(self, paths: Counts | Sequence[Architecture]) -> Counts:
        """Return the MACs of many paths, stem and head among them.

        Args:
            paths: N x L choices.
        """
        choices = np.asarray(paths)
        found: Counts = self._macs[np.arange(len(self._macs)), choices].sum(axis=1)
        return found + self.costs.fixed.macs
