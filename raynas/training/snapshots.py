"""Copies of what continues to change, from which a file can be made meanwhile."""

from collections.abc import Callable, Mapping

import safetensors.torch
import torch


def snapshot(
    tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> Callable[[], bytes]:
    """Copy tensors where they are; return what makes a safetensors file of the copies.

    The copy is all that a training waits for. The file may be made in another thread: on a GPU it
    waits for the copy by the order of the stream, and the training does not.

    Args:
        tensors: By their names in the file.
        metadata: Text entries of the file.
    """
    # the plain memory layout, the one that can be saved
    copies = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    texts = dict(metadata or {})

    def make() -> bytes:
        content: bytes = safetensors.torch.save(
            {name: value.cpu() for name, value in copies.items()}, texts or None
        )
        return content

    return make


def under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
