"""Names of the networks beside the winners that are no library's."""

RANDOM = "random"
"""A network that is drawn from the search space."""
START = "start"
"""The network that a run's trained weights belong to."""
SCALED = "scaled_start"
"""The same on smaller images."""
NARROW = "narrow_start"
"""The same with all widths inside cut by one factor."""
OF_START = (START, SCALED, NARROW)
"""Those that only a run has that begins from trained weights."""
AUTO = "auto"
"""Stands for those that settings and images ask for."""
NEW_WEIGHTS = "new weights"
"""What a network begins from that is trained from scratch."""


def is_of_library(name: str) -> bool:
    """Return whether a rival is a network of torchvision or timm."""
    return name not in {RANDOM, *OF_START}


def shown_rival(name: str, network: str) -> str:
    """Return which network a rival is, for people.

    Args:
        name: Of the rival.
        network: Its text, as tables have it.
    """
    return START if name == START else network.partition(" of ")[0]
