"""What an exported ``model.py`` holds beside its network: it is copied from here as it stands.

``portable.py`` puts the constants of a network in the place of those below. The rules by which
images are decoded are those of ``decoding.py``; ``modes.py`` is copied, too.
"""

import io
import math
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import nn

from raynas.data.pixel_formats import eight_bits, upright

CLASSES: tuple[str, ...] = ()
RESOLUTION, CHANNELS = 8, 1
BITS: int | None = None
RATIO = 1.0
MEAN: tuple[float, ...] = (0.5,)
STD: tuple[float, ...] = (0.25,)
TEMPERATURE = 1.0
Network = nn.Identity  # its place is taken by the network that was found


# from here on copied
def build() -> nn.Module:
    """Return the network as it is before any training."""
    return Network()


def load(folder: str | Path | None = None) -> nn.Module:
    """Return the trained network, ready to classify.

    Args:
        folder: Where weights.safetensors lies; None: beside this file.
    """
    network = build()
    network.load_state_dict(
        load_file(Path(folder or Path(__file__).parent) / "weights.safetensors")
    )
    return network.eval()


def preprocess(image: Image.Image) -> torch.Tensor:
    """Return an image as the network wants it: 1 x CHANNELS x RESOLUTION x RESOLUTION.

    It is turned upright, made grey or RGB, cut to its middle square (of RATIO of its shorter
    side), resized and normalised, as the images were on which the network was trained and tested.

    Args:
        image: As ``Image.open`` returns it: a large JPEG is best shrunk while it is decoded.
    """
    sides = RESOLUTION, RESOLUTION
    least = math.ceil(RESOLUTION / RATIO)
    image.draft(None, (least, least))
    image.load()
    image = eight_bits(upright(image), CHANNELS, BITS)
    if image.size != sides or RATIO < 1:
        image = ImageOps.fit(image, sides, Image.Resampling.BILINEAR, (1 - RATIO) / 2)
    pixels = torch.from_numpy(np.array(image)).view(1, RESOLUTION, RESOLUTION, CHANNELS)
    mean, std = (torch.tensor(each)[:, None, None] for each in (MEAN, STD))
    return pixels.permute(0, 3, 1, 2).float().div(255).sub(mean).div(std).contiguous()


@torch.no_grad()
def classify(network: nn.Module, image: Image.Image) -> list[tuple[str, float]]:
    """Return the classes with their probabilities, the most probable first.

    Logits are divided by TEMPERATURE, which makes probabilities what they say.
    """
    logits = network(preprocess(image))
    probabilities = logits.div(TEMPERATURE).softmax(dim=1)[0].tolist()
    return sorted(zip(CLASSES, probabilities, strict=True), key=lambda pair: -pair[1])


def main(paths: list[str]) -> None:
    """Print the class of each image and its probability."""
    network = load()
    for path in paths:
        with Image.open(path) as image:
            name, probability = classify(network, image)[0]
        print(f"{path}: {name} {probability:.3f}")  # noqa: T201


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):  # where a terminal does not know a letter
        sys.stdout.reconfigure(errors="backslashreplace")
    if hasattr(signal, "SIGPIPE"):  # where the reader leaves, as with | head
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main(sys.argv[1:])
