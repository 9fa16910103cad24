"""How often the host asks for a number that a device holds, which makes it wait for the device."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = ("_local_scalar_dense", "nonzero", "bincount", "masked_select", "unique")


class Reads(TorchDispatchMode):
    """Counts operations that would make the host wait, were the tensors on a GPU.

    Whole numbers without a dimension are left out: counters that torch keeps on the host.
    """

    def __init__(self) -> None:
        """Count from none."""
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what was asked for, and note it if it waits."""
        del types
        name = func.overloadpacket.__name__
        if name in _WAITS and not _is_counter(args[0]):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def _is_counter(value: torch.Tensor) -> bool:
    return value.ndim == 0 and not value.is_floating_point()
