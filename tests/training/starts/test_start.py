"""What a run keeps of the weights that it begins from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from raynas.data.batches import normalise
from raynas.errors import UserError
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from raynas.training.starts.start import START, Start, read_start
from tests.data.samples import build_dataset
from tests.training.starts.conftest import COLOURS, SPACE, build_start


def test_what_a_run_keeps_is_what_it_began_with(tmp_path: Path) -> None:
    start, store = build_start(), RunStore.create(str(tmp_path / "run"))
    store.write_bytes(START, start.to_bytes())
    kept = read_start(store)

    assert {**vars(kept), "tensors": None} == {**vars(start), "tensors": None}
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(kept.network(SPACE)(images), start.network(SPACE)(images))


def test_a_start_that_is_lost_or_cut_off_is_told(tmp_path: Path) -> None:
    store = RunStore.create(str(tmp_path / "run"))
    content = build_start().to_bytes()
    for left in (None, content[:-1]):
        if left is not None:
            store.write_bytes(START, left)
        with pytest.raises(UserError, match="lost or damaged; the command that began the run"):
            read_start(store)


def test_images_are_normalised_as_those_that_the_weights_were_trained_on() -> None:
    colour, grey = build_dataset(), build_dataset(channels=1)
    start = build_start()
    pixels = torch.from_numpy(grey.train.take(np.arange(4)).pixels)
    of_grey = normalise(pixels, start.normalised(grey))

    assert start.normalised(colour).mean.tolist() == pytest.approx(COLOURS[0])
    assert start.normalised(colour).std.tolist() == pytest.approx(COLOURS[1])
    assert start.normalised(grey).mean.shape == (1,)
    assert torch.allclose(of_grey, (pixels / 255 - 0.4) / 0.25, atol=1e-6)


def test_weights_of_which_nothing_is_known_take_images_as_they_are() -> None:
    dataset = build_dataset(channels=1)
    unknown = replace(build_start(), normalisation=None)

    assert unknown.normalised(dataset) is dataset
    assert Start.from_bytes(unknown.to_bytes()).normalisation is None


def test_a_plan_says_what_it_is_how_large_and_for_how_many_classes() -> None:
    start = build_start()
    assert start.words == "tiny.pt (file), member 0-2, 605 parameters at 7 classes"
    assert start.architecture == Architecture((0, 2))
    assert start.num_params == sum(each.numel() for each in start.network(SPACE).parameters())
