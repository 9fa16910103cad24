"""Whether decoded images are kept: a quarter of the memory, or what the settings say."""

from pathlib import Path
from typing import Literal

import pytest

from raynas.errors import UserError
from raynas.stages import ImageSettings
from raynas.training import memory
from raynas.training.memory import is_held_in_memory, memory_bytes

GIB = 2**30


@pytest.fixture(autouse=True)
def _eight_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_bytes", lambda: 8 * GIB)


@pytest.mark.parametrize(
    ("setting", "need", "held"),
    [
        ("auto", 2 * GIB, True),
        ("auto", 2 * GIB + 1, False),
        ("yes", 4 * GIB, True),
        ("no", 1, False),
    ],
)
def test_images_are_kept_up_to_a_quarter_of_the_memory_or_as_the_settings_say(
    setting: Literal["auto", "yes", "no"], need: int, held: bool
) -> None:
    assert is_held_in_memory("x", need, ImageSettings(in_memory=setting)) is held


def test_images_that_cannot_be_kept_are_refused_if_they_must_be() -> None:
    with pytest.raises(UserError, match=r"data x: .* 10.0 GiB .* has 8.0; .* --images.in-memory"):
        is_held_in_memory("x", 5 * GIB, ImageSettings(in_memory="yes"))


@pytest.mark.parametrize(("limit", "is_less"), [("1000000\n", True), ("max\n", False)])
def test_a_container_has_the_memory_that_it_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, is_less: bool
) -> None:
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "memory.max")

    assert (memory_bytes() == 1_000_000) is is_less
    assert memory_bytes() > 0
