"""Which facts of a run's images and space must agree where results are to fit together."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from raynas.spaces.digest import RECORDED

DRAWS = "random_numbers"
"""The version of what a seed draws, by its name in ``runs.plan``; the first runs have none."""

IMAGES = ("classes", "channels", "resolution", "train", "val", "test", "skipped")
"""What of ``runs.plan`` must agree where images are the same; the rest follows from them."""
_LATER = ("mean", "std", RECORDED)  # runs of an older raynas may lack them
_NOISE = 1e-6  # of sums in another order


def other_facts(
    recorded: Mapping[str, Any], facts: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield names, what was recorded and what is now, where the two do not agree."""
    for name in (*IMAGES, DRAWS, *_LATER):
        before, now = recorded.get(name), facts.get(name)
        if not (_agree(before, now) or (name in _LATER and None in (before, now))):
            yield name, before, now


def _agree(before: Any, now: Any) -> bool:
    both = (before, now)
    if all(isinstance(each, list) and each and isinstance(each[0], float) for each in both):
        pairs = zip(before, now, strict=False)
        close = all(math.isclose(a, b, rel_tol=0, abs_tol=_NOISE) for a, b in pairs)
        return close and len(before) == len(now)
    return bool(before == now)
