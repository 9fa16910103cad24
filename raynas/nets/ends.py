"""The former name of ``raynas.nets.stems_heads``, kept for spaces that people have written."""

import warnings

from raynas.nets.stems_heads import AveragedHead, ConvStem, LinearStem, MobileStem, PooledHead

__all__ = ["AveragedHead", "ConvStem", "LinearStem", "MobileStem", "PooledHead"]

warnings.warn(
    "raynas.nets.ends is raynas.nets.stems_heads now: import from there",
    FutureWarning,
    stacklevel=2,
)
