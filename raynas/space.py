"""The former name of ``raynas.spaces.chain``, kept for spaces that people have written."""

import warnings

from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import IDENTITY, ChoiceBlock, Head, Operation, SearchSpace, Stem, chain_of
from raynas.spaces.loading import SPACES, load_space, names_in

__all__ = [
    "IDENTITY",
    "SPACES",
    "Architecture",
    "ChoiceBlock",
    "Head",
    "Operation",
    "SearchSpace",
    "Stem",
    "chain_of",
    "load_space",
    "names_in",
]

warnings.warn(
    "raynas.space is raynas.spaces.chain now: import from there",
    FutureWarning,
    stacklevel=2,
)
