"""What is done to the pixels of a training batch, by random numbers of its own."""

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2 import functional

from raynas.data.crops import Crops


def augment(pixels: torch.Tensor, crops: Crops, rng: np.random.Generator) -> torch.Tensor:
    """Return each image shifted, mirrored and with other colours, as a setting has it.

    Args:
        pixels: N x C x H x W, uint8.
        crops: What to do; boxes have been cut out before.
        rng: Draws for each image.
    """
    # torchvision's transforms draw once for a whole batch, from the global generator
    count, height = len(pixels), pixels.shape[2]
    shifts = np.zeros((count, 2), int)
    if crops.kind == "shift":
        reach = max(height // 8, 1)
        shifts = (rng.integers(2 * reach + 1, size=(2, count)) - reach).T
    mirrored = rng.random(count) < 0.5 if crops.mirror else np.zeros(count, bool)
    if shifts.any():
        pixels = _moved(pixels, shifts, mirrored)
    elif mirrored.any():
        pixels = pixels.clone()
        pixels[mirrored] = pixels[mirrored].flip(-1)
    if crops.jitter:
        pixels = _jittered(pixels, 1 + crops.jitter * rng.uniform(-1, 1, (count, 3)))
    return pixels


def _moved(
    pixels: torch.Tensor, shifts: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]
) -> torch.Tensor:
    """Return each image mirrored or not, then moved by (y, x) pixels over black."""
    before = pixels.numpy()
    after = np.zeros_like(before)
    height, width = before.shape[2:]
    for image, moved, (y, x), mirror in zip(before, after, shifts.tolist(), mirrored, strict=True):
        target = moved[:, :, ::-1] if mirror else moved
        target[:, max(-y, 0) : height - y, max(-x, 0) : width - x] = image[
            :, max(y, 0) : height + y, max(x, 0) : width + x
        ]
    return torch.from_numpy(after)


def _jittered(pixels: torch.Tensor, factors: npt.NDArray[np.float64]) -> torch.Tensor:
    """Return each image with its brightness, contrast and saturation multiplied."""
    return torch.stack(
        [_recoloured(image, *three) for image, three in zip(pixels, factors.tolist(), strict=True)]
    )


def _recoloured(
    image: torch.Tensor, brightness: float, contrast: float, saturation: float
) -> torch.Tensor:
    image = functional.adjust_brightness(image, brightness)
    image = functional.adjust_contrast(image, contrast)
    return functional.adjust_saturation(image, saturation) if len(image) == 3 else image
