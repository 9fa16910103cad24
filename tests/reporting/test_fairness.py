"""How often candidates were updated, in words."""

import pandas as pd
import pytest

from raynas.reporting.fairness import Updates, count_updates, fairness_line


def test_layers_are_grouped_by_their_fewest_and_most_updates() -> None:
    ledger = pd.DataFrame({"layer": [0, 0, 1, 1, 2], "updates": [5, 5, 6, 7, 5]})

    assert count_updates(ledger) == [Updates([0, 2], 5, 5), Updates([1], 6, 7)]


@pytest.mark.parametrize(
    ("updates", "line"),
    [
        ([], "not counted yet"),
        ([Updates([0, 1], 1500, 1500)], "every candidate updated 1,500 times"),
        (
            [Updates([0, 1, 2, 5], 4, 4), Updates([3], 4, 6)],
            "candidates updated 4 times in layers 0-2, 5; 4 to 6 times in layer 3",
        ),
    ],
)
def test_they_are_told_in_words(updates: list[Updates], line: str) -> None:
    assert fairness_line(updates) == line
