"""Which facts of a run's images and space must agree where results are to fit together."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from raynas.storage.plan_facts import PlanFacts

IMAGES = ("keeps_val", "classes", "channels", "resolution", "train", "val", "test", "skipped")
"""What must agree where images are the same; the rest follows from them."""
_LATER = ("mean", "std", "space_digest", "start")  # runs of an older raynas may lack them
_NOISE = 1e-6  # of sums in another order


def other_facts(recorded: PlanFacts, facts: PlanFacts) -> Iterator[tuple[str, Any, Any]]:
    """Yield names, what was recorded and what is now, where the two do not agree."""
    for name in (*IMAGES, "random_numbers", *_LATER):
        before, now = getattr(recorded, name), getattr(facts, name)
        if not (_agree(before, now) or (name in _LATER and None in (before, now))):
            yield name, before, now


def changed_roles(recorded: PlanFacts, facts: PlanFacts) -> str | None:
    """Return that the images called validation serve for something else now; None: they do not."""
    if recorded.keeps_val == facts.keeps_val:
        return None
    if facts.keeps_val:
        return "its val/ served for choices when it began, and is kept for the test now"
    return "its val/ was kept for the test when it began, and its data name another test now"


def _agree(before: Any, now: Any) -> bool:
    if not (_is_sequence(before) and _is_sequence(now)):
        return bool(before == now)
    if len(before) != len(now):
        return False
    pairs = zip(before, now, strict=True)
    return all(
        math.isclose(a, b, rel_tol=0, abs_tol=_NOISE) if isinstance(a, float) else a == b
        for a, b in pairs
    )


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
