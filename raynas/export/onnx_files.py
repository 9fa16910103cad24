"""``model.onnx`` and ``model.int8.onnx``: a network for ONNX runtimes, in two precisions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from raynas.export.int8 import Int8
from raynas.export.onnx import OnnxError, largest_onnx_difference, onnx_bytes

Quantise = Callable[[bytes], Int8]
"""Makes an ONNX file in whole numbers of another one; raises an OnnxError."""


@dataclass(frozen=True)
class OnnxFiles:
    """What became of the files of a network.

    Attributes:
        files: Those that were made, onnx and int8.
        checks: How far outputs of model.onnx are from torch's.
        left_out: Why one was not made, by its name.
        int8: What is known of model.int8.onnx; None: there is none.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    int8: Int8 | None = None


def onnx_files(
    network: nn.Module, images: torch.Tensor, logits: torch.Tensor, quantise: Quantise | None
) -> OnnxFiles:
    """Return the files of a network.

    Args:
        network: In eval mode, on the CPU.
        images: N x C x H x W, normalised, to compare outputs on.
        logits: N x classes, what the network makes of them.
        quantise: Makes the second file of the first; None: it is not wanted.
    """
    try:
        content = onnx_bytes(network, images)
        checks = {"onnx": largest_onnx_difference(content, images, logits)}
    except OnnxError as error:
        names = ("model.onnx", "model.int8.onnx") if quantise else ("model.onnx",)
        return OnnxFiles(left_out=dict.fromkeys(names, str(error)))
    files = {"onnx": content}
    if quantise is None:
        return OnnxFiles(files, checks)
    try:
        int8 = quantise(content)
    except OnnxError as error:
        return OnnxFiles(files, checks, {"model.int8.onnx": str(error)})
    return OnnxFiles(files | {"int8": int8.content}, checks, int8=int8)
