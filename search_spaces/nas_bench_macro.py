"""NAS-Bench-Macro's space: 8 layers x {identity, k3e3, k5e6} on 32 x 32 pixels, 3^8 networks.

Source: NAS-Bench-Macro (Su et al., CVPR 2021, arXiv 2103.11922). A key of its table such as
``02012100`` is an architecture; '0' is identity in normal layers and a 1x1 convolution where a
stage begins. Its networks were all trained, so rankings can be measured against the truth.
"""

from raynas.nets.operations import Downsample, Identity, MBConv
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.spaces.chain import ChoiceBlock, Operation, SearchSpace

BLOCKS: tuple[Operation, ...] = (MBConv(3, 3, "relu"), MBConv(5, 6, "relu"))
STAGES = ((64, 2), (128, 3), (256, 3))  # channels, layers; the first of a stage has stride 2


def blocks() -> tuple[ChoiceBlock, ...]:
    """Return the searched layers, stage by stage."""
    layers, in_channels = [], 32
    for channels, repeats in STAGES:
        layers.append(ChoiceBlock((Downsample(), *BLOCKS), in_channels, channels, stride=2))
        normal = ChoiceBlock((Identity(), *BLOCKS), channels, channels, stride=1)
        layers += [normal] * (repeats - 1)
        in_channels = channels
    return tuple(layers)


SPACE = SearchSpace(
    name="nas_bench_macro",
    stem=ConvStem(out_channels=32, stride=1),
    blocks=blocks(),
    head=PooledHead(width=1280),
    resolution=32,
    num_classes=10,
)
