"""The former name of ``raynas.spaces.genotype``, kept for spaces that people have written."""

import warnings

from raynas.spaces.genotype import Genotype, Input, Node, show_nodes

__all__ = ["Genotype", "Input", "Node", "show_nodes"]

warnings.warn(
    "raynas.genotype is raynas.spaces.genotype now: import from there",
    FutureWarning,
    stacklevel=2,
)
