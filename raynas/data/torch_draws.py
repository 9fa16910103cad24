"""Random numbers of torchvision's transforms, from a generator of one's own.

They draw from torch's global generator, which a thread that makes batches would share with the
training beside it: which of the two comes first would decide both.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from raynas.nets.torch_internals import draw_shares
from raynas.seeds import Stream, mixed_seed

_DRAW = frozenset(
    {
        torch.rand,
        torch.randint,
        torch.randperm,
        torch.randn,
        torch.multinomial,
        torch.Tensor.uniform_,
        draw_shares,
    }
)


class DrawnFrom(TorchFunctionMode):
    """A context in which this thread's draws on the CPU come from a place in a stream."""

    def __init__(self, seed: int, stream: Stream, *place: int) -> None:
        """Seed the generator.

        Args:
            seed: Of the run.
            stream: What is drawn.
            place: Numbers that tell this draw from others of the stream.
        """
        super().__init__()
        self._generator = torch.Generator().manual_seed(mixed_seed(seed, stream, *place))

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
