"""What measurements draw random numbers for: places in the stream ``Stream.BENCH``."""

from enum import IntEnum, unique


@unique
class Use(IntEnum):
    """A use of random numbers; its number is its place."""

    TRAININGS = 2
    """Noise of trainings that are replayed."""
    POOL = 3
    """Networks that a design chooses among."""
    UNIFORM = 4
    """Proposals of random search."""
    EVOLUTION = 5
    """Samples and mutations of regularised evolution."""
    NETWORKS = 6
    """Networks that are scored without training."""
    HALVES = 7
    """Which half of the table a formula is chosen on."""
    INDICATORS = 8
    """Scores of candidates where they do not matter."""
    ROWS = 9
    """Rows of a table that is large."""
    IMAGES = 10
    """Images and labels of a step that is timed."""
    TRUTH = 11
    """Networks whose accuracies become a truth."""
    AGAIN = 12
    """Networks and seeds that are drawn again for an interval."""
    SALIENCY = 13
    """Numbers in place of what a supernet says."""
    FEATURES = 14
    """Networks whose features are compared with those of trained weights."""
