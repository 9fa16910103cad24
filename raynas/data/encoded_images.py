"""Images before they are decoded: what names them, and what opens them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

Opener = Callable[[], Image.Image]


@dataclass(frozen=True, slots=True)
class RawImage:
    """One image that has not been decoded; it can be pickled.

    Attributes:
        name: For messages: a path, or a table and row.
        label: Index of its class.
        split: train, val or test where the data says so.
        open: Opens it; raises whatever a broken file makes a decoder raise.
    """

    name: str
    label: int
    split: str | None
    open: Opener


Raws = Sequence[RawImage]
