"""What makes a training faster on a GPU: compilation, measured convolutions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

Network = Callable[[torch.Tensor], Any]
"""Maps N x C x H x W to logits, perhaps with those of an auxiliary head."""


def compiled(network: nn.Module) -> Network:
    """Return a network that computes the same, to rounding, after some time of compilation.

    The network itself stays as it is, names of its weights included. What is dropped out is drawn
    by the compiled code, so it is other units for the same seed.
    """
    # torch gives up on a function that it has compiled a few times, and a process that trains one
    # network after another compiles the same function, that of a sequence, for each of them
    torch.compiler.reset()
    function: Network = torch.compile(network)
    return function


@contextmanager
def measured_convolutions(device: torch.device) -> Iterator[None]:
    """Let cudnn try its algorithms on each new shape and keep the fastest; on a CPU, do nothing.

    Which one is fastest may differ between runs, and the algorithms differ in rounding: a training
    on a GPU that is repeated, or goes on elsewhere, comes to the same results, but not to the same
    bits. What is to be equal to the bit, such as two looks at the same weights, stays outside.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
