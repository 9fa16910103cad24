"""What is said of classes: their sizes, when they count as imbalanced, and who has too few."""

from dataclasses import replace
from typing import Any

import pytest

from raynas.reporting.class_balance import class_warnings, class_words, is_imbalanced
from raynas.storage.plan_facts import PlanFacts


def facts(train: list[int], val: list[int] | None = None, **more: Any) -> PlanFacts:
    """Return what a run records of classes a, b, c, ...; the test part is like validation."""
    val = [5] * len(train) if val is None else val
    counts = {"train": train, "val": val, "test": val}
    names = [chr(ord("a") + at) for at in range(len(train))]
    return replace(PlanFacts(classes=names, class_counts=counts), **more)


class TestSizes:
    def test_equal_classes_are_told_by_one_number(self) -> None:
        assert class_words(facts([1000, 1000])) == "1,010 images each"
        assert not is_imbalanced(facts([1000, 1000]))

    def test_smallest_and_largest_are_told_by_name(self) -> None:
        assert class_words(facts([110, 95, 100])) == "105 (b) to 120 images (a)"

    def test_half_as_many_again_is_imbalanced(self) -> None:
        assert not is_imbalanced(facts([20, 35, 30]))
        assert is_imbalanced(facts([20, 36, 30]))
        assert class_words(facts([20, 36])).endswith("so look at balanced accuracy, too")

    def test_very_uneven_classes_are_told_how_rare_ones_count_more(self) -> None:
        assert "class-weights" not in class_words(facts([20, 140]))
        assert class_words(facts([20, 160])).endswith(
            "balanced accuracy, too, and --retrain.class-weights balanced lets rare classes count "
            "more"
        )

    def test_a_class_without_any_images_is_imbalanced(self) -> None:
        assert is_imbalanced(facts([20, 0], [0, 0]))

    def test_a_run_that_recorded_no_counts_says_nothing(self) -> None:
        older = PlanFacts(classes=["a", "b"])

        assert class_words(older) == ""
        assert not is_imbalanced(older)
        assert class_warnings(older) == []


class TestWarnings:
    def test_ten_training_images_and_some_to_look_at_are_enough(self) -> None:
        assert class_warnings(facts([10, 5000], [1, 900])) == []

    @pytest.mark.parametrize(
        ("train", "named"),
        [
            ([9, 50, 50], "class a"),
            ([9, 50, 9], "2 classes (a, c)"),
            ([9] * 5, "5 classes (a, b, c, ...)"),
        ],
    )
    def test_classes_with_few_training_images_are_named(self, train: list[int], named: str) -> None:
        (warning,) = class_warnings(facts(train))

        assert warning.startswith(f"fewer than 10 training images of {named}: ")

    def test_classes_that_are_not_looked_at_are_named_by_part(self) -> None:
        first, second = class_warnings(facts([50, 50], [0, 5]))

        assert first.startswith("no validation images of class a: ")
        assert second.startswith("no test images of class a: ")
