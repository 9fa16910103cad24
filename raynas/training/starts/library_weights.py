"""Trained weights of libraries for their own networks: rivals and teachers that begin from them.

A run keeps them in its folder, so that every node reads the same and it goes on without a network.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

import safetensors.torch
import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.rivals import TIMM
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import is_whole, read_metadata
from raynas.training.starts.libraries import from_timm, from_torchvision

_FOLDER = "library_weights"


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


def library_weights(name: str, kept: RunStore | None = None) -> LibraryWeights:
    """Return a library's trained weights of a network, from its cache or by its download.

    Args:
        name: Of torchvision or timm.
        kept: The folder of a run that is continued, which may hold them.
    """
    path = weights_path(name)
    if kept is not None and is_whole(kept, path):
        content = kept.read_bytes(path)
        return LibraryWeights(name, content, read_metadata(content)["origin"])
    try:
        source = from_timm(name) if name.startswith(TIMM) else from_torchvision(name)
    except UserError as error:
        return LibraryWeights(name, b"", str(error).partition(": ")[2])
    tensors = {each: tensor.contiguous() for each, tensor in source.tensors.items()}
    content = safetensors.torch.save(tensors, {"origin": source.origin})
    return LibraryWeights(name, content, source.origin)


@torch.no_grad()
def begin_from_library_(network: nn.Module, content: bytes) -> frozenset[str]:
    """Give a library's network its trained weights, in place; return the names of inherited ones.

    The classifier is new, and the first convolution gets the sum over the colours, divided evenly,
    where images have another number of channels.

    Args:
        network: As ``Rival.build`` returns it, on any device.
        content: What ``library_weights`` found.
    """
    found = safetensors.torch.load(content)
    inherited = set()
    for name, own in network.state_dict().items():
        tensor = found.get(name)
        if tensor is not None and tensor.dim() == 4 and tensor.shape != own.shape:
            tensor = tensor.sum(dim=1, keepdim=True).expand_as(own) / own.shape[1]
        if tensor is not None and tensor.shape == own.shape:
            own.copy_(tensor)
            inherited.add(name)
    return frozenset(inherited & {name for name, _ in network.named_parameters()})
