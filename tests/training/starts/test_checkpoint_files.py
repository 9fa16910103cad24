"""Files of weights: what they may hold, and what is refused of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from raynas.errors import UserError
from raynas.training.starts.checkpoint_files import read_tensors

NETWORK = nn.Sequential(
    nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
)
WEIGHTS = {n: t for n, t in NETWORK.state_dict().items() if not n.endswith("num_batches_tracked")}


class Harmful:
    """Touches a file when a pickle of it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        """Return what is executed."""
        return os.system, (f"touch {self._path}",)


def saved(path: Path, content: object, **options: bool) -> bytes:
    """Return a checkpoint of torch as bytes."""
    torch.save(content, path, **options)
    return path.read_bytes()


def refusal(content: bytes, name: str = "weights.pt") -> str:
    """Return the one sentence with which a file is refused."""
    with pytest.raises(UserError, match=rf"^--start {name}: ") as caught:
        read_tensors(name, name, content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
def test_weights_are_found_in_their_order_wherever_trainings_keep_them(
    key: str | None, tmp_path: Path
) -> None:
    state = NETWORK.state_dict()
    content = saved(tmp_path / "a.pt", {key: state, "epoch": 3} if key else state)
    found = read_tensors("a.pt", "a.pt", content)

    assert list(found) == list(WEIGHTS), "the counters of batches decide nothing"
    assert all(torch.equal(found[name], each) for name, each in WEIGHTS.items())


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_would_execute_code_is_refused_and_executes_none(
    is_zip: bool, tmp_path: Path
) -> None:
    harm = tmp_path / "harm"
    content = {"state_dict": NETWORK.state_dict(), "args": Harmful(harm)}
    file = saved(tmp_path / "a.pt", content, _use_new_zipfile_serialization=is_zip)

    assert "would execute code that it names, so it is not read" in refusal(file)
    assert not harm.exists()


def test_a_whole_network_is_refused_since_only_code_can_read_it(tmp_path: Path) -> None:
    assert "save network.state_dict() alone" in refusal(saved(tmp_path / "a.pt", NETWORK))


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(is_zip: bool, tmp_path: Path) -> None:
    state = NETWORK.state_dict()
    content = saved(tmp_path / "a.pt", state, _use_new_zipfile_serialization=is_zip)
    for end in range(0, len(content) - 1, max(len(content) // 40, 1)):
        said = refusal(content[:end])
        # of an old file half a name may be left, which is none that tensors need
        assert "cut off or holds no weights" in said or (
            not is_zip and "code that it names" in said
        )


@pytest.mark.parametrize("content", [b"", b"{", b"<html>404</html>", b"\x80", b"hello world"])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_what_is_no_file_of_weights_is_refused(content: bytes, name: str) -> None:
    assert "cut off or holds no weights" in refusal(content, name)


def test_safetensors_that_are_cut_off_are_refused() -> None:
    content = safetensors.torch.save(WEIGHTS)

    assert "cut off" in refusal(content[:-1], "weights.safetensors")


def test_tensors_that_are_none_of_a_network_for_images_are_refused(tmp_path: Path) -> None:
    for content in ({"a": torch.ones(3)}, [1, 2], 3):
        assert "not those of a network that classifies" in refusal(
            saved(tmp_path / "a.pt", content)
        )
