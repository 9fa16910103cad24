"""Parameter remapping: the weights of one block for another of the same layer.

Source: Fang et al., Fast Neural Network Adaptation via Parameter Remapping and Architecture
Search (ICLR 2020, arXiv 2001.02525), on the levels of kernels, widths and depth; importance by the
scales of batch norms as in Liu et al. 2017 (arXiv 1708.06519). That growing changes no output
is ours: zeros around a kernel, shares for copies, a scale of zero for a layer.
``.docs/pages/method.md`` has the equations.
"""

import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.block_parts import BlockParts, block_parts
from raynas.nets.operations import Residual
from raynas.nets.supernet import batch_norms


def remap_kernel(weight: torch.Tensor, kernel: int) -> torch.Tensor:
    """Return depthwise filters of another size: the centre of them, or zeros around them.

    Args:
        weight: C x 1 x k x k, k odd.
        kernel: Height and width of the filters that are wanted, odd.
    """
    margin = (kernel - weight.shape[-1]) // 2  # below zero: pixels to cut on each side
    return nn.functional.pad(weight, (margin, margin, margin, margin))


@torch.no_grad()
def channel_order(block: nn.Module) -> torch.Tensor:
    """Return the hidden channels of an inverted residual, the most important first.

    Channel j counts by |g_j| |W_j|: the scale of the batch norm after the depthwise convolution,
    times the norm of the column of the projection that reads the channel, the last batch norm
    folded in: a channel that nobody reads is not missed, however large its scale. Where there
    are images, ``refitting.py`` chooses by what channels do on them.

    Raises:
        UserError: The block is no inverted residual.
    """
    parts = _parts(block)
    columns = folded(parts.project, parts.project_norm).norm(dim=0)
    importance = parts.depthwise_norm.weight.abs() * columns
    order: torch.Tensor = importance.argsort(descending=True, stable=True)
    return order


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> torch.Tensor:
    """Return the matrix of a 1x1 convolution and the batch norm behind it, C_out x C_in."""
    return conv.weight[:, :, 0, 0] * _slopes(norm)[:, None]


@torch.no_grad()
def remap_block_(target: nn.Module, source: nn.Module, order: torch.Tensor | None = None) -> None:
    """Fill a block with the weights of another one of the same layer, in place.

    Blocks of the same form are copied. Running statistics are taken where the target keeps any.
    A gate that only the source has counts as open.

    Args:
        target: An inverted residual of any kernel, width inside and gate.
        source: The one whose weights are taken; outside it is as wide, with the same stride.
        order: The source's hidden channels, the most important first; None: ``channel_order``.

    Raises:
        UserError: The blocks differ in form, and one of them is no inverted residual.
    """
    if is_alike(target, source):
        copy_tensors_(target, source)
        return
    new, old = _parts(target), _parts(source)
    channels = _chosen(new, old, channel_order(source) if order is None else order)
    kernels = remap_kernel(old.depthwise.weight, new.depthwise.kernel_size[0])[channels]
    columns = old.project.weight[:, channels]
    if new.expand is not None:
        _remap_expansion_(new, old, channels)
        columns = columns / _copies(channels, old.hidden)[:, None, None]
    elif old.expand is not None:  # input i stands for what the hidden channel reads of it
        inputs = torch.arange(new.hidden, device=channels.device)
        kernels = kernels * _reading(old)[channels, inputs][:, None, None, None]
    if new.squeeze is not None:
        columns = columns * _remap_gate_(new, old, channels)
    new.depthwise.weight.copy_(kernels)
    new.project.weight.copy_(columns)
    _copy_norm_(new.depthwise_norm, old.depthwise_norm, channels)
    _copy_norm_(new.project_norm, old.project_norm)


@torch.no_grad()
def begin_as_identity_(target: nn.Module, nearest: nn.Module | None) -> None:
    """Fill a layer that the source does not have, so that its residual adds nothing at first.

    With the last batch norm's scale and shift at zero the branch gives zero, while the gradient
    of the scale does not vanish. A block without a residual keeps what it has.

    Args:
        target: A block that keeps its input's shape.
        nearest: The earlier block of the stage whose weights it takes; None: it keeps its own.
    """
    if not isinstance(target, Residual):
        return
    if nearest is not None and can_remap(target, nearest):
        remap_block_(target, nearest)
    for norm in batch_norms(target)[-1:]:
        norm.weight.zero_()
        norm.bias.zero_()


def can_remap(target: nn.Module, source: nn.Module) -> bool:
    """Return whether ``remap_block_`` can fill the target from the source."""
    if is_alike(target, source):
        return True
    new, old = block_parts(target), block_parts(source)
    return new is not None and old is not None and new.outside == old.outside


def is_alike(target: nn.Module, source: nn.Module) -> bool:
    """Return whether two modules compute the same with the same weights, as far as parts tell."""
    return _form(target) == _form(source)


@torch.no_grad()
def copy_tensors_(target: nn.Module, source: nn.Module) -> None:
    """Copy all parameters, and the buffers that the target has, between modules of one form."""
    values = source.state_dict()
    for name, tensor in target.state_dict().items():
        tensor.copy_(values[name])


def _form(module: nn.Module) -> list[tuple[object, ...]]:
    return [
        (type(part), _options(part), *(each.shape for each in part.parameters(recurse=False)))
        for part in module.modules()
    ]


def _options(part: nn.Module) -> object:
    """Return what a part computes by besides weights, such as strides and dilation."""
    if isinstance(part, nn.BatchNorm2d):
        return part.eps  # whether it keeps running statistics is another question
    is_silent = isinstance(part, nn.Dropout) or next(part.children(), None) is not None
    return None if is_silent else part.extra_repr()


def _parts(block: nn.Module) -> BlockParts:
    parts = block_parts(block)
    if parts is None:
        raise UserError(
            f"remapping parameters: got a {type(block).__name__} of another form, wanted an "
            "inverted residual (expand, depthwise, project) such as MBConv; take its own weights"
        )
    return parts


def _chosen(new: BlockParts, old: BlockParts, order: torch.Tensor) -> torch.Tensor:
    """Return the source's hidden channel for each of the target's; copies follow all others."""
    if new.expand is None and old.expand is not None:
        return _reading(old).abs().argmax(dim=0)  # for each input the channel that reads it most
    return _kept_or_copied(order, new.hidden)


def _kept_or_copied(order: torch.Tensor, width: int) -> torch.Tensor:
    """Return as many channels as wanted: the first ones in order, or all and then copies."""
    if width <= len(order):
        return order[:width].sort().values
    rounds = -(-width // len(order))
    return torch.cat([order.sort().values, order.repeat(rounds - 1)])[:width]


def _reading(old: BlockParts) -> torch.Tensor:
    """Return by how much each hidden channel reads each input, hidden x in_channels."""
    assert old.expand is not None
    assert old.expand_norm is not None
    return folded(old.expand, old.expand_norm)


def _remap_expansion_(new: BlockParts, old: BlockParts, channels: torch.Tensor) -> None:
    assert new.expand is not None
    assert new.expand_norm is not None
    if old.expand is not None:
        assert old.expand_norm is not None
        new.expand.weight.copy_(old.expand.weight[channels])
        _copy_norm_(new.expand_norm, old.expand_norm, channels)
        return
    # each hidden channel is one of the inputs: exact where those are not negative
    one_hot = nn.functional.one_hot(channels, old.hidden)
    new.expand.weight.copy_(one_hot[:, :, None, None])
    new.expand_norm.reset_running_stats()  # mean 0 and variance 1, where there are any
    new.expand_norm.weight.fill_((1 + new.expand_norm.eps) ** 0.5)
    new.expand_norm.bias.zero_()


def _remap_gate_(new: BlockParts, old: BlockParts, channels: torch.Tensor) -> float:
    """Fill the gate, and return by what the projection must be multiplied for it."""
    assert new.squeeze is not None
    assert new.excite is not None
    assert new.excite.bias is not None
    if old.squeeze is None:
        new.excite.weight.zero_()
        new.excite.bias.zero_()
        return 2.0  # sigmoid(0) = hard sigmoid(0) = 1/2
    assert old.excite is not None
    assert new.squeeze.bias is not None
    assert old.squeeze.bias is not None
    assert old.excite.bias is not None
    reads, writes = old.squeeze.weight, old.excite.weight  # width x hidden and back, 1 x 1
    importance = reads.flatten(1).norm(dim=1) * writes.flatten(1).norm(dim=0)
    units = _kept_or_copied(
        importance.argsort(descending=True, stable=True), new.squeeze.out_channels
    )
    reads = reads[units][:, channels] / _copies(channels, old.hidden)[:, None, None]
    writes = writes[channels][:, units] / _copies(units, len(importance))[:, None, None]
    new.squeeze.weight.copy_(reads)
    new.squeeze.bias.copy_(old.squeeze.bias[units])
    new.excite.weight.copy_(writes)
    new.excite.bias.copy_(old.excite.bias[channels])
    return 1.0


def _copies(channels: torch.Tensor, count: int) -> torch.Tensor:
    """Return how often the channel at each place occurs among all."""
    return torch.bincount(channels, minlength=count)[channels]


def _slopes(norm: nn.BatchNorm2d) -> torch.Tensor:
    """Return by what a batch norm multiplies each channel, in evaluation mode if it has one."""
    if norm.running_var is None:
        return norm.weight
    return norm.weight / torch.sqrt(norm.running_var + norm.eps)


def _copy_norm_(
    target: nn.BatchNorm2d, source: nn.BatchNorm2d, channels: torch.Tensor | None = None
) -> None:
    values = source.state_dict()
    for name, tensor in target.state_dict().items():
        per_channel = channels is not None and values[name].dim() == 1
        tensor.copy_(values[name][channels] if per_channel else values[name])
