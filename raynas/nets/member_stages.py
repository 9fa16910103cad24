"""Spaces around a network that exists: each layer's choices, of which its own operation is one.

A layer may have another kernel, and be narrower or wider inside; a stage may have fewer or more
layers. Stem, head and the widths between layers are the network's, so that its weights fit most of
what the space holds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.operations import Identity
from raynas.spaces.chain import ChoiceBlock, Operation

KERNELS = (3, 5)
NARROWER = (Fraction(1, 4), Fraction(1, 2))
"""Shares of a layer's width inside that it may have, with either kernel."""
WIDER = Fraction(4, 3)
"""The larger share, with the network's own kernel only: what is larger trains slower."""
_MULTIPLE = 8  # of channels, as in MobileNetV2 and later


@dataclass(frozen=True)
class MemberStage:
    """Layers of the network that are equally wide outside.

    Attributes:
        out_channels: What each of them makes.
        stride: Of the first one.
        layers: Their operations in order.
        further: Layers that the space has beyond them, with the choices of the last one.
    """

    out_channels: int
    stride: int
    layers: tuple[InvertedResidual, ...]
    further: int = 1


def blocks_around(in_channels: int, stages: Sequence[MemberStage]) -> tuple[ChoiceBlock, ...]:
    """Return the searched layers; in_channels are those that the stem makes."""
    return tuple(block for block, _ in _layers(in_channels, stages))


def member_of(in_channels: int, stages: Sequence[MemberStage]) -> tuple[int, ...]:
    """Return the network itself, a choice a layer; the further layers are -1, identity."""
    return tuple(
        -1 if operation is None else block.candidates.index(operation)
        for block, operation in _layers(in_channels, stages)
    )


def choices_around(operation: InvertedResidual, in_channels: int) -> tuple[InvertedResidual, ...]:
    """Return the operations that a layer may have: kernels by widths, and the wider one.

    Where the network does not expand, only the kernel is chosen. A width inside that were the
    input's is one step wider, since it would have no expanding convolution. A squeeze-excitation
    keeps its width.
    """
    own = operation.hidden
    if own == in_channels:
        return tuple(replace(operation, kernel=kernel) for kernel in KERNELS)
    narrower = {_width(share * own, in_channels) for share in NARROWER}
    widths = (*sorted(width for width in narrower if width < own), own)
    product = [
        replace(operation, kernel=kernel, hidden=width) for kernel in KERNELS for width in widths
    ]
    wider = _width(WIDER * own, in_channels)
    return (*product, *[replace(operation, hidden=wider)] * (wider > own))


def _layers(
    in_channels: int, stages: Sequence[MemberStage]
) -> Iterator[tuple[ChoiceBlock, InvertedResidual | None]]:
    """Yield each layer and what the network has there; None: it has no such layer."""
    for stage in stages:
        stride = stage.stride
        for operation in (*stage.layers, *[None] * stage.further):
            choices = choices_around(operation or stage.layers[-1], in_channels)
            is_normal = (stride, in_channels) == (1, stage.out_channels)
            further: tuple[Operation, ...] = (Identity(),) if is_normal else ()
            candidates = (*choices, *further)
            yield ChoiceBlock(candidates, in_channels, stage.out_channels, stride), operation
            in_channels, stride = stage.out_channels, 1


def _width(channels: Fraction, in_channels: int) -> int:
    """Return the nearest multiple of 8, but no fewer than 8 and not the input's width."""
    width = max(_MULTIPLE, _MULTIPLE * round(channels / _MULTIPLE))
    return width + _MULTIPLE if width == in_channels else width
