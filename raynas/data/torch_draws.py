"""Random numbers of torchvision's transforms, from a generator of one's own.

They draw from torch's global generator, which a thread that makes batches would share with the
training beside it: which of the two comes first would decide both.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DRAW = frozenset(
    {
        torch.rand,
        torch.randint,
        torch.randperm,
        torch.randn,
        torch.multinomial,
        torch.Tensor.uniform_,
        torch._sample_dirichlet,  # noqa: SLF001 - which torch.distributions.Beta draws by
    }
)


class DrawnFrom(TorchFunctionMode):
    """A context in which this thread's draws on the CPU come from a generator of that seed."""

    def __init__(self, seed: int) -> None:
        """Seed the generator."""
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do what was asked for, with the generator where it draws."""
        del types
        own = {"generator": self._generator} if func in _DRAW else {}
        return func(*args, **{**(kwargs or {}), **own})
