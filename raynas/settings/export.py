"""What is written of each trained network: the settings of ``[export]``.

The text under each field is its ``--help``.
"""

from dataclasses import dataclass
from typing import Annotated

from raynas.settings.ranges import Interval


@dataclass(frozen=True)
class ExportSettings:
    """What is written of each trained network."""

    int8: bool = True
    """Whether model.int8.onnx is written, too: model.onnx with whole numbers of 8 bits, several
    times smaller; it takes some seconds a network."""
    max_drop: Annotated[float, Interval("[0, 1]")] = 0.01
    """Most validation accuracy, as a share of the images, that model.int8.onnx may lose against
    model.onnx; one that loses more is not written."""
