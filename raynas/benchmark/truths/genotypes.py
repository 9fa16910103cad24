"""Architectures of cells in the form that people read, as the keys that tables have.

A key counts the pairs of operations of each node, so it depends on their names: those of DARTS,
which all shipped spaces of cells have.
"""

from raynas.benchmark.recorded_spaces import Recorded
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.spaces.genotype import Genotype
from raynas.spaces.published import DARTS_NAMES

_STARTS = ("normal:", "Genotype(")


def architecture_of(text: str) -> Architecture | None:
    """Return the architecture of a genotype; None: the text is none.

    Raises:
        UserError: The genotype is malformed, or has other operations than DARTS.
    """
    if not text.strip().startswith(_STARTS):
        return None
    genotype = Genotype.parse(text)
    space = CellSpace(
        name="DARTS' cells",
        stem=Recorded("stem"),
        operations=tuple(map(Recorded, DARTS_NAMES)),
        head=Recorded("head"),
        resolution=1,
        nodes=max(len(genotype.normal), 1),
    )
    return space.architecture(genotype)
