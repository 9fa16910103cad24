"""Images before they are decoded: what names them, and what opens them."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from PIL import Image

Opener = Callable[[], Image.Image]


@dataclass(frozen=True)
class Row:
    """Opens one row of a column of encoded images; all rows of a table share the column."""

    column: pa.Array
    row: int

    def __call__(self) -> Image.Image:
        """Open it."""
        return Image.open(io.BytesIO(self.column[self.row].as_py()))

    def alone(self) -> Opener:
        """Return the same without the rest of the column, fit for being sent somewhere."""
        return partial(_open_bytes, self.column[self.row].as_py())


@dataclass(frozen=True)
class Beside:
    """Opens the file at a path that a row holds in the place of bytes.

    Attributes:
        file: Opens it.
        path: As it stands in the row.
    """

    file: Opener
    path: str

    def __call__(self) -> Image.Image:
        """Open it."""
        try:
            return self.file()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"it has no bytes, and there is no file {self.path} beside its Parquet file"
            ) from error


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


@dataclass(frozen=True)
class Source:
    """All images of a data set.

    Attributes:
        images: In an order that is the same whenever the data is.
        class_names: In the order of the labels.
        ignored: Files that were passed over, such as "30 heic", the most frequent kind first.
        passed_over: Folders and links that were, such as "@eaDir/ (2)".
        parts: Where parts lie whose folders are called otherwise, such as "train: training_set".
    """

    images: Sequence[RawImage]
    class_names: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


def _open_bytes(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))
