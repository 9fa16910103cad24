"""``model.onnx``: a network for ONNX runtimes, with any number of images at a time.

By torch's exporter (``torch.export``, then onnxscript). The packages are an extra of raynas;
without them networks go without this file.
"""

import importlib.util
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from raynas.nets.module_copies import working_copy
from raynas.training.onnx_network import OnnxNetwork

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # of outputs, against torch's


class OnnxError(ValueError):
    """Why there is no ONNX file: the end of a sentence."""


def missing_packages() -> list[str]:
    """Return which of the packages that this needs are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def onnx_bytes(network: nn.Module, images: torch.Tensor) -> bytes:
    """Return a network as an ONNX file, from images N x C x H x W to logits; N is free.

    Args:
        network: In eval mode, on the CPU.
        images: An example, at least two.

    Raises:
        OnnxError: Packages are missing, or the exporter cannot translate the network.
    """
    missing = missing_packages()
    if missing:
        raise OnnxError(f"{', '.join(missing)} not installed; pip install 'raynas[onnx]'")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            program = torch.onnx.export(
                _lighter(network),
                (images,),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except Exception as error:  # whatever the exporter meets in a person's operations
        reason = error.__cause__ or error  # the exporter's own words tell of its steps, in colours
        why = (str(reason).strip().splitlines() or ["it says no more"])[0]
        raise OnnxError(
            f"torch.onnx cannot translate it ({type(reason).__name__}: {why})"
        ) from error
    assert program is not None
    return _without_traces(program.model_proto)


def largest_onnx_difference(content: bytes, images: torch.Tensor, logits: torch.Tensor) -> float:
    """Return how far an ONNX file's outputs are from those wanted, for batches of several sizes.

    Raises:
        OnnxError: It does not run, or they differ by more than the tolerance.
    """
    try:
        network = OnnxNetwork(content)
        sizes = {1, len(images) // 2, len(images)} - {0}
        found = [network(images[:size].numpy()) - logits[:size].numpy() for size in sizes]
    except Exception as error:  # whatever the runtime raises
        raise OnnxError(f"onnxruntime cannot run it ({error})") from error
    difference = float(max(np.abs(each).max() for each in found))
    if not difference <= TOLERANCE:  # NaN is not
        raise OnnxError(f"in onnxruntime it computes something else, by up to {difference:.2g}")
    return difference


def _lighter(network: nn.Module) -> nn.Module:
    """Return a copy that the exporter translates in half the time: it would fuse batch norms, too.

    They become part of the convolutions before them; activations leave their inputs as they are.
    """
    copied = working_copy(network).eval().requires_grad_(False)
    for parent in copied.modules():
        if not isinstance(parent, nn.Sequential):
            continue
        for number in range(len(parent) - 1):
            conv, norm = parent[number], parent[number + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                parent[number] = fuse_conv_bn_eval(conv, norm)
                parent[number + 1] = nn.Identity()
    return copied


def _without_traces(model: Any) -> bytes:
    """Return a model as bytes without where each operation came from: paths of this machine."""
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    content: bytes = model.SerializeToString(deterministic=True)
    return content
