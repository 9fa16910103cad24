"""``model.int8.onnx``: the network in whole numbers of 8 bits, if it is about as accurate.

Of several ways of rounding, that is taken which answers most validation images right; what it
loses, how large it is and how long it takes stands beside the float network's.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from raynas.costs.costs import show_bytes
from raynas.data.batches import in_order, normalise
from raynas.data.dataset import Dataset, Images, Part
from raynas.export.onnx import OnnxError
from raynas.export.quantisation import SCHEMES, Scheme, quantised
from raynas.nets.processors import device_name
from raynas.reporting.paired import Paired, compare_paired
from raynas.seeds import Stream, random_numbers
from raynas.training.onnx_network import OnnxNetwork

_FEWEST = 8  # validation images that say anything
_READ, _JUDGED, _TESTED = 200, 1000, 2000  # the most images for ranges, choice and test
_PIECE = 64  # images at a time
_ROUNDS, _SECONDS = 100, 1.0  # of timing, whichever ends first
Array = npt.NDArray[np.float32]
Row = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """Right answers of both networks on the same images.

    Attributes:
        accuracy: Of the network in whole numbers, in [0, 1].
        float_accuracy: Of the other one.
        paired: How the first compares with the second.
    """

    accuracy: float
    float_accuracy: float
    paired: Paired

    def to_row(self) -> Row:
        """Return it for config.json."""
        found = self.paired
        return {
            "accuracy": self.accuracy,
            "float_accuracy": self.float_accuracy,
            "difference": found.difference,
            "interval": [found.low, found.high],
            "p_value": found.p_value,
            "images": found.images,
        }


class Times(NamedTuple):
    """Medians of milliseconds for one image by one thread, both networks timed in turns."""

    int8: float
    float: float


@dataclass(frozen=True)
class Int8:
    """A network in whole numbers of 8 bits, beside the float one that it was made of.

    Attributes:
        content: Its ONNX file.
        scheme: How it was rounded.
        images: Training images on which the ranges of what its layers return were read.
        validation: On validation images.
        test: On test images.
        times: How long an image takes.
        float_bytes: The size of the float network's file.
    """

    content: bytes
    scheme: Scheme
    images: int
    validation: Judged
    test: Judged
    times: Times
    float_bytes: int

    def to_row(self) -> Row:
        """Return what config.json says of it."""
        return {
            "scheme": str(self.scheme),
            "calibration_images": self.images,
            "validation": self.validation.to_row(),
            "test": self.test.to_row(),
            "latency_ms": self.times.int8,
            "float_latency_ms": self.times.float,
            "latency_of": {"images": 1, "threads": 1, "device": device_name("cpu")},
            "bytes": len(self.content),
            "float_bytes": self.float_bytes,
        }

    @property
    def sentence(self) -> str:
        """What it loses and what it gains, for people."""
        test, paired = self.test, self.test.paired
        return (
            f"model.int8.onnx has test accuracy {test.accuracy:.4f}, model.onnx "
            f"{test.float_accuracy:.4f} (difference {100 * paired.difference:+.2f} points, 95 % "
            f"interval {100 * paired.low:+.2f} to {100 * paired.high:+.2f}, {paired.images:,} "
            "images); "
            f"{show_bytes(len(self.content))} instead of {show_bytes(self.float_bytes)}, "
            f"{self.times.int8:.3g} ms instead of {self.times.float:.3g} ms an image, by one thread"
        )


def int8_of(
    content: bytes,
    dataset: Dataset | None,
    seed: int,
    max_drop: float,
    schemes: Sequence[Scheme] = SCHEMES,
) -> Int8:
    """Return a network in whole numbers of 8 bits.

    Args:
        content: The float network's ONNX file.
        dataset: Its images: ranges are read on the training part, the choice is made on the
            validation part, and the test part is looked at once, with what was chosen; None: they
            are not at hand.
        seed: Of which images are looked at, where not all are.
        max_drop: Most accuracy on validation images that it may lose, in [0, 1].
        schemes: What is tried, until one loses nothing.

    Raises:
        OnnxError: Its accuracy falls by more, onnxruntime cannot make it, or there are too few
            images.
    """
    if dataset is None:
        raise OnnxError("it needs the images of the run, which are not at hand")
    if len(dataset.val) < _FEWEST:
        raise OnnxError(f"{len(dataset.val)} validation images to judge it by; wanted {_FEWEST}")
    try:
        found = _chosen(content, dataset, seed, schemes)
    except Exception as error:  # whatever onnxruntime meets in a person's operations
        why = (str(error).strip().splitlines() or ["it says no more"])[0]
        raise OnnxError(f"onnxruntime cannot make it ({type(error).__name__}: {why})") from error
    after, before = found.validation.accuracy, found.validation.float_accuracy
    if before - after > max_drop + 1e-12:  # shares of images are rounded
        raise OnnxError(
            f"validation accuracy falls from {before:.4f} to {after:.4f}, more than "
            f"--export.max-drop {max_drop:g}"
        )
    return found


def _chosen(content: bytes, dataset: Dataset, seed: int, schemes: Sequence[Scheme]) -> Int8:
    """Return the network of the scheme that answers most validation images right."""
    read = _drawn(dataset.train, _READ, seed, 0)
    ranges = _normalised(read, dataset)
    judged, whole = _drawn(dataset.val, _JUDGED, seed, 1), OnnxNetwork(content)
    wanted = _logits(whole, judged, dataset)
    tried: list[_Tried] = []
    for scheme in schemes:
        made = quantised(content, ranges, scheme)
        logits = _logits(OnnxNetwork(made), judged, dataset)
        distance = float(np.square(logits - wanted).mean())
        tried.append(_Tried(scheme, made, _judged(logits, wanted, judged, seed), distance))
        if tried[-1].verdict.paired.difference >= 0:
            break
    scheme, made, verdict, _ = max(tried, key=lambda each: (each.verdict.accuracy, -each.distance))
    tested, small = _drawn(dataset.test, _TESTED, seed, 2), OnnxNetwork(made)
    after, before = (_logits(each, tested, dataset) for each in (small, whole))
    test = _judged(after, before, tested, seed)
    times = _times(small, whole, ranges[:1])
    return Int8(made, scheme, len(read), verdict, test, times, len(content))


class _Tried(NamedTuple):
    """What a scheme makes of a network, and how far its logits are off, squared."""

    scheme: Scheme
    made: bytes
    verdict: Judged
    distance: float


def _judged(logits: Array, wanted: Array, images: Images, seed: int) -> Judged:
    right, float_right = (each.argmax(axis=1) == images.labels for each in (logits, wanted))
    paired = compare_paired(right, float_right, seed)
    return Judged(float(right.mean()), float(float_right.mean()), paired)


def _drawn(part: Part, most: int, seed: int, place: int) -> Images:
    """Return some images of a part, or all, as evaluation sees them."""
    order = random_numbers(seed, Stream.QUANTISATION, place).permutation(len(part))
    return part.take(np.sort(order[:most]))


def _normalised(images: Images, dataset: Dataset) -> Array:
    found: Array = normalise(torch.from_numpy(images.pixels), dataset).numpy()
    return found


def _logits(network: OnnxNetwork, images: Images, dataset: Dataset) -> Array:
    """Return N x classes."""
    pieces = in_order(images, _PIECE)
    return np.concatenate([network(_normalised(piece, dataset)) for piece in pieces])


def _times(int8: OnnxNetwork, whole: OnnxNetwork, image: Array) -> Times:
    """Return how long both take, in turns, so that other work on the machine meets both."""
    found: list[list[float]] = [[], []]
    end = time.perf_counter() + _SECONDS
    while len(found[0]) < _ROUNDS and (len(found[0]) < 4 or time.perf_counter() < end):
        for network, spent in zip((int8, whole), found, strict=True):
            start = time.perf_counter()
            network(image)
            spent.append(1e3 * (time.perf_counter() - start))
    return Times(*(statistics.median(spent[1:]) for spent in found))  # the first warms up
