"""Modules measured on the meta device: what they cost and what shape they make.

``FlopCounterMode`` counts a multiply-add as two; see ``raynas.nets.cost``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from raynas.costs.costs import Cost
from raynas.errors import UserError
from raynas.spaces.chain import Operation
from raynas.spaces.protocol import Space

Value = torch.Tensor | tuple[torch.Tensor, torch.Tensor]
"""What travels from part to part of a network: features, or those of the last two cells."""


@cache  # layers of a stage repeat, and so do the tables of a space with and without identity
def measure_candidate(
    candidate: Operation, out_channels: int, stride: int, shape: tuple[int, ...]
) -> tuple[Cost, tuple[int, ...]]:
    """Return the cost of an operation on features of a shape, and the shape that it makes."""
    module = candidate.build(shape[1], out_channels, stride)
    cost, output = measure(module, torch.empty(shape))
    return cost, tuple(output.shape)


def measure(module: nn.Module, value: Value) -> tuple[Cost, torch.Tensor]:
    """Return the cost of a module for an input, N = 1, and its output."""
    module.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = module(value)
    params = sum(parameter.numel() for parameter in module.parameters())
    return Cost(counter.get_total_flops() // 2, params), output


@contextmanager
def fitting(space: Space, resolution: int, what: str) -> Iterator[None]:
    """Say which part of a space such images do not fit, where building or running it fails.

    Raises:
        UserError: Names the part.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(
            f"{space.name}: {what} does not fit images of {resolution} x {resolution} pixels "
            f"({why}); choose another --resolution, or mend its build()"
        ) from error
