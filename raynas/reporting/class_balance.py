"""How evenly images spread over classes and parts, as lines for a person.

A recorded run tells it by the facts of its plan (``raynas.storage.plan_facts``).
"""

from collections.abc import Mapping, Sequence

from raynas.storage.plan_facts import PlanFacts

_FEW = 10  # training images of a class; fewer are hard to learn from
_UNEVEN = 1.5  # times as many images as the smallest class has
_VERY_UNEVEN = 5  # times: the loss of training hardly sees the smallest class
_NAMED = 3  # classes that a line names
_MOST_NAMED, _FIRST = 10, 8  # classes all of which are named, and of more only the first


def is_imbalanced(facts: PlanFacts) -> bool:
    """Return whether accuracy and balanced accuracy may well differ: classes differ in size."""
    totals = _totals(facts)
    return bool(totals) and max(totals) > _UNEVEN * min(totals)


def class_words(facts: PlanFacts) -> str:
    """Return the sizes of the smallest and the largest class, or of all if they are equal."""
    totals, names = _totals(facts), facts.classes
    if not totals:
        return ""
    low, high = min(totals), max(totals)
    if low == high:
        return f"{low:,} images each"
    small, large = names[totals.index(low)], names[totals.index(high)]
    words = f"{low:,} ({small}) to {high:,} images ({large})"
    if not is_imbalanced(facts):
        return words
    rare = ", and --retrain.class-weights balanced lets rare classes count more"
    return f"{words}, so look at balanced accuracy, too{rare * (high > _VERY_UNEVEN * low)}"


def name_words(facts: PlanFacts) -> str:
    """Return the names of the classes, the first of many: folders may be no classes at all."""
    names = [str(name) for name in facts.classes]
    if len(names) <= _MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_FIRST])} and {len(names) - _FIRST:,} more"


def class_warnings(facts: PlanFacts) -> list[str]:
    """Return a sentence for each thing that classes have too few images for."""
    counts = facts.class_counts
    if not counts:
        return []
    warnings = [
        f"no {word} images of {_named(facts, missing)}: accuracy there says nothing of that; bring "
        "at least 3 images of each class"
        for part, word in (("val", "validation"), ("test", "test"))
        if (missing := [at for at, count in enumerate(counts[part]) if not count])
    ]
    few = [at for at, count in enumerate(counts["train"]) if count < _FEW]
    if few:
        warnings.append(
            f"fewer than {_FEW} training images of {_named(facts, few)}: too few to learn a class "
            "from; bring more, or leave it out"
        )
    return warnings


def _totals(facts: PlanFacts) -> list[int]:
    """Return the images of each class in all parts; none where a run did not record them."""
    counts: Mapping[str, Sequence[int]] = facts.class_counts or {}
    return [sum(sizes) for sizes in zip(*counts.values(), strict=True)]


def _named(facts: PlanFacts, labels: Sequence[int]) -> str:
    names = [facts.classes[label] for label in labels]
    if len(names) == 1:
        return f"class {names[0]}"
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} classes ({listed})"
