"""The tables of answers: written whole by a training, read by whoever compares networks."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from PIL import Image

from raynas.data.thumbnails import SIDE, thumbnail
from raynas.recording.answers import (
    MOST_MISTAKES,
    Answering,
    is_answered,
    write_answers,
    write_mistakes,
)
from raynas.reporting.answers import compare, recorded_answers
from raynas.storage.run_store import RunStore
from raynas.training.answers import Answers
from raynas.training.checkpoints import checkpoint_path
from tests.data.samples import build_images

WINNER = Answering("1-0", "1-0", False, "train")
RIVAL = Answering("rival-timm-lcnet", "timm/lcnet", True, "train")
ROWS = {
    "winner": {"architecture": "1-0", "trained_on": "train"},
    "rival": {"rival": "timm/lcnet", "trained_on": "train"},
    "final": {"architecture": "1-0", "trained_on": "all"},
}


def answers_of(right: list[bool], labels: list[int] | None = None) -> Answers:
    """Return answers of falling confidence to images of three classes."""
    label = np.array(labels or np.arange(len(right)) % 3, dtype=np.int32)
    answer = np.where(right, label, (label + 1) % 3).astype(np.int32)
    confidence = np.linspace(0.9, 0.5, len(right), dtype=np.float32)
    return Answers(label, answer, confidence, np.where(right, confidence, 0.1), None)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """Return a run folder with the answers of a winner and a rival."""
    store = RunStore.create(str(tmp_path / "run"))
    val = answers_of([True])
    write_answers(store, WINNER, {"val": val, "test": answers_of([True] * 30 + [False] * 10)})
    write_answers(store, RIVAL, {"val": val, "test": answers_of([True] * 20 + [False] * 20)})
    return store


def test_networks_are_compared_on_the_test_images_that_both_answered(store: RunStore) -> None:
    found = compare(store, ROWS["winner"], ROWS["rival"])
    assert found is not None

    assert (found.difference, found.images, found.only_first, found.only_second) == (
        0.25,
        40,
        10,
        0,
    )
    assert found.is_settled
    assert compare(store, ROWS["winner"], ROWS["final"]) is None  # of an older raynas, say
    write_answers(store, RIVAL, {"test": answers_of([True] * 40, [2] * 40)})
    assert compare(store, ROWS["winner"], ROWS["rival"]) is None  # other images


def test_a_training_that_is_done_again_replaces_its_answers_also_after_compaction(
    store: RunStore,
) -> None:
    store.compact()
    write_answers(store, WINNER, {"test": answers_of([False] * 5)})
    again = recorded_answers(store, ROWS["winner"])
    rival = recorded_answers(store, ROWS["rival"])
    assert again is not None
    assert rival is not None

    assert (len(again.label), len(rival.label)) == (5, 40)
    assert not again.right.any()
    assert again.scaled_confidence is again.scaled_reliability is None
    assert set(store.table("answers")["network"].to_pylist()) == {"1-0", "timm/lcnet"}


def test_fifty_thousand_answers_of_a_thousand_classes_take_one_and_a_half_megabytes_at_most(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    label, answer = rng.integers(0, 1000, (2, 50_000), dtype=np.int32)
    shares = rng.random((3, 50_000), dtype=np.float32)
    store = RunStore.create(str(tmp_path))
    write_answers(store, WINNER, {"test": Answers(label, answer, *shares)})
    (file,) = (tmp_path / "tables" / "answers").iterdir()

    assert pq.read_metadata(file).num_rows == 50_000
    assert file.stat().st_size < 1_500_000


def test_mistakes_are_the_most_confident_ones_as_the_network_sees_them(store: RunStore) -> None:
    images = build_images(40, 8, 3, 3, seed=0)
    test = answers_of([place % 2 == 0 for place in range(40)])
    write_mistakes(store, WINNER, test, images)
    rows = store.rows("mistakes")

    assert [row["image"] for row in rows] == list(range(1, 2 * MOST_MISTAKES, 2))
    for row in rows:
        with Image.open(io.BytesIO(row["picture"])) as picture:
            assert (np.asarray(picture).transpose(2, 0, 1) == images.pixels[row["image"]]).all()


def test_a_network_without_mistakes_has_an_empty_part(store: RunStore) -> None:
    write_mistakes(store, WINNER, answers_of([True] * 4), build_images(4, 8, 3, 3, seed=0))

    assert store.parts("mistakes") == ["1-0"]
    assert store.rows("mistakes") == []


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_large_image_becomes_a_small_jpeg(channels: int, mode: str) -> None:
    pixels = np.full((channels, 300, 300), 90, dtype=np.uint8)
    with Image.open(io.BytesIO(thumbnail(pixels))) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", mode, (SIDE, SIDE))
        assert np.abs(np.asarray(picture).astype(int) - 90).max() <= 2


def test_lost_answers_are_made_again_where_a_checkpoint_can_make_them(store: RunStore) -> None:
    assert is_answered(store, "1-1")  # of an older run, whose checkpoints are gone
    store.write_bytes(checkpoint_path("1-1"), safetensors.torch.save({"a": torch.ones(2)}))
    assert not is_answered(store, "1-1")
    write_mistakes(store, WINNER, answers_of([True]), build_images(1, 8, 3, 3, seed=0))
    store.write_bytes(checkpoint_path("1-0"), safetensors.torch.save({"a": torch.ones(2)}))
    assert is_answered(store, "1-0")
