"""What learns, in words."""

import pytest

from raynas.reporting.trained_words import trained_words


@pytest.mark.parametrize(
    ("trainable", "classifier", "numbers", "words"),
    [
        ("all_bn", True, 1_993_032, "all batch norms + classifier, 1,993,032 numbers"),
        ("all_bn", False, 264_032, "all batch norms, 264,032 numbers"),
        ("last_bn", False, None, "last batch norms"),
        ("all_bn", None, None, "all batch norms"),
        ("all", True, 7, "all weights, 7 numbers"),
        ("all", False, 7, "all weights, classifier frozen, 7 numbers"),
        ("weights", True, None, "all weights without batch norms"),
    ],
)
def test_words_say_the_set_the_classifier_and_the_numbers_as_far_as_they_are_known(
    trainable: str, classifier: bool | None, numbers: int | None, words: str
) -> None:
    assert trained_words(trainable, classifier, numbers) == words
