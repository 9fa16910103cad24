"""A small MobileNetV2 space for tiny images: 6 layers, kernels 3/5 x expansions 2/4, 4^6 networks.

Made for the default job (digits of 8 x 8 pixels), which must run on a laptop in minutes. With
identity in its four normal layers it holds 10,000 networks.
"""

from raynas.nets.operations import MBConv
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.spaces.chain import ChoiceBlock, SearchSpace

CANDIDATES = tuple(MBConv(kernel, expansion) for kernel in (3, 5) for expansion in (2, 4))

SPACE = SearchSpace(
    name="small_mobile",
    stem=ConvStem(out_channels=16, stride=1, activation="relu6"),
    blocks=(
        ChoiceBlock(CANDIDATES, 16, 24, stride=2),
        ChoiceBlock(CANDIDATES, 24, 24, stride=1),
        ChoiceBlock(CANDIDATES, 24, 24, stride=1),
        ChoiceBlock(CANDIDATES, 24, 48, stride=2),
        ChoiceBlock(CANDIDATES, 48, 48, stride=1),
        ChoiceBlock(CANDIDATES, 48, 48, stride=1),
    ),
    head=PooledHead(width=256, activation="relu6"),
    resolution=8,
    in_channels=1,
    num_classes=10,
)
