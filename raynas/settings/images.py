"""How images become batches: the settings of ``[images]``.

The text under each field is its ``--help``.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from raynas.settings.ranges import Interval


@dataclass(frozen=True)
class ImageSettings:
    """How images become batches."""

    resolution: Annotated[int, Interval("[1, inf)")] | None = None
    """Height and width in pixels, --resolution N for short; unset: the images' own if they are
    squares of one size, else the space's."""
    share: Annotated[float, Interval("(0, 1]")] = 1.0
    """Share of the training and validation images that is used, for quick trials."""
    parts: str | None = None
    """Which folders of --data are parts, such as train=training_set,test=test_set, each once or
    more, or which Parquet files; none: names say no part; unset: folders that are called so and
    hold the same folders, and files that are called so."""
    val_fraction: Annotated[float, Interval("(0, 1)")] = 0.15
    """Share of the training images on which choices are made where the data name no validation
    part, or keep it for the test, having no other; then at most 50 images of a class."""
    test_fraction: Annotated[float, Interval("(0, 1)")] = 0.2
    """Share of all images held out for the test where the data name neither test nor validation
    part; a validation part alone is kept for the test."""
    bits: Annotated[int, Interval("[8, 16]")] | None = None
    """Bits of grey 16-bit images that hold numbers, 12 of many cameras and scanners, of which the
    upper eight are used and what is above is white; unset: all 16."""
    crop: Literal["auto", "centre", "shift", "random_resized"] = "auto"
    """How training images are cut: the middle square; that, shifted by up to an eighth; or a random
    part of the original, resized. auto: random_resized for photographs in colour from 128 pixels
    on that are no smaller than that, centre below 16 pixels, else shift."""
    mirror: Literal["auto", "yes", "no"] = "auto"
    """Mirror half of the training images; auto: those in colour, unless crop is centre."""
    colour_jitter: Annotated[float, Interval("[0, 1)")] = 0.0
    """Multiply brightness, contrast and saturation of training images by 1 plus or minus this."""
    lighting: Annotated[float, Interval("[0, inf)")] = 0.0
    """Standard deviation of AlexNet's noise along the principal components of colours, which looks
    like other light; 0.1 in AlexNet and BN-NAS; it leaves grey images alone."""
    crop_area: Annotated[float, Interval("(0, 1]")] = 0.08
    """Least share of an image's area in a random_resized crop."""
    crop_aspect: Annotated[float, Interval("[1, inf)")] = 1.3333
    """Most that a random_resized crop is wider than high, or the reverse."""
    evaluation_ratio: Annotated[float, Interval("(0, 1]")] | None = None
    """Side of the middle square that evaluation sees, as a share of the image's shorter side, and
    training unless crop is random_resized; unset: 0.875, which is 224 of 256, with that, else 1."""
    max_corrupt: Annotated[float, Interval("[0, 1)")] = 0.02
    """Share of images that may be unreadable; they are skipped, counted and named."""
    verify: bool = False
    """Decode all images at the start, to know which ones are broken; else those that are not kept
    in memory are found when they are met, and the next one of the class takes their place."""
    in_memory: Literal["auto", "yes", "no"] = "auto"
    """Decode once and keep every pixel, or decode again for each batch, to the same pixels;
    auto: keep them if they take no more than a quarter of this machine's memory."""
    loader_workers: Annotated[int, Interval("[0, inf)")] | None = None
    """Processes that decode the next batches of each worker and trial where images are not kept in
    memory; unset: a node's cores over its workers or trials; 0: a thread of the worker."""
    cache: str | None = None
    """Folder, on each node, for what was read of the images: their headers, and rows of Parquet
    files, unpacked; it may be removed at any time; unset: what RAYNAS_CACHE says in the
    environment, else ~/.cache/raynas."""
