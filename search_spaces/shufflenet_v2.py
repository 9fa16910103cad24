"""SPOS's ShuffleNetV2 space: 20 layers, shuffle blocks of kernel 3/5/7 or Xception: 4^20.

Source: SPOS (arXiv 1904.00420 and its published code). Unlike SPOS's supernet, batch norms keep
scale and shift: without a scale there is no indicator to read. The published network is here by
name: SPOS, 322.9M MACs.
"""

from raynas.nets.operations import Shuffle, ShuffleXception
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.spaces.chain import ChoiceBlock, SearchSpace

CANDIDATES = (Shuffle(3), Shuffle(5), Shuffle(7), ShuffleXception())

# channels, repeats; the first layer of each stage has stride 2
STAGES = ((64, 4), (160, 4), (320, 8), (640, 4))


SPOS = (2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)


def blocks() -> tuple[ChoiceBlock, ...]:
    """Return the searched layers, stage by stage."""
    layers, in_channels = [], 16
    for channels, repeats in STAGES:
        for repeat in range(repeats):
            stride = 2 if repeat == 0 else 1
            layers.append(ChoiceBlock(CANDIDATES, in_channels, channels, stride))
            in_channels = channels
    return tuple(layers)


SPACE = SearchSpace(
    name="shufflenet_v2",
    stem=ConvStem(out_channels=16, stride=2),
    blocks=blocks(),
    head=PooledHead(width=1024, bias=False),
    resolution=224,
    num_classes=1000,
    published=(("SPOS", SPOS),),
)
