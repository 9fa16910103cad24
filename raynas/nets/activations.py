"""Activations and gates by name, as operations hold them.

Sources: MobileNetV2 (ReLU6), MobileNetV3 (Howard et al. 2019, arXiv 1905.02244: hard-swish and hard
sigmoid), EfficientNet (Tan and Le 2019, arXiv 1905.11946: SiLU).
"""

from typing import Literal

from torch import nn

Activation = Literal["relu", "relu6", "hard_swish", "silu"]
"""What follows batch norms."""

RECTIFIERS = (nn.ReLU, nn.Hardtanh, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish)
"""ReLU and its relatives, also smooth ones, which pass what is large and stop what is small.

ReLU6 is a Hardtanh.
"""

Gate = Literal["sigmoid", "hard_sigmoid"]
"""What makes the factors of a squeeze-excitation, from 0 to 1."""


def activation_layer(activation: Activation) -> nn.Module:
    """Return the activation module of that name; it overwrites its input."""
    match activation:
        case "relu6":
            return nn.ReLU6(inplace=True)
        case "hard_swish":  # x min(max(x + 3, 0), 6) / 6
            return nn.Hardswish(inplace=True)
        case "silu":  # x sigmoid(x)
            return nn.SiLU(inplace=True)
        case _:
            return nn.ReLU(inplace=True)


def gate_layer(gate: Gate) -> nn.Module:
    """Return the gate of that name; the hard one is min(max(x + 3, 0), 6) / 6."""
    return nn.Hardsigmoid() if gate == "hard_sigmoid" else nn.Sigmoid()
