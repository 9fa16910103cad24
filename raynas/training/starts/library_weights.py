"""Trained weights of libraries for their own networks: rivals and teachers that begin from them.

A run keeps them in its folder, so that every node reads the same and it goes on without a network.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import safetensors.torch
import torch
from torch import nn

from raynas.costs.latency_table import Task
from raynas.errors import UserError
from raynas.nets.rivals import TIMM, Rival, first_convolution, shapes_of
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import is_whole, read_metadata
from raynas.training.starts.libraries import from_timm, from_torchvision
from raynas.training.starts.source import IMAGENET, Normalisation, Tensors

_FOLDER = "library_weights"
_HALVES: Normalisation = (0.5,) * 3, (0.5,) * 3
_TRANSFORMING = {"googlenet", "inception_v3"}
"""Torchvision's networks that turn images normalised as ImageNet's into those of _HALVES."""


@dataclass(frozen=True, eq=False)
class LibraryWeights:
    """Trained weights of a library's network, or why there are none.

    Attributes:
        name: Of the network, as a person gave it.
        content: A safetensors file; empty: they cannot be had.
        words: Where they come from, or why they cannot be had.
    """

    name: str
    content: bytes
    words: str

    @property
    def path(self) -> str:
        """Where a run keeps them."""
        return weights_path(self.name)


def weights_path(name: str) -> str:
    """Return where a run keeps the weights of a library's network of a name."""
    return str(PurePosixPath(_FOLDER, f"{name.replace('/', '-')}.safetensors"))


def library_weights(name: str, task: Task, kept: RunStore | None = None) -> LibraryWeights:
    """Return a library's trained weights of a network, from its cache or by its download.

    Args:
        name: Of torchvision or timm.
        task: What the network is to classify; there are none where they do not fit that.
        kept: The folder of a run that is continued, which may hold them.
    """
    path = weights_path(name)
    if kept is not None and is_whole(kept, path):
        content = kept.read_bytes(path)
        return LibraryWeights(name, content, read_metadata(content)["origin"])
    try:
        source = from_timm(name) if name.startswith(TIMM) else from_torchvision(name)
        wanted = shapes_of(Rival(name), task)
    except UserError as error:
        return LibraryWeights(name, b"", str(error).partition(": ")[2])
    normalisation = _HALVES if name in _TRANSFORMING else source.normalisation or IMAGENET
    if source.channels != len(normalisation[0]):  # of pixels that were rearranged
        return LibraryWeights(
            name, b"", "its first convolution does not see the images as they are"
        )
    if misfit := _misfit(source.tensors, wanted, task):
        return LibraryWeights(name, b"", misfit)
    tensors = {each: tensor.contiguous() for each, tensor in source.tensors.items()}
    metadata = {"origin": source.origin, "normalisation": json.dumps(normalisation)}
    return LibraryWeights(name, safetensors.torch.save(tensors, metadata), source.origin)


def _misfit(found: Tensors, wanted: Mapping[str, torch.Size], task: Task) -> str:
    """Return why weights are not those of a network for a task; empty: they are.

    The classifier may tell other classes apart, and the first convolution may see other colours.
    """
    side = task.resolution
    for name, shape in wanted.items():
        if name not in found or not _fits(found[name].shape, shape, task):
            return f"its weights do not fit images of {side} x {side} pixels ({name} does not)"
    return ""


def _fits(found: torch.Size, wanted: torch.Size, task: Task) -> bool:
    """Return whether a tensor is the wanted one, but for the number of classes or of colours."""
    if wanted[0] == task.num_classes and found[1:] == wanted[1:]:
        return True
    is_first = len(wanted) == 4 and wanted[1] == task.channels
    return found == wanted or (is_first and (found[0], *found[2:]) == (wanted[0], *wanted[2:]))


@torch.no_grad()
def begin_from_library_(
    network: nn.Module, content: bytes, normalisation: Normalisation
) -> frozenset[str]:
    """Give a library's network its trained weights, in place; return the names of inherited ones.

    The classifier is new. The first convolution sees images that are normalised as the run's are
    as it saw those of its library, but for the zeros around them, and gets the sum over the
    colours where there are others.

    Args:
        network: As ``Rival.build`` returns it, on any device.
        content: What ``library_weights`` found.
        normalisation: Mean and deviation of the run's images.
    """
    found = safetensors.torch.load(content)
    inherited = set()
    for name, own in network.state_dict().items():
        tensor = found.get(name)
        if tensor is not None and tensor.shape == own.shape:
            own.copy_(tensor)
            inherited.add(name)
    name, first = first_convolution(network)
    usual = json.loads(read_metadata(content).get("normalisation", json.dumps(IMAGENET)))
    _begin_first_(network, first, found[f"{name}.weight"], usual, normalisation)
    inherited.add(f"{name}.weight")
    return frozenset(inherited & {name for name, _ in network.named_parameters()})


def _begin_first_(
    network: nn.Module,
    first: nn.Conv2d,
    weight: torch.Tensor,
    usual: Normalisation,
    normalisation: Normalisation,
) -> None:
    """Fill a network's first convolution, so that it sees its library's images in those of a run.

    Of a pixel p the run's images have x = (p - m) / s, those of the library (p - m') / s', which is
    x s / s' + (m - m') / s': its weights take the factor, and what follows takes the sum.
    """
    weight = weight.to(first.weight)
    (mean, std), (own_mean, own_std) = (weight.new_tensor(each) for each in (normalisation, usual))
    if len(mean) != len(own_mean):  # grey: the same for all colours
        mean, std = mean.mean().expand_as(own_mean), std.mean().expand_as(own_std)
    shift = (weight * ((mean - own_mean) / own_std)[:, None, None]).sum(dim=(1, 2, 3))
    weight = weight * (std / own_std)[:, None, None]
    if weight.shape != first.weight.shape:
        channels = first.weight.shape[1]
        weight = weight.sum(dim=1, keepdim=True).expand_as(first.weight) / channels
    first.weight.copy_(weight)
    if first.bias is not None:
        first.bias += shift
    elif (norm := _norm_behind(network, first)) is not None:
        norm.running_mean -= shift


def _norm_behind(network: nn.Module, first: nn.Conv2d) -> Any:
    """Return the first batch norm, which stands behind the first convolution in all libraries."""
    norms = (each for each in network.modules() if isinstance(each, nn.BatchNorm2d))
    norm = next(norms, None)
    return norm if norm is not None and norm.num_features == first.out_channels else None
