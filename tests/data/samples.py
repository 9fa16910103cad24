"""Small data, folders of images, and stand-ins for workers: what tests of floor 2 share."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from raynas.data.batches import part_share
from raynas.data.crops import CENTRE, Crops
from raynas.data.dataset import Dataset, Images
from raynas.data.loading import load_dataset
from raynas.nets.frozen import FrozenSupernet
from raynas.settings.images import ImageSettings
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.chain import SearchSpace
from raynas.spaces.parameter_layout import Segment, classifier_start, indices_on
from raynas.training.exact_sums import ExactAdder
from raynas.training.gradients import (
    Computed,
    Gradient,
    PathGradients,
    Piece,
    Vector,
    build_supernet,
)
from raynas.training.pretraining import Pretraining
from tests.builders import build_space

Colour = int | tuple[int, ...]
SHIFTED = Crops("shift")
MIRRORED = Crops("shift", mirror=True)


def build_images(count: int, side: int, channels: int, classes: int, seed: int) -> Images:
    """Return noise in which each class has a brighter row of its own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    pixels = rng.integers(0, 128, (count, channels, side, side), dtype=np.uint8)
    pixels[np.arange(count), :, labels * side // classes] += 127
    return Images(pixels, labels.astype(np.int64))


def build_dataset(
    count: int = 48,
    side: int = 8,
    channels: int = 3,
    classes: int = 3,
    seed: int = 0,
    crops: Crops = CENTRE,
) -> Dataset:
    """Return a small data set that can be learned; validation and test are half as large."""
    train, val, test = (
        build_images(size, side, channels, classes, seed + part)
        for part, size in enumerate((count, count // 2, count // 2))
    )
    share = train.pixels / np.float32(255)
    return Dataset(
        train,
        val,
        test,
        class_names=tuple(f"class {label}" for label in range(classes)),
        skipped=(),
        mean=share.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32),
        std=share.std(axis=(0, 2, 3), dtype=np.float64).astype(np.float32),
        crops=crops,
    )


def digits(train: int, held_out: int) -> Dataset:
    """Return the first of scikit-learn's digits, split by seed 0."""
    whole = load_dataset("digits", ImageSettings(), 0, 8)
    return replace(
        whole,
        train=whole.train.take(np.arange(train)),
        val=whole.val.take(np.arange(held_out)),
        test=whole.test.take(np.arange(held_out)),
    )


def picture(colour: Colour, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> Image.Image:
    """Return an image of one colour."""
    if mode == "I;16":  # Pillow draws no such images
        return Image.fromarray(np.full(size[::-1], colour, dtype=np.uint16))
    return Image.new(mode, size, colour)


def write_tree(
    root: Path, classes: Mapping[str, Sequence[Image.Image]], ending: str = "png", **saving: Any
) -> str:
    """Write a folder of class folders; return its path as ``--data`` takes it."""
    for name, pictures in classes.items():
        (root / name).mkdir(parents=True)
        for number, image in enumerate(pictures):
            image.save(root / name / f"{number:03d}.{ending}", **saving)
    return str(root)


def numbered_tree(root: Path, per_class: int = 10, classes: int = 3, first: int = 0) -> str:
    """Write a tree of grey images each of which has a brightness of its own."""
    return write_tree(
        root,
        {
            f"class{label}": [
                picture(first + label * per_class + number, "L") for number in range(per_class)
            ]
            for label in range(classes)
        },
    )


def brightness(images: Images) -> list[int]:
    """Return the first pixel of each image: which image of a ``numbered_tree`` it is."""
    return [int(pixel) for pixel in images.pixels[:, 0, 0, 0]]


def encoded(image: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG file."""
    stream = io.BytesIO()
    image.save(stream, "png")
    return stream.getvalue()


def parquet_table(
    labels: Sequence[Any], images: Sequence[Any] | None = None, names: Sequence[str] = ()
) -> pa.Table:
    """Return a table in the layout of Hugging Face; image i has the brightness i."""
    if images is None:
        pictures = [picture(number, "L") for number in range(len(labels))]
        images = [{"bytes": encoded(image), "path": None} for image in pictures]
    described = {"label": {"names": list(names), "_type": "ClassLabel"}} if names else {}
    metadata = {"huggingface": json.dumps({"info": {"features": described}})}
    return pa.table({"image": images, "label": labels}).replace_schema_metadata(metadata)


def write_parquet(root: Path, tables: Mapping[str, pa.Table]) -> str:
    """Write Parquet files; return their folder as ``--data`` takes it."""
    for name, table in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, root / name, row_group_size=max(len(table) // 3, 1))
    return str(root)


class InProcess:
    """Computes pieces here, as one worker after another would."""

    def __init__(
        self, space: SearchSpace, dataset: Dataset, settings: PretrainSettings, shards: int = 1
    ) -> None:
        self.paths = PathGradients(space, dataset, settings, 0, shards)

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return a gradient per piece, and the classifier's sum."""
        return self.paths(vector, step, pieces)


class Pretended:
    """Gradients that depend on everything a real one does, and cost nothing."""

    def __init__(
        self,
        segments: Sequence[Segment],
        loss: Callable[[int], float] = float,
        batch: int = 12,
        shards: int = 1,
    ) -> None:
        self._segments = segments
        self._loss = loss
        self._shares = [part_share(batch, shard, shards) for shard in range(shards)]

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return a gradient per piece, and the classifier's sum."""
        values = [self.values(vector, step, piece) for piece in pieces]
        losses = [self._loss(step) + piece.shard for piece in pieces]
        shares = [self._shares[piece.shard] for piece in pieces]
        return computed(self._segments, values, losses, shares)

    def values(self, vector: Vector, step: int, piece: Piece) -> Vector:
        """Return the gradient of one piece, the classifier's last."""
        indices = indices_on(self._segments, piece.path)
        phase = step + 0.1 * piece.shard + sum(piece.path)
        values: Vector = np.sin(vector[indices] + indices + phase).astype(np.float32)
        return values


def computed(
    segments: Sequence[Segment],
    gradients: Sequence[Vector],
    losses: Sequence[float],
    shares: Sequence[float],
) -> Computed:
    """Return what a worker answers to pieces whose gradients are these.

    Args:
        segments: Those of the vector.
        gradients: Of all parameters on each piece's path, the classifier's last.
        losses: Of each piece.
        shares: Of the batch, in each piece's shard.
    """
    size = segments[-1].stop - classifier_start(segments)
    adder, own = ExactAdder(size, torch.device("cpu")), []
    for values, loss, share in zip(gradients, losses, shares, strict=True):
        end = len(values) - size
        adder.add(torch.from_numpy(values[end:]), share)
        own.append(Gradient(values[:end], loss))
    return Computed(own, adder.take())


def small_pretraining(**settings: Any) -> PretrainSettings:
    """Return settings of a pretraining of a few small steps."""
    return replace(PretrainSettings(epochs=1, batch=12), **settings)


def begin_pretraining(
    settings: PretrainSettings | None = None,
    space: SearchSpace | None = None,
    dataset: Dataset | None = None,
    num_steps: int = 6,
    num_shards: int = 1,
) -> Pretraining:
    """Return a pretraining at step 0 of a space with identities."""
    space, settings = space or tiny_space(), settings or small_pretraining()
    frozen = build_supernet(space, settings, dataset, 0) if dataset else _start(space, settings)
    return Pretraining(space, frozen.segments, frozen.vector, settings, 0, num_steps, num_shards)


@cache
def _start(space: SearchSpace, settings: PretrainSettings) -> FrozenSupernet:
    """Return a supernet whose starting point many pretrainings copy."""
    return build_supernet(space, settings, build_dataset(), 0)


def tiny_space() -> SearchSpace:
    """Return a space of a reduction layer and two normal layers that may be skipped."""
    return build_space("RNN", identity=True)
