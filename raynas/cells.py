"""The former name of ``raynas.spaces.cells``, kept for spaces that people have written."""

import warnings

from raynas.spaces.cells import CellSpace

__all__ = ["CellSpace"]

warnings.warn(
    "raynas.cells is raynas.spaces.cells now: import from there",
    FutureWarning,
    stacklevel=2,
)
