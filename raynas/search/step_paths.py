"""Which paths the steps of a pretraining train, as its settings say."""

from collections.abc import Callable, Sequence

from raynas.costs.costs import CostTable
from raynas.search.macs_bins import BinnedPaths, MacsBins
from raynas.search.sampling import fair_paths, uniform_paths
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.architecture import Architecture

Paths = Callable[[int, int], list[Architecture]]
"""Seed and step to the paths of that step."""


def step_paths(
    sizes: Sequence[int], settings: PretrainSettings, costs: CostTable | None = None
) -> Paths:
    """Return what draws the paths of each step.

    Args:
        sizes: Number of candidates per layer.
        settings: Of the pretraining.
        costs: What candidates cost on the run's images; macs_bins needs them.
    """
    match settings.sampling:
        case "macs_bins":
            assert costs is not None, "bins of MACs without costs"
            bins = macs_bins(settings)
            assert bins is not None
            return BinnedPaths(bins, costs)
        case "uniform":
            return lambda seed, step: uniform_paths(sizes, seed, step)
        case "fair" | "fair_identity":
            return lambda seed, step: fair_paths(sizes, seed, step, settings.extra)


def macs_bins(settings: PretrainSettings) -> MacsBins | None:
    """Return the bins of MACs from which paths are drawn; None: they are drawn otherwise."""
    first, last, width = settings.bins
    if settings.sampling != "macs_bins" or first is None or last is None or width is None:
        return None
    return MacsBins(first, last, width)
