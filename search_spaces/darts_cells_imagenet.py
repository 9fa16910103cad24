"""The cells of DARTS for ImageNet: 4298030100^2 networks of 14 cells with 48 channels.

The operations and nodes are those of ``darts_cells``. The stem halves the resolution three times
and makes both states of the first cell, of 56 and 28 pixels. Source: DARTS (Liu et al. 2019, arXiv
1806.09055, section 3.3) and its published network for ImageNet, without the auxiliary head.
"""

from raynas.nets.cell_operations import DARTS_OPERATIONS
from raynas.nets.stems_heads import AveragedHead, TwoStateStem
from raynas.spaces.cells import CellSpace
from raynas.spaces.published import CELLS

SPACE = CellSpace(
    name="darts_cells_imagenet",
    stem=TwoStateStem(out_channels=48),
    operations=DARTS_OPERATIONS,
    head=AveragedHead(),
    resolution=224,
    channels=48,
    cells=14,
    num_classes=1000,
    genotypes=CELLS,
)
