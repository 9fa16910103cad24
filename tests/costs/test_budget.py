"""Budgets: how a person writes them, and what of a forecast counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.budget import Budget, budget_text, parse_budget
from raynas.errors import UserError
from raynas.storage.usage import StageUsage, Usage


@pytest.mark.parametrize(
    ("text", "budget", "again"),
    [
        ("2h", Budget(7200), "2h"),
        ("120min", Budget(7200), "2h"),
        ("1h30m", Budget(5400), "90min"),
        ("1.5 h", Budget(5400), "90min"),
        ("30m", Budget(1800), "30min"),
        ("90S", Budget(90), "90s"),
        ("3d", Budget(259_200), "72h"),
        ("8gpuh", Budget(8, is_gpu_hours=True), "8gpuh"),
        ("0.5 GPUh", Budget(0.5, is_gpu_hours=True), "0.5gpuh"),
    ],
)
def test_a_budget_is_a_time_or_gpu_hours_and_is_recorded_in_one_way(
    text: str, budget: Budget, again: str
) -> None:
    assert parse_budget(text) == budget
    assert budget.text == again
    assert parse_budget(again) == budget
    assert budget_text(text) == again


@given(st.integers(1, 10**8))
def test_no_second_is_lost_when_a_budget_is_written(seconds: int) -> None:
    assert parse_budget(Budget(seconds).text) == Budget(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "h",
        "2 hours",
        "-2h",
        "0h",
        "0gpuh",
        "2h8gpuh",
        "1e3h",
        "nan",
        "12ms",
        "9999999999h",
    ],
)
def test_what_is_no_budget_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse_budget(text)
    assert budget_text(text) == text
    assert str(refusal.value) == (
        f"--budget {text}: wanted a time or GPU-hours, such as 90min, 2h or 8gpuh"
    )


def test_the_high_end_of_every_stage_counts_and_gpus_for_as_long_as_that() -> None:
    alone = StageUsage(seconds=100, low_seconds=50, high_seconds=150)
    on_two = StageUsage(seconds=3600, gpu_hours=2, low_seconds=1800, high_seconds=5400)
    usage = Usage({"learn": alone, "retrain": on_two})

    assert Budget(7200).taken(usage, 10) == 150 + 5400 + 10
    assert Budget(8, is_gpu_hours=True).taken(usage, 10) == 3
    assert Budget(100).allows(100)
    assert not Budget(100).allows(100.1)
    assert Budget(9000).show(5400) == "90.0 min"
    shown = {0.0234: "0.023", 2.541: "2.54", 8.04: "8.04", 123.4: "123", 12345.0: "12300"}
    for taken, words in shown.items():
        assert Budget(8, is_gpu_hours=True).show(taken) == f"{words} GPU-hours"
    for text in ("1000000gpuh", "0.00001gpuh", "8gpuh", "7.5gpuh"):
        assert parse_budget(text).text == text
        assert parse_budget(parse_budget(text).text) == parse_budget(text)
