"""BN-NAS's MobileNetV2 space: 21 layers, of which 1, 5, 6 and 9 are fixed identities: 6^17.

Source: BN-NAS (arXiv 2108.07375 and its published code). Its published networks are
here by name: BNNAS has 471.8M MACs (BN-NAS prints 473.5M, for it counts the classifier's
additions too) and 5.2M parameters, SPOS, which its authors searched in the same space, 467.1M and
5.8M.
"""

from raynas.nets.operations import Identity, MBConv
from raynas.nets.stems_heads import MobileStem, PooledHead
from raynas.spaces.chain import ChoiceBlock, Operation, SearchSpace

CANDIDATES: tuple[Operation, ...] = tuple(
    MBConv(kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 6)
)
FIXED_IDENTITIES = (1, 5, 6, 9)

# channels, repeats, stride of the first layer of the row
ROWS = ((32, 4, 2), (56, 4, 2), (112, 4, 2), (128, 4, 1), (256, 4, 2), (432, 1, 1))


# in the published notation, where -1 is identity
BNNAS = (3, -1, 0, 4, 0, -1, -1, 0, 4, -1, 4, 4, 1, 4, 2, 0, 0, 4, 0, 2, 2)
SPOS = (0, -1, 0, 0, 4, -1, -1, 2, 0, -1, 4, 4, 3, 0, 2, 1, 0, 4, 2, 5, 2)


def blocks() -> tuple[ChoiceBlock, ...]:
    """Return the searched layers, row by row."""
    layers: list[ChoiceBlock] = []
    in_channels = 24
    for channels, repeats, stride in ROWS:
        for repeat in range(repeats):
            fixed = len(layers) in FIXED_IDENTITIES
            candidates = (Identity(),) if fixed else CANDIDATES
            first = repeat == 0
            layers.append(ChoiceBlock(candidates, in_channels, channels, stride if first else 1))
            in_channels = channels
    return tuple(layers)


SPACE = SearchSpace(
    name="mobilenet_v2_bnnas",
    stem=MobileStem(width=40, out_channels=24),
    blocks=blocks(),
    head=PooledHead(width=1728, activation="relu6"),
    resolution=224,
    num_classes=1000,
    published=(("BNNAS", BNNAS), ("SPOS", SPOS)),
)
