"""What is done to the pixels of a training batch, by random numbers of its own.

Sources: lighting by principal components (Krizhevsky et al. 2012, section 4.1); the policies
TrivialAugment (arXiv 2103.10158), RandAugment (arXiv 1909.13719) and AutoAugment (arXiv
1805.09501), as torchvision has them, with its reference training's bilinear interpolation.
"""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from raynas.data.crops import Crops, Policy
from raynas.data.torch_draws import DrawnFrom
from raynas.seeds import Stream

# eigenvalues of the covariance of ImageNet's pixels in [0, 1], and as columns its eigenvectors:
# of red, green and blue (Krizhevsky et al. 2012; the numbers are those of fb.resnet.torch)
_EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
_EIGENVECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)
_POLICIES: Mapping[Policy, Callable[..., torch.nn.Module]] = {
    "trivial": v2.TrivialAugmentWide,
    "rand": v2.RandAugment,
    "auto": v2.AutoAugment,
}


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
    if crops.lighting:
        pixels = _lit(pixels, crops.lighting * rng.standard_normal((count, 3)))
    if crops.policy != "none":
        seed = int(rng.integers(2**63))
        numbered = enumerate(pixels)
        pixels = torch.stack([_by_policy(crops.policy, *each, seed) for each in numbered])
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


def _lit(pixels: torch.Tensor, factors: npt.NDArray[np.float64]) -> torch.Tensor:
    """Return each image with [p1 p2 p3] [a1 l1, a2 l2, a3 l3] added to its colours.

    Args:
        pixels: N x 3 x H x W.
        factors: N x 3, a of each principal component p, whose eigenvalue is l.
    """
    added = torch.from_numpy(255 * (factors * _EIGENVALUES) @ _EIGENVECTORS.T).round().short()
    return (pixels.short() + added[:, :, None, None]).clamp_(0, 255).byte()


def _by_policy(policy: Policy, place: int, image: torch.Tensor, seed: int) -> torch.Tensor:
    """Return an image changed by operations that its place draws."""
    with DrawnFrom(seed, Stream.OPERATIONS, place):
        changed: torch.Tensor = _transform(policy)(image)
    return changed


@cache
def _transform(policy: Policy) -> torch.nn.Module:
    return _POLICIES[policy](interpolation=v2.InterpolationMode.BILINEAR)
