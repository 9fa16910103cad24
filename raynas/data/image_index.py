"""An index of images: where each lies and which class it shows, in an Arrow table; none is open.

A million images take some hundred bytes each, are sent to a worker without being copied, and are
opened one by one from where they are.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raynas.data.encoded_images import Opener, RawImage, Raws
from raynas.data.part_names import PartName

PARTS: tuple[PartName, ...] = ("train", "val", "test")
Numbers = Sequence[int] | npt.NDArray[np.int64]
_OF_AN_IMAGE = ("path", "row_group", "row", "label", "part")
_WHAT_IS_READ = ("path", "row", "file_bytes", "modified_ns")


class Place(Protocol):
    """Where images lie; it can be pickled."""

    def name(self, path: bytes, row: int | None) -> str:
        """Return what people call an image."""

    def opener(self, path: bytes, group: int | None, row: int | None) -> Opener:
        """Return what opens an image."""


@dataclass(frozen=True, eq=False)
class ImageIndex(Sequence[RawImage]):
    """Images by number, each made from a row of a table when it is asked for.

    Attributes:
        table: Columns path (a file, as bytes, since some names are no UTF-8), row_group and row
            (of a Parquet file; null: the file is the image), label, part (a number in ``PARTS``;
            null: nothing says it), and file_bytes and modified_ns of the file, null where unknown.
        place: Names and opens them.
    """

    table: pa.Table
    place: Place

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, number: int) -> RawImage: ...

    @overload
    def __getitem__(self, number: slice) -> "ImageIndex": ...

    def __getitem__(self, number: int | slice) -> "RawImage | ImageIndex":
        if isinstance(number, slice):
            start, stop, step = number.indices(len(self))
            if step == 1:
                return ImageIndex(self.table.slice(start, max(stop - start, 0)), self.place)
            return self.take(np.arange(start, stop, step))
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self._raw(*(self.table[name][number].as_py() for name in _OF_AN_IMAGE))

    def __iter__(self) -> Iterator[RawImage]:
        columns = [self.table[name].to_pylist() for name in _OF_AN_IMAGE]
        return itertools.starmap(self._raw, zip(*columns, strict=True))

    def _raw(
        self, path: bytes, group: int | None, row: int | None, label: int, part: int | None
    ) -> RawImage:
        return RawImage(
            self.place.name(path, row),
            label,
            None if part is None else PARTS[part],
            self.place.opener(path, group, row),
        )

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The class of each image."""
        labels: npt.NDArray[np.int64] = self.table["label"].to_numpy()
        return labels

    @property
    def parts(self) -> npt.NDArray[np.int64]:
        """The part of each image, a number in ``PARTS``; -1: nothing says it."""
        parts: npt.NDArray[np.int64] = self.table["part"].fill_null(-1).to_numpy().astype(np.int64)
        return parts

    @property
    def are_files(self) -> bool:
        """Whether they have to be read from somewhere."""
        return not self.table["modified_ns"].null_count

    @property
    def fingerprint(self) -> str | None:
        """A digest of all paths, sizes and times of the files; None: there are no files."""
        if not self.are_files:
            return None
        digest = hashlib.sha256()
        for name in _WHAT_IS_READ:
            column = pa.table({name: self.table[name].combine_chunks()})
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, column.schema) as stream:
                stream.write_table(column)
            digest.update(sink.getvalue())
        return digest.hexdigest()

    def take(self, numbers: npt.NDArray[np.int64]) -> "ImageIndex":
        """Return the images of those numbers, without the rest of the table."""
        return ImageIndex(self.table.take(pa.array(numbers)).combine_chunks(), self.place)


@dataclass(frozen=True, eq=False)
class JoinedRaws(Sequence[RawImage]):
    """The images of two sequences as one; neither is copied.

    Attributes:
        first: Whose images come first.
        second: Whose images follow.
    """

    first: Raws
    second: Raws

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    @overload
    def __getitem__(self, number: int) -> RawImage: ...

    @overload
    def __getitem__(self, number: slice) -> Raws: ...

    def __getitem__(self, number: int | slice) -> RawImage | Raws:
        if isinstance(number, slice):
            return self.take(np.arange(*number.indices(len(self))))
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        place = int(number) % len(self) - len(self.first)
        return self.second[place] if place >= 0 else self.first[place]

    def __iter__(self) -> Iterator[RawImage]:
        return itertools.chain(self.first, self.second)

    def take(self, numbers: npt.NDArray[np.int64]) -> Raws:
        """Return the images of those numbers, in their order."""
        start = len(self.first)
        is_first = numbers < start
        found = (
            iter(taken(self.first, numbers[is_first])),
            iter(taken(self.second, numbers[~is_first] - start)),
        )
        return [next(found[0] if first else found[1]) for first in is_first]


def taken(raws: Raws, numbers: npt.NDArray[np.int64]) -> Raws:
    """Return the images of those numbers."""
    if isinstance(raws, ImageIndex | JoinedRaws):
        return raws.take(numbers)
    return [raws[number] for number in numbers]


def image_index(  # noqa: PLR0913 - the columns
    place: Place,
    paths: pa.Array | Sequence[bytes],
    labels: Numbers,
    parts: Sequence[str | None],
    rows: Numbers | None = None,
    groups: Numbers | None = None,
    file_bytes: Numbers | None = None,
    modified_ns: Numbers | None = None,
) -> ImageIndex:
    """Return the index of images whose columns are given; what is left out is not known."""
    numbers: dict[str | None, int] = {part: number for number, part in enumerate(PARTS)}
    nothing = pa.nulls(len(paths), pa.int64())
    table = pa.table(
        {
            "path": paths if isinstance(paths, pa.Array) else pa.array(paths, pa.binary()),
            "row_group": nothing if groups is None else pa.array(groups, pa.int64()),
            "row": nothing if rows is None else pa.array(rows, pa.int64()),
            "label": pa.array(labels, pa.int64()),
            "part": pa.array([numbers.get(part) for part in parts], pa.int8()),
            "file_bytes": nothing if file_bytes is None else pa.array(file_bytes, pa.int64()),
            "modified_ns": nothing if modified_ns is None else pa.array(modified_ns, pa.int64()),
        }
    )
    return ImageIndex(table, place)


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

    images: ImageIndex
    class_names: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
