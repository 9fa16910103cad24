"""The modules of an inverted residual by their roles, whichever operation built it.

Sources: MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381); the gate between depthwise convolution
and projection as in MobileNetV3 (Howard et al. 2019, arXiv 1905.02244).
"""

from dataclasses import dataclass

from torch import nn

from raynas.nets.supernet import batch_norms


@dataclass(frozen=True)
class BlockParts:
    """What an inverted residual computes with.

    Attributes:
        expand: The 1x1 convolution to the hidden channels; None: they are the input's.
        expand_norm: The batch norm after it.
        depthwise: The k x k convolution with one filter a hidden channel.
        depthwise_norm: The batch norm after it.
        squeeze: The first 1x1 convolution of the gate (squeeze-excitation); None: no gate.
        excite: Its second one, back to the hidden channels.
        project: The 1x1 convolution to the output's channels.
        project_norm: The batch norm after it, with which the branch ends.
    """

    expand: nn.Conv2d | None
    expand_norm: nn.BatchNorm2d | None
    depthwise: nn.Conv2d
    depthwise_norm: nn.BatchNorm2d
    squeeze: nn.Conv2d | None
    excite: nn.Conv2d | None
    project: nn.Conv2d
    project_norm: nn.BatchNorm2d

    @property
    def hidden(self) -> int:
        """The number of hidden channels."""
        return self.depthwise.out_channels

    @property
    def outside(self) -> tuple[int, int, int]:
        """The channels that arrive, those that leave, and the stride."""
        first = self.depthwise if self.expand is None else self.expand
        return first.in_channels, self.project.out_channels, self.depthwise.stride[0]


def block_parts(block: nn.Module) -> BlockParts | None:
    """Return a block's modules by role, told by the order in which they are registered.

    None: it is no inverted residual. That has one depthwise convolution, at most one 1x1
    convolution before it, one after it or three (the gate's two first), a batch norm after each
    but the gate's, and nothing behind the last.
    """
    convs = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    norms = batch_norms(block)
    places = [place for place, conv in enumerate(convs) if _is_depthwise(conv)]
    if len(places) != 1:
        return None
    before, after = convs[: places[0]], convs[places[0] + 1 :]
    if len(before) > 1 or len(after) not in {1, 3} or len(norms) != len(before) + 2:
        return None
    if not all(map(_is_pointwise, before + after)) or list(block.modules())[-1] is not norms[-1]:
        return None
    return BlockParts(
        expand=before[0] if before else None,
        expand_norm=norms[0] if before else None,
        depthwise=convs[places[0]],
        depthwise_norm=norms[-2],
        squeeze=after[0] if len(after) == 3 else None,
        excite=after[1] if len(after) == 3 else None,
        project=after[-1],
        project_norm=norms[-1],
    )


def _is_depthwise(conv: nn.Conv2d) -> bool:
    one_filter_each = conv.groups == conv.in_channels == conv.out_channels
    return one_filter_each and (conv.groups > 1 or conv.kernel_size != (1, 1))


def _is_pointwise(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.groups == 1
