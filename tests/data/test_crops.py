"""Random parts of originals: in bounds, as large as wanted, the same wherever they are cut."""

import io
import math
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from raynas.data import box_decoding
from raynas.data.batch_requests import made
from raynas.data.batches import Batches
from raynas.data.box_decoding import decode_box
from raynas.data.crops import Box, Crops, crops_of, evaluation_ratio, random_boxes
from raynas.data.dataset import Dataset, EncodedImages
from raynas.data.decoding import Square, decode
from raynas.data.loading import load_dataset
from raynas.data.lost_images import lost_words
from raynas.data.prefetch import Loader
from raynas.errors import StageError
from raynas.seeds import Stream
from raynas.settings.images import ImageSettings
from raynas.storage.run_store import RunStore
from tests.data.samples import write_tree

RANDOM = Crops("random_resized", mirror=True)


def file_of(image: Image.Image, kind: str = "jpeg", **saving: Any) -> Callable[[], Image.Image]:
    """Return what opens an image that was written."""
    stream = io.BytesIO()
    image.save(stream, kind, **saving)
    return lambda: Image.open(io.BytesIO(stream.getvalue()))


def noise(width: int = 120, height: int = 90) -> Image.Image:
    """Return an image of noise in colour."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def photographs(root: Path, **settings: Any) -> Dataset:
    """Return a data set of large noise, random parts of which are 128 pixels wide."""
    data = write_tree(root, {name: [noise(150, 140)] * 12 for name in "ab"}, "jpg")
    return load_dataset(data, ImageSettings(resolution=128, **settings), 0, 8)


class TestBoxes:
    @given(
        width=st.integers(1, 700),
        height=st.integers(1, 700),
        least=st.floats(0.01, 1),
        aspect=st.floats(1, 4),
        seed=st.integers(0, 99),
    )
    def test_they_lie_in_the_image(
        self, width: int, height: int, least: float, aspect: float, seed: int
    ) -> None:
        crops = Crops("random_resized", least_area=least, most_aspect=aspect)
        boxes = random_boxes(crops, 3, np.random.default_rng(seed))
        for number in range(3):
            box = boxes.of(number, width, height)
            assert box.width > 0 < box.height
            assert 0 <= box.left <= width - box.width
            assert 0 <= box.top <= height - box.height

    def test_areas_and_aspects_are_those_that_were_asked_for(self) -> None:
        crops = Crops("random_resized", least_area=0.3, most_aspect=1.5)
        boxes = random_boxes(crops, 400, np.random.default_rng(0))
        found = [boxes.of(number, 1000, 1000) for number in range(400)]
        areas = [box.width * box.height / 1e6 for box in found]
        aspects = [math.log(box.width / box.height) for box in found]

        assert 0.29 < min(areas) < 0.32
        assert 0.9 < max(areas) <= 1
        assert -0.41 < min(aspects) < -0.35
        assert 0.35 < max(aspects) < 0.41
        assert np.mean([box.left / (1001 - box.width) for box in found]) == pytest.approx(
            0.5, abs=0.05
        )

    def test_where_none_fits_it_is_the_middle_square(self) -> None:
        crops = Crops("random_resized", least_area=0.9, most_aspect=1.0)

        assert random_boxes(crops, 1, np.random.default_rng(0)).of(0, 100, 10) == Box(45, 0, 10, 10)


class TestDecoding:
    def test_a_box_at_its_own_size_has_the_pixels_of_the_file(self) -> None:
        image = noise()
        found = decode_box(file_of(image, "png"), Square(30, 3), lambda *_: Box(7, 5, 30, 30))

        assert np.array_equal(found.permute(1, 2, 0), np.asarray(image)[5:35, 7:37])

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_torchcodec_and_pillow_give_the_same_bits(
        self, monkeypatch: pytest.MonkeyPatch, channels: int, mode: str
    ) -> None:
        pytest.importorskip("torchcodec")
        cut = partial(
            decode_box, file_of(noise().convert(mode)), Square(32, channels), lambda *_: BOX
        )
        assert box_decoding._jpeg_decoder() is not None
        by_torchcodec = cut()
        monkeypatch.setattr(box_decoding, "_jpeg_decoder", lambda: None)

        assert torch.equal(by_torchcodec, cut())

    def test_a_turned_photograph_is_cut_as_it_is_shown(self) -> None:
        photo = Image.new("RGB", (60, 40))
        photo.paste((255, 255, 255), (0, 0, 30, 40))  # the left half
        turned = Image.Exif()
        turned[0x0112] = 6  # show it turned by 90 degrees clockwise: white on top
        sizes: list[tuple[int, int]] = []

        def top(width: int, height: int) -> Box:
            sizes.append((width, height))
            return Box(0, 0, 40, 20)

        found = decode_box(file_of(photo, exif=turned), Square(20, 3), top)

        assert sizes[-1] == (40, 60)
        assert found.min() > 200

    def test_a_large_photograph_is_shrunk_while_it_is_decoded(self) -> None:
        opened: list[Image.Image] = []

        def opener() -> Image.Image:
            opened.append(file_of(noise(1600, 1200))())
            return opened[-1]

        found = decode_box(opener, Square(64, 3), lambda w, h: Box(0, 0, w // 2, h // 2))

        assert opened[0].size == (200, 150)
        assert found.shape == (3, 64, 64)

    @pytest.mark.parametrize("cut", [-2, -400, 300])
    def test_a_truncated_file_is_broken_by_either_decoder(
        self, monkeypatch: pytest.MonkeyPatch, cut: int
    ) -> None:
        stream = io.BytesIO()
        noise().save(stream, "jpeg")
        content = stream.getvalue()[:cut]
        for decoder in (box_decoding._jpeg_decoder(), None):
            monkeypatch.setattr(box_decoding, "_jpeg_decoder", lambda found=decoder: found)
            with pytest.raises(Exception, match=r".|^$"):
                decode_box(lambda: Image.open(io.BytesIO(content)), Square(32, 3), lambda *_: BOX)


BOX = Box(10, 20, 60, 50)


class TestBatches:
    @pytest.mark.parametrize("workers", [0, 2, 5])
    def test_they_are_the_same_from_any_number_of_processes_and_resumed_anywhere(
        self, tmp_path: Path, workers: int
    ) -> None:
        alone = photographs(tmp_path / "alone", loader_workers=0)
        several = photographs(tmp_path / "several", loader_workers=workers)
        wanted = Batches(alone, 6, 3, Stream.RETRAINING)
        loader = Loader(Batches(several, 6, 3, Stream.RETRAINING))
        for step in (0, 1, 2, 5, 6, 3):
            pairs = zip(loader(step), wanted(step), strict=True)
            assert all(torch.equal(found, each) for found, each in pairs)
        loader.close()

    def test_each_image_is_cut_anew_in_every_step(self, tmp_path: Path) -> None:
        batches = Batches(photographs(tmp_path, loader_workers=0), 15, 3, Stream.RETRAINING)
        images = torch.cat([batches(step)[0] for step in (0, 1)])

        assert len({image.numpy().tobytes() for image in images}) == 30

    def test_a_broken_image_gives_its_place_and_its_box_to_the_next_of_its_class(
        self, tmp_path: Path
    ) -> None:
        dataset = photographs(tmp_path, loader_workers=0, max_corrupt=0.2)
        batches = Batches(dataset, 6, 3, Stream.RETRAINING)
        train, (lost, *_) = dataset.train, batches.choose(0, 0)
        assert isinstance(train, EncodedImages)
        alike = np.flatnonzero(train.labels == train.labels[lost])
        following = alike[(np.searchsorted(alike, lost) + 1) % len(alike)]
        wanted, _ = made(batches.request(0, 0).at(0, train.raws[int(following)].open))
        name = train.raws[int(lost)].name
        (tmp_path / name).unlink()

        assert torch.equal(batches(0)[0], wanted)
        assert list(train.lost) == [name]
        assert "No such file" in train.lost[name]

    def test_a_run_has_a_row_of_each_broken_image_however_many_processes_meet_it(
        self, tmp_path: Path
    ) -> None:
        store = RunStore.create(str(tmp_path / "run"))
        dataset = photographs(tmp_path / "data", loader_workers=0, max_corrupt=0.2).recording(store)
        (tmp_path / "data" / "a" / "003.jpg").write_bytes(b"no image")
        (tmp_path / "data" / "b" / "005.jpg").unlink()
        for each in (dataset, pickle.loads(pickle.dumps(dataset))):  # noqa: S301
            for part in (each.train, each.val, each.test):
                part.take(np.arange(len(part)))
        rows = {row["image"]: row["error"] for row in store.rows("lost_images")}

        assert rows["a/003.jpg"] == "no image of a kind that Pillow knows"
        assert "No such file" in rows["b/005.jpg"]
        assert len(rows) == 2
        assert lost_words(store) == (
            "2 images could not be read when they were needed, and others of their classes took "
            "their places (table lost_images)"
        )

    def test_what_all_processes_of_a_run_have_lost_counts(self, tmp_path: Path) -> None:
        store = RunStore.create(str(tmp_path / "run"))
        dataset = photographs(tmp_path / "data", loader_workers=0, max_corrupt=0.1).recording(store)
        for number in range(2):
            store.append("lost_images", [{"image": str(number), "error": "gone"}], str(number))
        train = dataset.train
        assert isinstance(train, EncodedImages)
        (tmp_path / "data" / train.raws[0].name).unlink()

        with pytest.raises(StageError, match=r"3 of 24 images cannot be read"):
            train.take(np.array([0]))

    def test_too_many_broken_images_end_the_training_with_an_example(self, tmp_path: Path) -> None:
        dataset = photographs(tmp_path, loader_workers=0, max_corrupt=0.1)
        for number in range(5):
            (tmp_path / "a" / f"{number:03d}.jpg").write_bytes(b"no image")
        whole = Batches(dataset, len(dataset.train), 3, Stream.RETRAINING)
        with pytest.raises(StageError, match=r"2 of \d+ images cannot be read, such as a/.*jpg"):
            whole(0)


class TestSettings:
    @pytest.mark.parametrize(
        ("wanted", "image", "meant"),
        [
            ({}, (1, 8, 8), Crops("centre")),
            ({}, (3, 15, 15), Crops("centre")),
            ({}, (1, 28, 28), Crops("shift")),
            ({}, (3, 16, 500), Crops("shift", mirror=True)),
            ({}, (3, 127, 500), Crops("shift", mirror=True)),
            ({}, (3, 128, 500), Crops("random_resized", mirror=True)),
            ({}, (3, 224, 223), Crops("shift", mirror=True)),
            ({}, (1, 224, 500), Crops("shift")),
            ({"in_memory": "yes"}, (3, 224, 500), Crops("shift", mirror=True)),
            ({"mirror": "no"}, (3, 224, 500), Crops("random_resized")),
            ({"crop": "centre"}, (3, 224, 500), Crops("centre")),
            ({"crop": "centre", "mirror": "yes"}, (1, 8, 8), Crops("centre", mirror=True)),
            (
                {"crop": "random_resized", "crop_area": 0.3, "crop_aspect": 2.0},
                (1, 8, 8),
                Crops("random_resized", least_area=0.3, most_aspect=2.0),
            ),
            ({"colour_jitter": 0.4}, (1, 8, 8), Crops("centre", jitter=0.4)),
        ],
    )
    def test_auto_goes_by_what_the_images_are(
        self, wanted: dict[str, Any], image: tuple[int, int, int], meant: Crops
    ) -> None:
        found = crops_of(ImageSettings(**wanted), *image)

        assert (found.kind, found.mirror, found.jitter) == (meant.kind, meant.mirror, meant.jitter)
        if "crop_area" in wanted:
            assert found == meant

    def test_evaluation_sees_less_of_what_is_cut_at_random_unless_a_person_says(self) -> None:
        assert evaluation_ratio(ImageSettings(), Crops("shift")) == 1
        assert evaluation_ratio(ImageSettings(), RANDOM) == 0.875
        assert evaluation_ratio(ImageSettings(evaluation_ratio=0.9), RANDOM) == 0.9

    def test_a_ratio_keeps_that_much_of_the_middle(self) -> None:
        image = Image.new("L", (80, 40))
        image.paste(255, (25, 5, 55, 35))  # 30 of 40 pixels in the middle
        seen = decode(image.copy, Square(30, 1, ratio=0.75))
        more = decode(image.copy, Square(30, 1, ratio=0.875))

        assert seen is not None
        assert seen.min() == 255
        assert more is not None
        assert more.min() == 0
