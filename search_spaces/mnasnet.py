"""MnasNet's seven stages without squeeze-excitation: 22 layers, 6^7 x 7^15 networks.

Source: MnasNet (Tan et al. 2019, arXiv 1807.11626) as in Accel-NASBench (Ahmad et al. 2024), whose
networks have one kernel and one expansion in each stage; here every layer chooses. A stage of fewer
layers ends with identities. EFFICIENTNET_LITE0 has the layers of the network of that name, but ReLU
for ReLU6 and symmetric padding.
"""

from raynas.nets.operations import Identity, MBConv
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.spaces.chain import ChoiceBlock, Operation, SearchSpace

CANDIDATES: tuple[Operation, ...] = tuple(
    MBConv(kernel, expansion, "relu") for kernel in (3, 5) for expansion in (1, 4, 6)
)

# channels, repeats, stride of the first layer of the stage
STAGES = (
    (16, 3, 1),
    (24, 3, 2),
    (40, 3, 2),
    (80, 3, 2),
    (112, 3, 1),
    (192, 4, 2),
    (320, 3, 1),
)

# by stages; -1 is identity
LITE0 = (0, -1, -1, 2, 2, -1, 5, 5, -1, 2, 2, 2, 5, 5, 5, 5, 5, 5, 5, 2, -1, -1)


def blocks() -> tuple[ChoiceBlock, ...]:
    """Return the searched layers, stage by stage."""
    layers: list[ChoiceBlock] = []
    in_channels = 32
    for channels, repeats, stride in STAGES:
        layers.append(ChoiceBlock(CANDIDATES, in_channels, channels, stride))
        further = ChoiceBlock((*CANDIDATES, Identity()), channels, channels, 1)
        layers += [further] * (repeats - 1)
        in_channels = channels
    return tuple(layers)


SPACE = SearchSpace(
    name="mnasnet",
    stem=ConvStem(out_channels=32, stride=2),
    blocks=blocks(),
    head=PooledHead(width=1280),
    resolution=224,
    num_classes=1000,
    published=(("EFFICIENTNET_LITE0", LITE0),),
)
