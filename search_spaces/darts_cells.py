"""The cells of DARTS and PR-DARTS: 8 nodes in two cells, 4298030100^2 pairs of them.

A node adds up two of 7 operations on earlier states of its cell, so it is one of 91, 210, 378 or
595, and 91 x 210 x 378 x 595 = 4298030100; a normal and a reduction cell make the network of 20.
"""

from raynas.nets.cell_operations import DARTS_OPERATIONS
from raynas.nets.stems_heads import AveragedHead, LinearStem
from raynas.spaces.cells import CellSpace
from raynas.spaces.published import CELLS

SPACE = CellSpace(
    name="darts_cells",
    stem=LinearStem(out_channels=3 * 36),
    operations=DARTS_OPERATIONS,
    head=AveragedHead(),
    resolution=32,
    channels=36,
    cells=20,
    genotypes=CELLS,
)
