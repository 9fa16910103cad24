"""Quantisation: a network in whole numbers of 8 bits, made of its ONNX file by onnxruntime.

Static and in pairs of QuantizeLinear and DequantizeLinear (QDQ): a real number r is S (q - Z), q a
whole number (Jacob et al., CVPR 2018, arXiv 1712.05877, equation 1). Weights have a scale S for
each output channel or one for all; the range of what a layer returns is read off images before.
Dynamic quantisation, which measures it anew for each image, ruins depthwise convolutions.

Weights of dense layers have 7 bits first: processors with AVX2 and without VNNI add two products of
8 by 8 bits in a number of 16, which overflows: 2 x 255 x 127 > 32,767 > 2 x 255 x 63. Depthwise
layers are computed in wider numbers there, and have few weights: theirs have 8. The first layer,
which sees the image and has hardly any weights, stays in floating point.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
_BATCH = 16  # images at a time while ranges are read


@dataclass(frozen=True)
class Scheme:
    """How weights are rounded.

    Attributes:
        per_channel: Whether they have a scale for each output channel, or one for all.
        dense_bits: Of the weights of dense layers, 7 or 8.
    """

    per_channel: bool
    dense_bits: int

    def __str__(self) -> str:
        scales = "a scale for each channel" if self.per_channel else "one scale for each layer"
        risk = ", which may overflow on processors without VNNI" if self.dense_bits > 7 else ""
        return f"{scales}, dense weights of {self.dense_bits} bits{risk}"


SCHEMES = (Scheme(True, 7), Scheme(True, 8), Scheme(False, 7))
"""What is tried, in this order."""


def quantised(content: bytes, images: Array, scheme: Scheme) -> bytes:
    """Return a network in whole numbers of 8 bits, as an ONNX file of the same inputs and outputs.

    Args:
        content: The network's ONNX file, from images to logits.
        images: N x C x H x W, on which the ranges of what its layers return are read.
        scheme: How its weights are rounded.
    """
    import onnx  # noqa: PLC0415 - an extra
    from onnxruntime import quantization  # noqa: PLC0415 - an extra

    model = onnx.load_model_from_string(content)
    layers = [node for node in model.graph.node if node.op_type in {"Conv", "Gemm", "MatMul"}]
    with tempfile.TemporaryDirectory(prefix="raynas-int8-") as folder, _quietly():
        given, made = Path(folder) / "model.onnx", Path(folder) / "model.int8.onnx"
        given.write_bytes(content)
        quantization.quantize_static(
            given,
            made,
            _reader(images),
            per_channel=scheme.per_channel,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=[layer.name for layer in layers[:1]],
            extra_options={"TensorQuantOverrides": _seven_bits(model, layers, scheme)},
        )
        return _without_defaults(onnx.load_model(made))


def _without_defaults(model: Any) -> bytes:
    """Return the file of a model without what is understood: zero points Z = 0, shapes in between.

    A zero point for each channel takes as much as the bias of a layer, 4 % of a small network.
    """
    from onnx import numpy_helper  # noqa: PLC0415 - an extra

    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and set(node.input) <= constants.keys():
            *_, zero = node.input  # r, S, Z
            if not numpy_helper.to_array(constants[zero]).any():
                del node.input[-1]
    used = {name for node in graph.node for name in node.input}
    for name in constants.keys() - used:
        graph.initializer.remove(constants[name])
    del graph.value_info[:]
    content: bytes = model.SerializeToString()
    return content


def _reader(images: Array) -> Any:
    """Return what hands images to onnxruntime, some at a time, and None after the last."""
    from onnxruntime.quantization import CalibrationDataReader  # noqa: PLC0415 - an extra

    class Reader(CalibrationDataReader):  # type: ignore[misc] # of an untyped package
        def __init__(self) -> None:
            self._starts = iter(range(0, len(images), _BATCH))

        def get_next(self) -> dict[str, Array] | None:
            start = next(self._starts, None)
            return None if start is None else {"images": images[start : start + _BATCH]}

    return Reader()


def _seven_bits(model: Any, layers: Iterable[Any], scheme: Scheme) -> dict[str, list[Any]]:
    """Return what onnxruntime is told of the weights of dense layers."""
    from onnxruntime.quantization import QuantType  # noqa: PLC0415 - an extra

    if scheme.dense_bits > 7:
        return {}
    weights = {each.name for each in model.graph.initializer}
    rule = {"quant_type": QuantType.QInt8, "reduce_range": True}
    return {
        node.input[1]: [rule | ({"axis": _axis(node)} if scheme.per_channel else {})]
        for node in layers
        if node.input[1] in weights and _number(node, "group") <= 1
    }


def _axis(node: Any) -> int:
    """Return the axis of a layer's weights along which its output channels lie."""
    return 0 if node.op_type == "Conv" or _number(node, "transB") else 1


def _number(node: Any, attribute: str) -> int:
    return next((each.i for each in node.attribute if each.name == attribute), 0)


@contextmanager
def _quietly() -> Iterator[None]:
    """Let onnxruntime not advise, at the level of the whole process, what is done already."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
