"""Settings of runs at several resolutions: what they share, and what fits only one."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import UserError
from raynas.settings.images import ImageSettings
from raynas.settings.resolutions import at_resolutions, read_resolutions
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings


@given(st.lists(st.integers(1, 10_000), min_size=2, unique=True))
def test_resolutions_are_read_in_their_order(sides: list[int]) -> None:
    assert read_resolutions(",".join(map(str, sides))) == tuple(sides)
    assert read_resolutions(" , ".join(map(str, sides))) == tuple(sides)


@pytest.mark.parametrize("text", ["", "96", "96,", "96,big", "96,1.5", "0,96", "96,-1"])
def test_fewer_than_two_sides_from_one_pixel_on_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--resolutions .*: wanted two or more sides"):
        read_resolutions(text)


def test_a_side_that_comes_twice_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"^--resolutions 96,64,96: got 96 twice"):
        read_resolutions("96,64,96")


def test_runs_differ_in_their_resolution_alone_and_keep_the_order_and_limits() -> None:
    common = Settings(max_macs=10_000, rivals="none", images=ImageSettings(resolution=7))
    found = at_resolutions(common, (96, 32))

    assert list(found) == [96, 32]
    for side, settings in found.items():
        images = replace(common.images, resolution=side)
        assert settings == replace(common, images=images)


@pytest.mark.parametrize(
    ("rivals", "start", "elsewhere"),
    [
        ("auto", None, "none"),
        ("auto", "weights.pt", "random"),
        ("start,scaled_start,narrow_start", "weights.pt", "none"),
        ("mobilenet_v2, random", None, "random"),
        ("none", "weights.pt", "none"),
    ],
)
def test_the_largest_resolution_trains_all_rivals_and_the_others_random_ones_at_most(
    rivals: str, start: str | None, elsewhere: str
) -> None:
    found = at_resolutions(Settings(rivals=rivals, start=start), (48, 64, 32))

    assert {side: each.rivals for side, each in found.items()} == {
        48: elsewhere,
        64: rivals,
        32: elsewhere,
    }


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"budget": "2h"}, "--budget 2h with --resolutions: "),
        ({"latency_table": "table.parquet"}, "--latency-table with --resolutions: "),
        (
            {"retrain": RetrainSettings(on="all", top_k=1)},
            "--retrain.on all with one network and --resolutions: ",
        ),
    ],
)
def test_what_fits_one_resolution_alone_is_refused(settings: dict[str, Any], flag: str) -> None:
    with pytest.raises(UserError) as refusal:
        at_resolutions(Settings(**settings), (32, 48))

    assert str(refusal.value).startswith(flag)


def test_a_last_training_on_all_images_of_one_of_several_networks_is_no_obstacle() -> None:
    found = at_resolutions(Settings(retrain=RetrainSettings(on="all", top_k=2)), (32, 48))

    assert len(found) == 2
