"""The space around MobileNetV3-Small: 15 layers, of which it has 11, 2^1 x 7^4 x 8^10 networks.

Every layer but the first has kernels 3/5 and a quarter, half or all of the network's own width
inside, or four thirds with its own kernel. At the network's depth they go down to 0.40 of its
56.5M multiply-adds, with layers left out to 0.27.

Source: MobileNetV3 (Howard et al. 2019, arXiv 1905.02244, table 2) as torchvision has it.
"""

from raynas.nets.activations import Activation
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.member_stages import MemberStage, blocks_around, member_of
from raynas.nets.squeeze_excitation import SqueezeExcitation
from raynas.nets.stems_heads import ConvStem, TwoLayerHead
from raynas.spaces.chain import SearchSpace

EPSILON = 1e-3


def layer(kernel: int, hidden: int, activation: Activation, squeezed: int = 0) -> InvertedResidual:
    """Return a layer as MobileNetV3 has it; squeezed 0: without squeeze-excitation."""
    squeeze = SqueezeExcitation(squeezed, "relu", "hard_sigmoid") if squeezed else None
    return InvertedResidual(kernel, hidden, activation, squeeze, epsilon=EPSILON)


STAGES = (  # out_channels, stride of the first layer; kernels, widths inside, widths squeezed
    MemberStage(16, 2, (layer(3, 16, "relu", 8),), further=0),
    MemberStage(24, 2, (layer(3, 72, "relu"), layer(3, 88, "relu"))),
    MemberStage(40, 2, (layer(5, 96, "hard_swish", 24), *[layer(5, 240, "hard_swish", 64)] * 2)),
    MemberStage(48, 1, (layer(5, 120, "hard_swish", 32), layer(5, 144, "hard_swish", 40))),
    MemberStage(96, 2, (layer(5, 288, "hard_swish", 72), *[layer(5, 576, "hard_swish", 144)] * 2)),
)

SPACE = SearchSpace(
    name="mobilenet_v3_small",
    stem=ConvStem(16, 2, "hard_swish", epsilon=EPSILON),
    blocks=blocks_around(16, STAGES),
    head=TwoLayerHead(576, 1024),
    resolution=224,
    num_classes=1000,
    published=(("mobilenet_v3_small", member_of(16, STAGES)),),
)
