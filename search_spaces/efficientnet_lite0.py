"""The space around EfficientNet-Lite0: 22 layers, of which it has 16, 2^1 x 7^6 x 8^15 networks.

Every layer but the first has kernels 3/5 and a quarter, half or all of the network's own width
inside, or four thirds with its own kernel. At the network's depth they go down to 0.32 of its
385.2M multiply-adds, with layers left out to 0.19.

Source: EfficientNet-Lite (Liu 2020, in tensorflow/tpu), which is EfficientNet-B0 (arXiv 1905.11946)
without squeeze-excitation, with ReLU6 and padding as TensorFlow's 'same'.
"""

from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.member_stages import MemberStage, blocks_around, member_of
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.spaces.chain import SearchSpace

EPSILON = 1e-3


def layer(kernel: int, hidden: int) -> InvertedResidual:
    """Return a layer as EfficientNet-Lite has it."""
    return InvertedResidual(kernel, hidden, "relu6", padding="same", epsilon=EPSILON)


STAGES = (  # out_channels, stride of the first layer, layers; hidden widths are 6 times the inputs'
    MemberStage(16, 1, (layer(3, 32),), further=0),
    MemberStage(24, 2, (layer(3, 96), layer(3, 144))),
    MemberStage(40, 2, (layer(5, 144), layer(5, 240))),
    MemberStage(80, 2, (layer(3, 240), *[layer(3, 480)] * 2)),
    MemberStage(112, 1, (layer(5, 480), *[layer(5, 672)] * 2)),
    MemberStage(192, 2, (layer(5, 672), *[layer(5, 1152)] * 3)),
    MemberStage(320, 1, (layer(3, 1152),)),
)

SPACE = SearchSpace(
    name="efficientnet_lite0",
    stem=ConvStem(32, 2, "relu6", "same", EPSILON),
    blocks=blocks_around(32, STAGES),
    head=PooledHead(1280, "relu6", epsilon=EPSILON),
    resolution=224,
    num_classes=1000,
    published=(("efficientnet_lite0", member_of(32, STAGES)),),
)
