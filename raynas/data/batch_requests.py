"""A batch as a request that any process can carry out, to the same bits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from raynas.data.augmentation import augment
from raynas.data.box_decoding import decode_box
from raynas.data.crops import Crops, random_boxes
from raynas.data.decoding import Pixels, Square, decode_all
from raynas.data.encoded_images import Opener
from raynas.seeds import Stream, random_numbers
from raynas.storage.retry import StorageError


@dataclass(frozen=True)
class Request:
    """Images that are to be decoded, and what is to be done to them.

    Attributes:
        openers: Open them.
        square: What each becomes.
        crops: What is done to training images; None: they are decoded as evaluation sees them.
        key: Seed, stream and place of the random numbers.
    """

    openers: Sequence[Opener]
    square: Square
    crops: Crops | None = None
    key: tuple[int, ...] = ()

    def at(self, place: int, opener: Opener) -> "Request":
        """Return the same with another image at one place."""
        openers = [*self.openers[:place], opener, *self.openers[place + 1 :]]
        return replace(self, openers=openers)


def decoded(
    request: Request, places: Sequence[int] | None = None
) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Return M x C x H x W bytes and which images were readable; the others are black.

    Args:
        request: The images.
        places: Which of them; None: all.
    """
    chosen = range(len(request.openers)) if places is None else places
    openers = [request.openers[place] for place in chosen]
    if request.crops is None or not request.crops.are_of_originals:
        return decode_all(openers, request.square)
    boxes = random_boxes(request.crops, len(request.openers), _numbers(request))
    pixels = torch.zeros((len(openers), *request.square.shape), dtype=torch.uint8)
    readable = np.zeros(len(openers), dtype=np.bool_)
    for index, (place, opener) in enumerate(zip(chosen, openers, strict=True)):
        try:
            pixels[index] = decode_box(opener, request.square, partial(boxes.of, place))
        except StorageError:
            raise
        except Exception:  # noqa: BLE001, S112 - whatever a broken file makes a decoder raise
            continue
        readable[index] = True
    return pixels.numpy(), readable


def made(request: Request) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
    """Return a whole batch as it is trained on, and which of its images were readable."""
    pixels, readable = decoded(request)
    batch = torch.from_numpy(pixels)
    if request.crops is not None:
        seed, stream, *place = request.key
        batch = augment(batch, request.crops, random_numbers(seed, Stream(stream), *place))
    return batch, readable


def _numbers(request: Request) -> np.random.Generator:
    seed, stream, *place = request.key
    return random_numbers(seed, Stream(stream), *place, 1)  # without it: those of augmentation
