"""Ranges of settings: each number has one, and what lies outside is refused by its flag."""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import UserError
from raynas.settings.ranges import SEEDS, GpuShare, Interval, rules_of
from raynas.settings.settings import Settings


def number_fields(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for item in dataclasses.fields(settings):
        inner = getattr(settings, item.name)
        if dataclasses.is_dataclass(inner):
            yield from number_fields(inner, f"{prefix}{item.name}.")
        elif {int, float} & {item.type, *leaves(item.type)}:
            yield f"{prefix}{item.name}", item.type


def leaves(kind: Any) -> Iterator[Any]:
    for inner in get_args(kind):
        yield inner
        yield from leaves(inner)


NUMBERS = dict(number_fields(Settings()))


def test_every_setting_that_is_a_number_says_where_it_lies() -> None:
    assert len(NUMBERS) > 70
    assert [name for name, kind in NUMBERS.items() if not any(rules_of(kind))] == []


@given(st.floats(allow_nan=False))
def test_an_interval_has_its_closed_ends_and_not_its_open_ones(value: float) -> None:
    assert (value in Interval("[0, 1)")) == (0 <= value < 1)
    assert (value in Interval("(0, 1]")) == (0 < value <= 1)
    assert (value in Interval("(-inf, 0)")) == (-math.inf < value < 0)


def test_no_interval_has_nan() -> None:
    nan = math.nan
    assert nan not in Interval("(-inf, inf)")


def test_seeds_are_whole_numbers_of_64_bits_with_a_sign() -> None:
    assert 2**63 - 2**10 in SEEDS  # the largest double below 2^63
    assert 2**63 not in SEEDS


@pytest.mark.parametrize(
    ("interval", "value", "words"),
    [
        ("[1, inf)", 0, "--retrain.epochs: got 0, wanted at least 1"),
        ("(0, inf)", 0.0, "--retrain.epochs: got 0.0, wanted more than 0"),
        ("(-inf, 0)", 1, "--retrain.epochs: got 1, wanted less than 0"),
        ("(-inf, inf)", math.inf, "--retrain.epochs: got inf, wanted a finite number"),
        ("(0, 1]", 2, "--retrain.epochs: got 2, wanted a number in (0, 1]"),
    ],
)
def test_a_number_outside_is_refused_with_what_is_wanted(
    interval: str, value: float, words: str
) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(words)}$"):
        Interval(interval).refuse("retrain.epochs", value)


@pytest.mark.parametrize(
    ("share", "is_given"), [(0.5, True), (2, True), (1.5, False), (1e-5, False)]
)
def test_ray_gives_whole_gpus_or_a_share_of_one(share: float, is_given: bool) -> None:
    if is_given:
        GpuShare().refuse("retrain.gpus-per-trial", share)
    else:
        with pytest.raises(UserError, match=r"--retrain\.gpus-per-trial"):
            GpuShare().refuse("retrain.gpus-per-trial", share)
