"""The cells of DARTS and PR-DARTS: 8 nodes in two cells, 4298030100^2 pairs of them.

A node adds up two of 7 operations on earlier states of its cell, so it is one of 91, 210, 378 or
595, and 91 x 210 x 378 x 595 = 4298030100; a normal and a reduction cell make the network of 20.
"""

from raynas.nets.cell_operations import (
    AveragePool,
    DilatedConv,
    MaxPool,
    NoConnection,
    SeparableConv,
    SkipConnection,
)
from raynas.nets.stems_heads import AveragedHead, LinearStem
from raynas.spaces.cells import CellSpace
from raynas.spaces.genotype import Genotype

OPERATIONS = (
    NoConnection(),
    SkipConnection(),
    SeparableConv(3),
    SeparableConv(5),
    DilatedConv(3),
    DilatedConv(5),
    AveragePool(3),
    MaxPool(3),
)

DARTS_V2 = Genotype.parse(  # arXiv 1806.09055, second order
    "normal: sep3(0) sep3(1) | sep3(0) sep3(1) | sep3(1) skip_connect(0) | skip_connect(0) dil3(2);"
    "reduction: maxpool3(0) maxpool3(1) | skip_connect(2) maxpool3(1) | maxpool3(0) skip_connect(2)"
    " | skip_connect(2) maxpool3(1)"
)
PR_DARTS = Genotype.parse(  # arXiv 2006.16537
    "normal: skip_connect(0) sep3(1) | dil3(2) sep3(0) | dil3(3) sep3(1) | dil3(4) dil3(1);"
    "reduction: avgpool3(0) dil5(1) | sep3(0) dil5(2) | sep5(1) dil3(3) | dil5(4) dil5(1)"
)
PC_DARTS_CIFAR = Genotype.parse(  # arXiv 1907.05737, searched on CIFAR-10
    "normal: sep3(1) skip_connect(0) | sep3(0) dil3(1) | sep5(0) sep3(1) | avgpool3(0) dil3(1);"
    "reduction: sep5(1) maxpool3(0) | sep5(1) sep5(2) | sep3(0) sep3(3) | sep3(1) sep3(2)"
)
PC_DARTS_IMAGENET = Genotype.parse(  # the same, searched on ImageNet
    "normal: skip_connect(1) sep3(0) | sep3(0) skip_connect(1) | sep3(1) sep3(3) | sep3(1) dil5(4);"
    "reduction: sep3(0) skip_connect(1) | dil5(2) maxpool3(1) | sep3(2) sep3(1) | sep5(0) sep3(3)"
)
PUBLISHED = (
    ("DARTS_V2", DARTS_V2),
    ("PC_DARTS_CIFAR", PC_DARTS_CIFAR),
    ("PC_DARTS_IMAGENET", PC_DARTS_IMAGENET),
    ("PR_DARTS", PR_DARTS),
)

SPACE = CellSpace(
    name="darts_cells",
    stem=LinearStem(out_channels=3 * 36),
    operations=OPERATIONS,
    head=AveragedHead(),
    resolution=32,
    channels=36,
    cells=20,
    genotypes=PUBLISHED,
)
