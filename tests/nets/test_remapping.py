"""The weights of one block for another: what growing keeps, and what shrinking leaves."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from raynas.errors import UserError
from raynas.nets.activations import Activation
from raynas.nets.block_parts import BlockParts, block_parts
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.operations import MBConv, Shuffle
from raynas.nets.padding import Padding
from raynas.nets.remapping import (
    begin_as_identity_,
    channel_order,
    is_alike,
    remap_block_,
    remap_kernel,
)
from raynas.nets.squeeze_excitation import SqueezeExcitation
from tests.builders import build_images, settled

CHANNELS, HIDDEN = 4, 8
shapes = st.sampled_from([(4, 1), (6, 1), (6, 2)])  # channels that leave, stride


def build(
    operation: InvertedResidual | MBConv, seed: int = 0, out: int = CHANNELS, stride: int = 1
) -> nn.Module:
    """Return a block whose batch norms have statistics, scales and shifts of a trained one."""
    return settled(operation.build(CHANNELS, out, stride), seed)


def parts_of(block: nn.Module) -> BlockParts:
    parts = block_parts(block)
    assert parts is not None
    return parts


def assert_same(block: nn.Module, other: nn.Module, *, non_negative: bool = False) -> None:
    x = build_images(5, CHANNELS, side=7)
    x = x.abs() if non_negative else x
    torch.testing.assert_close(block(x), other(x), rtol=1e-5, atol=1e-5)


@given(
    kernels=st.sampled_from([(1, 3), (3, 5), (3, 7), (5, 7)]),
    widths=st.tuples(st.integers(5, 12), st.integers(0, 30)),
    squeezes=st.sampled_from([None, (3, 3), (2, 5), (3, 9)]),
    activation=st.sampled_from(["relu6", "hard_swish", "silu"]),
    shape=shapes,
    padding=st.sampled_from(["symmetric", "same"]),
    seed=st.integers(0, 99),
)
def test_a_larger_kernel_and_copies_of_channels_and_of_gate_units_change_no_output(
    kernels: tuple[int, int],
    widths: tuple[int, int],
    squeezes: tuple[int, int] | None,
    activation: Activation,
    shape: tuple[int, int],
    padding: Padding,
    seed: int,
) -> None:
    if shape[1] == 2 and kernels[0] == 1:
        padding = "symmetric"  # 'same' puts a kernel of 1 onto other pixels at stride 2
    gates = [None, None] if squeezes is None else [SqueezeExcitation(width) for width in squeezes]
    operations = [
        InvertedResidual(kernel, width, activation, gate, padding)
        for kernel, width, gate in zip(kernels, (widths[0], sum(widths)), gates, strict=True)
    ]
    source, target = (build(operation, seed, *shape) for operation in operations)
    remap_block_(target, source)

    assert_same(target, source)


def test_operations_of_either_kind_are_inverted_residuals_by_their_modules_alone() -> None:
    source, target = build(MBConv(3, 2)), build(InvertedResidual(5, 16), seed=1)
    remap_block_(target, source)

    assert_same(target, source)


def test_a_gate_that_the_source_does_not_have_begins_without_an_effect() -> None:
    source = build(InvertedResidual(3, HIDDEN))
    for gate in ("sigmoid", "hard_sigmoid"):
        squeeze = SqueezeExcitation(3, gate=gate)
        target = build(InvertedResidual(3, HIDDEN, squeeze=squeeze), seed=1)
        remap_block_(target, source)

        assert_same(target, source)


def test_an_expansion_that_the_source_does_not_have_begins_with_copies_of_the_input() -> None:
    source, target = build(MBConv(3, 1)), build(MBConv(5, 3), seed=1)
    remap_block_(target, source)

    assert_same(target, source, non_negative=True)


def test_without_an_expansion_an_input_stands_for_the_channel_that_reads_it_most() -> None:
    plain, source, target = build(MBConv(3, 1)), build(MBConv(3, 2)), build(MBConv(3, 1), seed=1)
    remap_block_(source, plain)  # channels i and i + 4 read input i
    with torch.no_grad():
        parts_of(source).project.weight[:, :CHANNELS] *= 2.0
        parts_of(source).project.weight[:, CHANNELS:] = 0.0
    remap_block_(target, source)

    assert_same(target, source, non_negative=True)


def test_a_smaller_kernel_is_the_centre_of_a_larger_one() -> None:
    weight = torch.arange(50.0).reshape(2, 1, 5, 5)

    assert torch.equal(remap_kernel(weight, 3), weight[:, :, 1:4, 1:4])
    assert torch.equal(remap_kernel(remap_kernel(weight, 9), 5), weight)
    assert remap_kernel(weight, 7).sum() == weight.sum()


@given(width=st.integers(1, HIDDEN - 1).filter(lambda width: width != CHANNELS))
def test_shrinking_keeps_the_channels_of_the_largest_scale_times_column(width: int) -> None:
    source = build(InvertedResidual(3, HIDDEN))
    target = build(InvertedResidual(3, width), seed=1)
    old, new = parts_of(source), parts_of(target)
    assert old.project_norm.running_var is not None
    slopes = old.project_norm.weight / torch.sqrt(old.project_norm.running_var + 1e-5)
    columns = (old.project.weight[:, :, 0, 0] * slopes[:, None]).norm(dim=0)
    importance = old.depthwise_norm.weight.abs() * columns
    kept = importance.topk(width).indices.sort().values
    remap_block_(target, source)

    assert torch.equal(channel_order(source)[:width].sort().values, kept)
    assert torch.equal(new.depthwise.weight, old.depthwise.weight[kept])
    assert torch.equal(new.project.weight, old.project.weight[:, kept])
    assert new.depthwise_norm.running_var is not None
    assert torch.equal(new.depthwise_norm.running_var, old.depthwise_norm.running_var[kept])


def test_a_channel_that_nobody_reads_is_the_first_to_go_however_large_its_scale() -> None:
    source = build(InvertedResidual(3, HIDDEN))
    with torch.no_grad():
        parts_of(source).depthwise_norm.weight[5] = 100.0
        parts_of(source).project.weight[:, 5] = 0.0

    assert channel_order(source)[-1] == 5


def test_a_block_of_the_same_form_is_an_exact_copy_with_its_statistics() -> None:
    for operation in (MBConv(5, 2), InvertedResidual(3, HIDDEN, squeeze=SqueezeExcitation(2))):
        source, target = build(operation), build(operation, seed=1)
        remap_block_(target, source)

        assert is_alike(target, source)
        values = source.state_dict()
        assert all(torch.equal(values[name], v) for name, v in target.state_dict().items())


@pytest.mark.parametrize(
    ("mine", "other", "alike"),
    [
        (nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), True),
        (nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=3, dilation=3), False),
        (nn.AvgPool2d(3), nn.AvgPool2d(5), False),
        (nn.BatchNorm2d(4, eps=1e-3), nn.BatchNorm2d(4), False),
        (nn.BatchNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False), True),
        (nn.Sequential(nn.Dropout(0.0)), nn.Sequential(nn.Dropout(0.2)), True),
        (nn.ReLU(), nn.ReLU6(), False),
    ],
)
def test_only_what_computes_the_same_with_the_same_weights_is_alike(
    mine: nn.Module, other: nn.Module, alike: bool
) -> None:
    assert is_alike(nn.Sequential(mine), nn.Sequential(other)) == alike


@pytest.mark.parametrize("nearest", [None, MBConv(3, 2), MBConv(5, 3)])
def test_a_further_layer_adds_nothing_and_its_last_scale_has_a_gradient(
    nearest: MBConv | None,
) -> None:
    target = build(MBConv(3, 2), seed=1)
    begin_as_identity_(target, None if nearest is None else build(nearest))
    x = build_images(5, CHANNELS, side=7)
    y = target(x)
    y.square().sum().backward()
    grad = parts_of(target).project_norm.weight.grad

    assert torch.equal(y, x)
    assert grad is not None
    assert bool((grad != 0).all())


def test_a_further_layer_without_a_residual_keeps_what_it_has() -> None:
    block = build(MBConv(3, 2), out=6)
    before = block.state_dict()
    begin_as_identity_(block, build(MBConv(3, 2), seed=1, out=6))

    assert all(torch.equal(before[name], value) for name, value in block.state_dict().items())
    assert bool((parts_of(block).project_norm.weight != 0).any())


def test_gradients_reach_every_weight_of_a_block_that_was_grown() -> None:
    source = build(InvertedResidual(3, HIDDEN, squeeze=SqueezeExcitation(2)))
    target = build(InvertedResidual(5, 2 * HIDDEN, squeeze=SqueezeExcitation(4)), seed=1)
    remap_block_(target, source)
    target.train()
    target(build_images(5, CHANNELS, side=7)).square().sum().backward()

    grads = {name: parameter.grad for name, parameter in target.named_parameters()}
    assert all(grad is not None and grad.isfinite().all() for grad in grads.values())
    depthwise = parts_of(target).depthwise.weight.grad
    assert depthwise is not None
    assert bool((depthwise != 0).any(dim=0).all())  # the zeros around a kernel learn, too


def test_a_block_of_another_form_is_refused_by_its_name() -> None:
    with pytest.raises(UserError, match="got a ShuffleBlock of another form"):
        remap_block_(Shuffle(3).build(4, 4, 1), Shuffle(5).build(4, 4, 1))
