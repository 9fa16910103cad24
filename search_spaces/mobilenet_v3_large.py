"""The space around MobileNetV3-Large: 20 layers, of which it has 15, 3^1 x 7^5 x 8^14 networks.

Every layer but the first has kernels 3/5 and a quarter, half or all of the network's own width
inside, or four thirds with its own kernel. At the network's depth they go down to 0.33 of its
216.6M multiply-adds, with layers left out to 0.17.

Source: MobileNetV3 (Howard et al. 2019, arXiv 1905.02244, table 1) as torchvision has it.
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
    MemberStage(16, 1, (layer(3, 16, "relu"),), further=0),
    MemberStage(24, 2, (layer(3, 64, "relu"), layer(3, 72, "relu"))),
    MemberStage(40, 2, (layer(5, 72, "relu", 24), *[layer(5, 120, "relu", 32)] * 2)),
    MemberStage(
        80,
        2,
        (
            layer(3, 240, "hard_swish"),
            layer(3, 200, "hard_swish"),
            *[layer(3, 184, "hard_swish")] * 2,
        ),
    ),
    MemberStage(112, 1, (layer(3, 480, "hard_swish", 120), layer(3, 672, "hard_swish", 168))),
    MemberStage(
        160, 2, (layer(5, 672, "hard_swish", 168), *[layer(5, 960, "hard_swish", 240)] * 2)
    ),
)

SPACE = SearchSpace(
    name="mobilenet_v3_large",
    stem=ConvStem(16, 2, "hard_swish", epsilon=EPSILON),
    blocks=blocks_around(16, STAGES),
    head=TwoLayerHead(960, 1280),
    resolution=224,
    num_classes=1000,
    published=(("mobilenet_v3_large", member_of(16, STAGES)),),
)
