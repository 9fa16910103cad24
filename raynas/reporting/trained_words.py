"""What of a supernet learns, in words: which set, with or without the classifier, how many numbers.

The number is the plan's (``PlanFacts.trained_numbers``), which counts them once.
"""

_SETS = {
    "last_bn": "last batch norms",
    "all_bn": "all batch norms",
    "all": "all weights",
    "weights": "all weights without batch norms",
}
_WITH_WEIGHTS = {"all", "weights"}


def trained_words(trainable: str, trains_classifier: bool | None, numbers: int | None) -> str:
    """Return what learns, such as ``all batch norms + classifier, 1,993,032 numbers``.

    Args:
        trainable: The setting ``pretrain.trainable``.
        trains_classifier: Whether the classifier learns, too; None: not recorded.
        numbers: How many numbers learn in all; None: not recorded.
    """
    words = _SETS[trainable]
    if trainable in _WITH_WEIGHTS:
        words += ", classifier frozen" if trains_classifier is False else ""
    elif trains_classifier:
        words += " + classifier"
    return words if numbers is None else f"{words}, {numbers:,} numbers"
