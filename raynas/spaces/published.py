"""Cells that were published, for spaces of DARTS' operations to name."""

from raynas.spaces.genotype import Genotype

DARTS_NAMES = ("skip_connect", "sep3", "sep5", "dil3", "dil5", "avgpool3", "maxpool3")
"""The operations that networks of DARTS' cells may have; ``raynas.nets.cell_operations`` builds."""

DARTS_V2 = Genotype.parse(  # arXiv 1806.09055, second order
    "normal: sep3(0) sep3(1) | sep3(0) sep3(1) | sep3(1) skip_connect(0) | skip_connect(0) dil3(2);"
    "reduction: maxpool3(0) maxpool3(1) | skip_connect(2) maxpool3(1) | maxpool3(0) skip_connect(2)"
    " | skip_connect(2) maxpool3(1)"
)
PC_DARTS_CIFAR = Genotype.parse(  # arXiv 1907.05737, searched on CIFAR-10
    "normal: sep3(1) skip_connect(0) | sep3(0) dil3(1) | sep5(0) sep3(1) | avgpool3(0) dil3(1);"
    "reduction: sep5(1) maxpool3(0) | sep5(1) sep5(2) | sep3(0) sep3(3) | sep3(1) sep3(2)"
)
PC_DARTS_IMAGENET = Genotype.parse(  # the same, searched on ImageNet
    "normal: skip_connect(1) sep3(0) | sep3(0) skip_connect(1) | sep3(1) sep3(3) | sep3(1) dil5(4);"
    "reduction: sep3(0) skip_connect(1) | dil5(2) maxpool3(1) | sep3(2) sep3(1) | sep5(0) sep3(3)"
)
PR_DARTS = Genotype.parse(  # arXiv 2006.16537
    "normal: skip_connect(0) sep3(1) | dil3(2) sep3(0) | dil3(3) sep3(1) | dil3(4) dil3(1);"
    "reduction: avgpool3(0) dil5(1) | sep3(0) dil5(2) | sep5(1) dil3(3) | dil5(4) dil5(1)"
)
CELLS: tuple[tuple[str, Genotype], ...] = (
    ("DARTS_V2", DARTS_V2),
    ("PC_DARTS_CIFAR", PC_DARTS_CIFAR),
    ("PC_DARTS_IMAGENET", PC_DARTS_IMAGENET),
    ("PR_DARTS", PR_DARTS),
)
"""All of them by name, as ``CellSpace.genotypes`` takes them."""
