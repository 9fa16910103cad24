"""The space around MobileNetV2: 23 layers, of which it has 17, 2^1 x 7^6 x 8^16 networks.

Every layer but the first has kernels 3/5 and a quarter, half or all of the network's own width
inside, or four thirds with its own kernel. At the network's depth they go down to 0.35 of its
300.8M multiply-adds, with layers left out to 0.23.

Source: MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) as torchvision has it.
"""

from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.member_stages import MemberStage, blocks_around, member_of
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.spaces.chain import SearchSpace


def layers(*hidden: int) -> tuple[InvertedResidual, ...]:
    """Return layers as MobileNetV2 has them."""
    return tuple(InvertedResidual(3, width) for width in hidden)


STAGES = (  # out_channels, stride of the first layer, widths inside: 6 times the inputs'
    MemberStage(16, 1, layers(32), further=0),
    MemberStage(24, 2, layers(96, 144)),
    MemberStage(32, 2, layers(144, 192, 192)),
    MemberStage(64, 2, layers(192, 384, 384, 384)),
    MemberStage(96, 1, layers(384, 576, 576)),
    MemberStage(160, 2, layers(576, 960, 960)),
    MemberStage(320, 1, layers(960)),
)

SPACE = SearchSpace(
    name="mobilenet_v2_imagenet",
    stem=ConvStem(32, 2, "relu6"),
    blocks=blocks_around(32, STAGES),
    head=PooledHead(1280, "relu6"),
    resolution=224,
    num_classes=1000,
    published=(("mobilenet_v2", member_of(32, STAGES)),),
)
