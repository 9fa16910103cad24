"""A data set in memory: decoded images of one size, split three ways, ready for batches.

Search and early stopping see train and validation only; the test part is read once, for
``outcomes.test_accuracy``. Splits that the data does not name are cut by the seed, class by class.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from raynas.errors import UserError
from raynas.settings import ImageSettings
from raynas.training.sources import RawImage, Source, open_source

_SPLIT, _SHARE = 5, 6  # streams of random numbers


@dataclass(frozen=True)
class Images:
    """Decoded images and their classes.

    Attributes:
        pixels: N x C x H x W, uint8.
        labels: N, int64, an index into the class names.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.int64]) -> "Images":
        """Return the images of those indices, copied."""
        return Images(self.pixels[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """The three parts of the data, and what a network must know about them.

    Attributes:
        train: Images that weights and batch norms are trained on.
        val: Images that choices are made on.
        test: Images that are looked at once, at the end.
        class_names: In the order of the labels.
        skipped: Names of images that could not be read.
        mean: Of the training pixels per channel, in [0, 1].
        std: Likewise the standard deviation.
    """

    train: Images
    val: Images
    test: Images
    class_names: tuple[str, ...]
    skipped: tuple[str, ...]
    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return int(self.train.pixels.shape[1])

    @property
    def resolution(self) -> int:
        """Height and width in pixels."""
        return int(self.train.pixels.shape[2])

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)


def load_dataset(data: str, settings: ImageSettings, seed: int, usual_resolution: int) -> Dataset:
    """Read, decode, resize and split the images.

    Args:
        data: A name, a folder or a URI, as ``--data`` takes it.
        settings: Resolution, split fractions and how many corrupt images are bearable.
        seed: Seed of the split.
        usual_resolution: Pixels to resize to where images differ in size and none was asked for.

    Raises:
        UserError: No such data, a single class, or too many images that cannot be read.
    """
    source = open_source(data)
    _refuse_unusable(data, source)
    raws = _share(source.images, settings.share, seed)
    inspected = [_inspect(raw) for raw in raws]
    grey = all(shape[0] == 1 for shape in inspected if shape)
    resolution = settings.resolution or _common_size(inspected) or usual_resolution
    _refuse_too_large(data, len(raws), resolution, 1 if grey else 3)
    decoded = [_decode(raw, resolution, grey) for raw in raws]
    skipped = tuple(raw.name for raw, pixels in zip(raws, decoded, strict=True) if pixels is None)
    if len(skipped) > settings.max_corrupt * len(decoded):
        raise UserError(
            f"data {data}: {len(skipped)} of {len(decoded)} images cannot be read, such as "
            f"{skipped[0]}; mend them or raise --images.max-corrupt"
        )
    kept = [(raw, pixels) for raw, pixels in zip(raws, decoded, strict=True) if pixels is not None]
    if not kept:
        raise UserError(
            f"data {data}: no image is left of {len(source.images)}; raise --images.share"
        )
    images = Images(
        np.stack([pixels for _, pixels in kept]),
        np.array([raw.label for raw, _ in kept], dtype=np.int64),
    )
    parts = _split([raw.split for raw, _ in kept], images.labels, settings, seed)
    return _dataset(data, images, parts, source.class_names, skipped)


def _dataset(
    data: str,
    images: Images,
    parts: dict[str, npt.NDArray[np.int64]],
    class_names: tuple[str, ...],
    skipped: tuple[str, ...],
) -> Dataset:
    for name, indices in parts.items():
        if not len(indices):
            raise UserError(
                f"data {data}: {len(images)} images leave none for the {name} part; "
                "bring more images, or raise its fraction"
            )
    train = images.take(parts["train"])
    scaled = [
        train.pixels[:, channel] / np.float32(255) for channel in range(train.pixels.shape[1])
    ]
    return Dataset(
        train,
        images.take(parts["val"]),
        images.take(parts["test"]),
        class_names,
        skipped,
        np.array([float(channel.mean()) for channel in scaled], dtype=np.float32),
        np.array([max(float(channel.std()), 1e-3) for channel in scaled], dtype=np.float32),
    )


def _refuse_unusable(data: str, source: Source) -> None:
    if not source.images:
        raise UserError(f"data {data}: found no images; wanted one folder per class, or Parquet")
    present = {raw.label for raw in source.images}
    if len(present) < 2:
        raise UserError(
            f"data {data}: found one class only ({source.class_names[present.pop()]}), wanted at "
            "least two; put the images of each class into a folder of its own"
        )


def _refuse_too_large(data: str, count: int, resolution: int, channels: int) -> None:
    """Decoded images live in memory, twice for a moment; say so before the machine swaps."""
    need = 2 * count * resolution**2 * channels
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > memory:
        raise UserError(
            f"data {data}: {count} images of {resolution} x {resolution} pixels need "
            f"{need / 2**30:.1f} GiB of memory, this machine has {memory / 2**30:.1f}; "
            "lower --images.resolution"
        )


def _share(images: Sequence[RawImage], share: float, seed: int) -> list[RawImage]:
    """Return all test images, and a random share of the others."""
    if share == 1:
        return list(images)
    kept = np.random.default_rng([seed, _SHARE]).random(len(images)) < share
    return [raw for raw, keep in zip(images, kept, strict=True) if keep or raw.split == "test"]


def _inspect(raw: RawImage) -> tuple[int, int, int] | None:
    """Return channels, height and width without decoding; None where that fails."""
    try:
        image = raw.open()
    except Exception:  # noqa: BLE001 - whatever a broken file makes a decoder raise
        return None
    grey = image.mode in {"L", "1", "I", "F", "LA"} or image.mode.startswith("I;16")
    return 1 if grey else 3, image.height, image.width


def _common_size(shapes: Sequence[tuple[int, int, int] | None]) -> int | None:
    """Return the side of the images if all are squares of one size."""
    sides = {side for shape in shapes if shape for side in shape[1:]}
    return sides.pop() if len(sides) == 1 else None


def _decode(raw: RawImage, resolution: int, grey: bool) -> npt.NDArray[np.uint8] | None:
    """Return C x H x W pixels: the middle square, resized; None where the file is broken."""
    try:
        image = ImageOps.exif_transpose(raw.open())
        image = _eight_bits(image).convert("L" if grey else "RGB")
    except Exception:  # noqa: BLE001 - whatever a broken file makes a decoder raise
        return None
    if image.size != (resolution, resolution):
        square = (resolution, resolution)
        image = ImageOps.fit(image, square, Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return 16-bit grey as 8-bit grey; Pillow's own conversion would cut it off at 255."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).astype(np.uint8))
    return image


def _split(
    named: Sequence[str | None],
    labels: npt.NDArray[np.int64],
    settings: ImageSettings,
    seed: int,
) -> dict[str, npt.NDArray[np.int64]]:
    """Return the indices of train, val and test; what is not named is cut off from train."""
    names = np.array([name or "train" for name in named])
    parts = {part: np.flatnonzero(names == part) for part in ("train", "val", "test")}
    rng = np.random.default_rng([seed, _SPLIT])
    if not len(parts["test"]):
        leave = 1 if len(parts["val"]) else 2  # of each class: one to train, one to validate
        parts["train"], parts["test"] = _cut(
            parts["train"], labels, settings.test_fraction, leave, rng
        )
    if not len(parts["val"]):
        parts["train"], parts["val"] = _cut(parts["train"], labels, settings.val_fraction, 1, rng)
    return parts


def _cut(
    indices: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    fraction: float,
    leave: int,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return what stays and what is cut off: a share of every class that leaves some of it."""
    kept, taken = [], []
    for label in np.unique(labels[indices]):
        members = rng.permutation(indices[labels[indices] == label])
        count = max(min(max(round(fraction * len(members)), 1), len(members) - leave), 0)
        taken.append(members[:count])
        kept.append(members[count:])
    empty = np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate([empty, *kept])), np.sort(np.concatenate([empty, *taken]))
