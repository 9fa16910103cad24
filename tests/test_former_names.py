"""Spaces that people have written import names that have moved; they keep working."""

import importlib
import sys

import pytest

FORMER = {
    "raynas.space": (
        "raynas.spaces.chain",
        "ChoiceBlock Head Operation SearchSpace Stem IDENTITY chain_of",
    ),
    "raynas.cells": ("raynas.spaces.cells", "CellSpace"),
    "raynas.genotype": ("raynas.spaces.genotype", "Genotype Input Node show_nodes"),
    "raynas.nets.ends": (
        "raynas.nets.stems_heads",
        "AveragedHead ConvStem LinearStem MobileStem PooledHead",
    ),
}


@pytest.mark.parametrize("former", FORMER)
def test_a_former_name_gives_the_same_objects_and_warns_where_they_are_now(former: str) -> None:
    now, names = FORMER[former]
    sys.modules.pop(former, None)

    with pytest.warns(FutureWarning, match=f"{former} is {now} now: import from there"):
        module = importlib.import_module(former)

    for name in names.split():
        assert getattr(module, name) is getattr(importlib.import_module(now), name)


def test_the_former_home_of_architectures_and_of_loading_has_them_still() -> None:
    sys.modules.pop("raynas.space", None)
    with pytest.warns(FutureWarning):
        space = importlib.import_module("raynas.space")

    loaded = space.load_space("small_mobile", space.SPACES)

    assert loaded.parse("0-0-0-0-0-0") == space.Architecture([0] * 6)
    assert "small_mobile" in space.names_in(space.SPACES)
