"""The space around EfficientNet-B0: 22 layers, of which it has 16, 2^1 x 7^6 x 8^15 networks.

Every layer but the first has kernels 3/5 and a quarter, half or all of the network's own width
inside, or four thirds with its own kernel. At the network's depth they go down to 0.32 of its
385.8M multiply-adds, with layers left out to 0.19.

Source: EfficientNet (Tan and Le 2019, arXiv 1905.11946) as torchvision has it, but for its
stochastic depth.
"""

from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.member_stages import MemberStage, blocks_around, member_of
from raynas.nets.squeeze_excitation import SqueezeExcitation
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.spaces.chain import SearchSpace


def layer(kernel: int, hidden: int, squeezed: int) -> InvertedResidual:
    """Return a layer as EfficientNet has it."""
    squeeze = SqueezeExcitation(squeezed, "silu", "sigmoid")
    return InvertedResidual(kernel, hidden, "silu", squeeze)


STAGES = (  # out_channels, stride of the first layer; kernels, 6 and 1/4 times the inputs' widths
    MemberStage(16, 1, (layer(3, 32, 8),), further=0),
    MemberStage(24, 2, (layer(3, 96, 4), layer(3, 144, 6))),
    MemberStage(40, 2, (layer(5, 144, 6), layer(5, 240, 10))),
    MemberStage(80, 2, (layer(3, 240, 10), *[layer(3, 480, 20)] * 2)),
    MemberStage(112, 1, (layer(5, 480, 20), *[layer(5, 672, 28)] * 2)),
    MemberStage(192, 2, (layer(5, 672, 28), *[layer(5, 1152, 48)] * 3)),
    MemberStage(320, 1, (layer(3, 1152, 48),)),
)

SPACE = SearchSpace(
    name="efficientnet_b0",
    stem=ConvStem(32, 2, "silu"),
    blocks=blocks_around(32, STAGES),
    head=PooledHead(1280, "silu"),
    resolution=224,
    num_classes=1000,
    published=(("efficientnet_b0", member_of(32, STAGES)),),
)
