"""The operations of cells: their weights, what they compute, and maps of odd sides."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from raynas.nets.cell_operations import (
    AveragePool,
    DilatedConv,
    FactorizedReduction,
    MaxPool,
    NoConnection,
    SeparableConv,
    SkipConnection,
)
from raynas.spaces.chain import Operation
from tests.builders import build_images, shipped_cells

C = 8


def params(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (NoConnection(), 0),
        (SkipConnection(), 0),
        (SeparableConv(3), 2 * (9 * C + C * C + 2 * C)),
        (SeparableConv(5), 2 * (25 * C + C * C + 2 * C)),
        (DilatedConv(3), 9 * C + C * C + 2 * C),
        (DilatedConv(5), 25 * C + C * C + 2 * C),
        (AveragePool(), 0),
        (MaxPool(), 0),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_operations_have_the_weights_of_darts(operation: Operation, expected: int) -> None:
    assert params(operation.build(C, C, 1)) == expected


def test_a_skip_connection_that_halves_the_resolution_has_weights() -> None:
    assert params(SkipConnection().build(C, C, 2)) == C * C + 2 * C


def test_operations_stand_in_the_order_of_pr_darts() -> None:
    assert [operation.name for operation in shipped_cells("darts_cells").operations] == [
        "none",
        "skip_connect",
        "sep3",
        "sep5",
        "dil3",
        "dil5",
        "avgpool3",
        "maxpool3",
    ]


def test_no_operation_changes_its_input() -> None:
    """Other nodes read the same state."""
    for operation in shipped_cells().operations:
        for stride in (1, 2):
            x = build_images(2, C, 6)
            operation.build(C, C, stride)(x)
            assert torch.equal(x, build_images(2, C, 6))


def test_none_is_zero_whatever_it_reads() -> None:
    x = build_images(2, C, 7)

    assert not NoConnection().build(C, C, 1)(x).any()
    assert NoConnection().build(C, C, 2)(x).shape == (2, C, 4, 4)


@pytest.mark.parametrize("side", [6, 7])
def test_a_factorized_reduction_reads_even_and_odd_pixels(side: int) -> None:
    module, x = FactorizedReduction(C, 4).eval(), build_images(2, C, side)
    padded = functional.pad(x.relu(), (0, 1, 0, 1))
    even = functional.conv2d(x.relu()[:, :, ::2, ::2], module.even.weight)
    odd = functional.conv2d(padded[:, :, 1::2, 1::2], module.odd.weight)

    torch.testing.assert_close(module(x), module.norm(torch.cat([even, odd], dim=1)))


def test_beyond_the_edge_nothing_counts_in_an_average() -> None:
    assert torch.equal(AveragePool().build(1, 1, 1)(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_a_dilated_convolution_reads_every_second_pixel() -> None:
    depthwise = DilatedConv(3).build(1, 1, 1)[1]  # type: ignore[index]  # a sequence
    nn.init.ones_(depthwise.weight)
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 4] = 1.0
    reached = depthwise(x)[0, 0].nonzero().tolist()

    assert reached == [[y, x] for y in (2, 4, 6) for x in (2, 4, 6)]


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("side", [4, 7, 8])
def test_a_dilated_convolution_that_strides_is_torch_s(side: int, kernel: int) -> None:
    """It takes even pixels instead, of which it is a plain one."""
    built, x = DilatedConv(kernel).build(C, C, 2).eval(), build_images(2, C, side)
    depthwise = built.get_submodule("1").get_parameter("weight")
    dilated = functional.conv2d(
        x.relu(), depthwise, stride=2, padding=kernel - 1, dilation=2, groups=C
    )

    torch.testing.assert_close(
        built(x), built.get_submodule("3")(built.get_submodule("2")(dilated))
    )
