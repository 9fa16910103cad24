"""The paper's MobileNetV2 space: 20 layers, kernels 3/5/7 x expansions 3/6, 6^20 networks.

Source: BN-NAS's table of layers (arXiv 2108.07375 and its published code): its rows 0 to 19 are
searched and row 20 is fixed to k3e6. Where the layer indicator is a path, identity is a seventh
candidate of the 15 normal layers; without it no network is below 487.1M MACs.
"""

from dataclasses import dataclass

from torch import nn

from raynas.nets.operations import MBConv
from raynas.nets.stems_heads import MobileStem, PooledHead
from raynas.spaces.chain import ChoiceBlock, SearchSpace

CANDIDATES = tuple(MBConv(kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 6))

# channels, repeats, stride of the first layer of the row
ROWS = ((32, 4, 2), (56, 4, 2), (112, 4, 2), (128, 4, 1), (256, 4, 2))


@dataclass(frozen=True)
class LastBlockHead:
    """Row 20, fixed to k3e6, and the head."""

    block_channels: int = 432
    head_width: int = 1728

    def build(self, in_channels: int, num_classes: int) -> nn.Module:
        """Return the block 256 -> 432 and the head 432 -> classes."""
        return nn.Sequential(
            MBConv(3, 6).build(in_channels, self.block_channels, 1),
            PooledHead(self.head_width, "relu6").build(self.block_channels, num_classes),
        )


def blocks() -> tuple[ChoiceBlock, ...]:
    """Return the searched layers, row by row."""
    layers, in_channels = [], 24
    for channels, repeats, stride in ROWS:
        for repeat in range(repeats):
            first = repeat == 0
            layers.append(ChoiceBlock(CANDIDATES, in_channels, channels, stride if first else 1))
            in_channels = channels
    return tuple(layers)


SPACE = SearchSpace(
    name="mobilenet_v2",
    stem=MobileStem(width=40, out_channels=24),
    blocks=blocks(),
    head=LastBlockHead(),
    resolution=224,
    num_classes=1000,
)
