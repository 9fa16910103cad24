"""Tensors of files: safetensors, and checkpoints of torch that execute nothing when they are read.

A checkpoint is a pickle, which could run anything; ``weights_only`` reads tensors and plain
containers, and refuses the rest.
"""

import io
import pickle
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

import safetensors.torch
import torch

from raynas.training.starts.source import (
    Tensors,
    refuse,
    refuse_without_classifier,
    without_counters,
)

SAFETENSORS = ".safetensors"
"""Ending of the names of files whose tensors have no order."""
ENDINGS = (SAFETENSORS, ".pt", ".pth", ".bin")
"""Of the names of files with weights."""
_BEGINNINGS = b"PK", b"\x80"  # of checkpoints: a zip file of a pickle, or a pickle
_CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Where checkpoints of trainings keep the network's weights."""


def read_tensors(text: str, name: str, content: bytes) -> Tensors:
    """Return the tensors of a file of weights.

    Those of safetensors have an order of their own, which is not the network's.

    Args:
        text: As a person named the source.
        name: Of the file.
        content: Of the file.

    Raises:
        UserError: It is damaged, it could execute code, or it holds no network.
    """
    if not name.endswith(SAFETENSORS):
        return read_checkpoint(text, content)
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError):
        _refuse_damaged(text)
    return _checked(text, tensors)


def read_checkpoint(text: str, content: bytes) -> Tensors:
    """Return the tensors of a checkpoint of torch, in their order.

    Raises:
        UserError: As above.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles by other programs
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not content.startswith(_BEGINNINGS):
            _refuse_damaged(text)
        refuse(
            text,
            "it holds more than tensors, and to read the rest would execute code that it names, so "
            "it is not read; save network.state_dict() alone, as safetensors or by torch.save",
        )
    except Exception:  # noqa: BLE001 - what is cut off or no pickle raises whatever comes next
        _refuse_damaged(text)
    return _checked(text, _state_dict(found))


def _refuse_damaged(text: str) -> NoReturn:
    refuse(text, "the file is cut off or holds no weights; get it again, or choose another")


def _checked(text: str, tensors: Tensors) -> Tensors:
    found = without_counters(tensors)
    refuse_without_classifier(text, found)
    return found


def _state_dict(found: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of what a checkpoint holds: a state dict, or one that lies in it."""
    if not isinstance(found, Mapping):
        return {}
    inner = [found[name] for name in _CONTAINERS if isinstance(found.get(name), Mapping)]
    named = next(iter(inner), found).items()
    return {str(name): each for name, each in named if isinstance(each, torch.Tensor)}
