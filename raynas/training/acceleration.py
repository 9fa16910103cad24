"""What makes a training faster on a GPU: fused updates, compilation, measured convolutions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from raynas.settings.retrain import RetrainSettings

Network = Callable[[torch.Tensor], torch.Tensor]
"""Maps N x C x H x W to logits."""


def make_optimiser(network: nn.Module, settings: RetrainSettings) -> torch.optim.SGD:
    """Return SGD with weight decay on convolutions and classifier only.

    On a GPU one kernel updates all weights of a group. On a CPU torch's usual loop stays, whose
    last bits are those of earlier runs.
    """
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1]},
    ]
    is_fused = all(parameter.is_cuda for parameter in parameters) or None
    return torch.optim.SGD(
        groups,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=True,
        fused=is_fused,
    )


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
