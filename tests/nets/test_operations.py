"""Candidate operations, stems and heads: shapes, structure, values."""

import pickle

import pytest
import torch
from torch import nn

from raynas.nets import activations, operations
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.operations import (
    Downsample,
    Identity,
    MBConv,
    Residual,
    Shuffle,
    ShuffleBlock,
    ShuffleXception,
)
from raynas.nets.squeeze_excitation import SqueezeExcitation
from raynas.nets.stems_heads import ConvStem, MobileStem, PooledHead, TwoLayerHead
from raynas.nets.supernet import batch_norms
from raynas.spaces.chain import Operation
from tests.builders import build_images

OPERATIONS: list[Operation] = [
    MBConv(3, 1),
    MBConv(5, 3, "relu"),
    MBConv(7, 6),
    MBConv(5, 2, padding="same"),
    Downsample(),
    Shuffle(3),
    Shuffle(5),
    Shuffle(7),
    ShuffleXception(),
    InvertedResidual(3, 15, "silu"),
    InvertedResidual(5, 6, "hard_swish", SqueezeExcitation(4, "relu", "hard_sigmoid"), "same"),
]


def shapes(module: nn.Module) -> list[tuple[int, ...]]:
    """Return the shapes of a module's convolutions' weights in order."""
    return [tuple(part.weight.shape) for part in module.modules() if isinstance(part, nn.Conv2d)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize(("side", "out_channels", "stride"), [(8, 6, 1), (8, 10, 2), (7, 10, 2)])
def test_an_operation_keeps_the_size_over_its_stride_rounded_up(
    operation: Operation, side: int, out_channels: int, stride: int
) -> None:
    module = operation.build(6, out_channels, stride)
    pixels = -(-side // stride)

    assert module(build_images(2, 6, side)).shape == (2, out_channels, pixels, pixels)


@pytest.mark.parametrize("operation", [*OPERATIONS, Identity()], ids=lambda op: op.name)
def test_an_operation_is_a_value(operation: Operation) -> None:
    copy = pickle.loads(pickle.dumps(operation))  # noqa: S301 - our own pickle

    assert copy == operation
    assert hash(copy) == hash(operation)


def test_operations_have_names_of_their_own() -> None:
    names = [operation.name for operation in [*OPERATIONS, Identity()]]

    assert names == [
        "k3e1",
        "k5e3",
        "k7e6",
        "k5e2",
        "downsample",
        "shuffle3",
        "shuffle5",
        "shuffle7",
        "xception",
        "k3h15",
        "k5h6se4",
        "identity",
    ]


def test_two_builds_share_no_weights() -> None:
    first, second = (MBConv(3, 2).build(4, 4, 1) for _ in range(2))

    assert not {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}


def test_an_mbconv_is_eight_parts_and_expands_its_input_width() -> None:
    module = MBConv(5, 3).build(4, 10, 2)
    assert isinstance(module, nn.Sequential)

    assert [type(part) for part in module] == [
        nn.Conv2d,
        nn.BatchNorm2d,
        nn.ReLU6,
        nn.Conv2d,
        nn.BatchNorm2d,
        nn.ReLU6,
        nn.Conv2d,
        nn.BatchNorm2d,
    ]
    assert shapes(module) == [(12, 4, 1, 1), (12, 1, 5, 5), (10, 12, 1, 1)]
    assert not any(part.bias is not None for part in module if isinstance(part, nn.Conv2d))


def test_an_mbconv_of_expansion_one_has_no_expanding_convolution() -> None:
    """As MobileNetV2's first block."""
    module = MBConv(5, 1).build(4, 10, 2)
    assert isinstance(module, nn.Sequential)

    assert [type(part) for part in module] == [
        nn.Conv2d,
        nn.BatchNorm2d,
        nn.ReLU6,
        nn.Conv2d,
        nn.BatchNorm2d,
    ]
    assert shapes(module) == [(4, 1, 5, 5), (10, 4, 1, 1)]


@pytest.mark.parametrize(
    ("out_channels", "stride", "expected"), [(4, 1, True), (4, 2, False), (6, 1, False)]
)
def test_an_mbconv_has_a_residual_if_and_only_if_shapes_are_equal(
    out_channels: int, stride: int, expected: bool
) -> None:
    module = MBConv(3, 2).build(4, out_channels, stride)
    images = build_images(2, 4)
    batch_norms(module)[-1].weight.data.zero_()

    assert isinstance(module, Residual) is expected
    assert torch.equal(module(images), images) is expected


def test_a_residual_is_the_sum_of_input_and_branch() -> None:
    module = MBConv(3, 2).build(4, 4, 1)
    assert isinstance(module, Residual)
    images = build_images(2, 4)

    assert torch.equal(module(images), images + module.branch(images))


def test_the_activation_is_the_one_that_was_asked_for() -> None:
    def kinds(operation: MBConv) -> set[type]:
        return {type(part) for part in operation.build(4, 4, 1).modules()} & {nn.ReLU, nn.ReLU6}

    assert kinds(MBConv(3, 2, "relu")) == {nn.ReLU}
    assert kinds(MBConv(3, 2)) == {nn.ReLU6}


def test_spaces_that_people_wrote_find_activations_where_they_were() -> None:
    assert operations.activation_layer is activations.activation_layer


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_batch_norm_registered_last_scales_what_the_main_branch_hands_on(
    operation: Operation, stride: int
) -> None:
    """Where it is zero, only what passes it by is left: nothing, the input, or a projection."""
    module = operation.build(6, 6 if stride == 1 else 10, stride)
    images = build_images(2, 6)
    last = batch_norms(module)[-1]
    last.weight.data.zero_()
    y = module(images)

    if isinstance(module, Residual):
        assert torch.equal(y, images)
    elif isinstance(module, ShuffleBlock):
        passed = y.shape[1] - last.num_features
        assert passed == (3 if stride == 1 else 6)
        assert torch.count_nonzero(y[:, passed:]) == 0
        assert torch.count_nonzero(y[:, :passed]) > 0
    else:
        assert torch.count_nonzero(y) == 0


@pytest.mark.parametrize("operation", [Shuffle(3), ShuffleXception()], ids=lambda op: op.name)
def test_at_stride_one_even_channels_pass_and_odd_ones_go_through_the_branch(
    operation: Operation,
) -> None:
    module = operation.build(6, 6, 1)
    assert isinstance(module, ShuffleBlock)
    images = build_images(2, 6)
    y = module(images)

    assert module.projection is None
    assert torch.equal(y[:, :3], images[:, [0, 2, 4]])
    assert torch.equal(y[:, 3:], module.branch(images[:, [1, 3, 5]]))


@pytest.mark.parametrize(("operation", "kernel"), [(Shuffle(5), 5), (ShuffleXception(), 3)])
def test_at_stride_two_the_whole_input_goes_through_projection_and_branch(
    operation: Operation, kernel: int
) -> None:
    module = operation.build(6, 16, 2)
    assert isinstance(module, ShuffleBlock)
    assert module.projection is not None
    images = build_images(2, 6)

    assert shapes(module.projection) == [(6, 1, kernel, kernel), (6, 6, 1, 1)]
    assert torch.equal(module(images)[:, :6], module.projection(images))
    assert torch.equal(module(images)[:, 6:], module.branch(images))


def test_the_branches_have_the_published_widths() -> None:
    assert shapes(Shuffle(7).build(16, 16, 1)) == [(8, 8, 1, 1), (8, 1, 7, 7), (8, 8, 1, 1)]
    assert shapes(ShuffleXception().build(16, 16, 1)) == [
        (8, 1, 3, 3),
        (8, 8, 1, 1),
        (8, 1, 3, 3),
        (8, 8, 1, 1),
        (8, 1, 3, 3),
        (8, 8, 1, 1),
    ]
    strided = ShuffleXception().build(16, 64, 2)
    assert isinstance(strided, ShuffleBlock)
    assert shapes(strided.branch) == [
        (16, 1, 3, 3),
        (32, 16, 1, 1),
        (32, 1, 3, 3),
        (32, 32, 1, 1),
        (32, 1, 3, 3),
        (48, 32, 1, 1),
    ]


def test_a_downsample_is_a_convolution_and_a_batch_norm() -> None:
    module = Downsample().build(4, 8, 2)
    assert isinstance(module, nn.Sequential)

    assert [type(part) for part in module] == [nn.Conv2d, nn.BatchNorm2d]
    assert shapes(module) == [(8, 4, 1, 1)]


def test_an_identity_returns_its_input() -> None:
    images = build_images(2, 4)

    assert Identity().build(4, 4, 1)(images) is images


@pytest.mark.parametrize(
    ("stem", "side"), [(ConvStem(5, 1), 9), (ConvStem(5, 2, "relu6"), 5), (MobileStem(7, 5), 5)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_stem_takes_images_of_any_number_of_channels(
    stem: ConvStem | MobileStem, side: int, channels: int
) -> None:
    assert stem.build(channels)(build_images(2, channels, 9)).shape == (2, 5, side, side)


def test_the_mobile_stem_is_a_strided_convolution_and_a_block_without_expansion() -> None:
    assert shapes(MobileStem(40, 24).build(3)) == [(40, 3, 3, 3), (40, 1, 3, 3), (24, 40, 1, 1)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("side", [1, 4, 7])
def test_a_head_pools_any_resolution_to_logits(bias: bool, side: int) -> None:
    module = PooledHead(6, bias=bias).build(4, 3)
    assert isinstance(module, nn.Sequential)

    assert module(build_images(2, 4, side)).shape == (2, 3)
    assert (module[-1].bias is not None) is bias


@pytest.mark.parametrize("side", [1, 4, 7])
def test_a_two_layer_head_has_an_activation_and_dropout_between_its_linear_layers(
    side: int,
) -> None:
    module = TwoLayerHead(6, 5).build(4, 3)
    assert isinstance(module, nn.Sequential)

    assert module(build_images(2, 4, side)).shape == (2, 3)
    assert [type(part) for part in list(module)[5:]] == [
        nn.Linear,
        nn.Hardswish,
        nn.Dropout,
        nn.Linear,
    ]
