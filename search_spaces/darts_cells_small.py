"""DARTS' cells for tiny images and CPUs: 4298030100^2 networks of 5 cells with 8 channels.

The operations and nodes are those of ``darts_cells``; made for images of 8 x 8 pixels, and larger.
"""

from raynas.nets.cell_operations import DARTS_OPERATIONS
from raynas.nets.stems_heads import AveragedHead, LinearStem
from raynas.spaces.cells import CellSpace

SPACE = CellSpace(
    name="darts_cells_small",
    stem=LinearStem(out_channels=3 * 8),
    operations=DARTS_OPERATIONS,
    head=AveragedHead(),
    resolution=8,
    channels=8,
    cells=5,
    in_channels=1,
)
