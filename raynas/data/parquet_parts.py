"""Which part a Parquet file and each of its rows say they are of; what is unclear is refused.

A row that says that it is of the test part never trains. The name train alone gives way to a
column, for a set that was not split is mostly written under it.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from raynas.data.image_index import PARTS, ImageIndex
from raynas.data.part_names import PartName, part_named, part_said, parts_named
from raynas.errors import UserError

_ANSWERS = frozenset({"", "0", "1", "f", "false", "n", "no", "t", "true", "x", "y", "yes"})
_WAY_OUT = "say what it is by --images.parts, or rename it"


def part_of_file(data: str, file: str, said: Mapping[str, PartName] | None) -> PartName | None:
    """Return the part of a file by the names of its folders and its own.

    A name of two parts, such as ``train_test_split``, leaves it to the others.

    Args:
        data: For messages.
        file: Its path in the data.
        said: The parts of paths, where a person says so.

    Raises:
        UserError: Names that contradict each other, or of which none says one part.
    """
    if said is not None:
        return part_said(file, said)
    named = [parts for parts in map(parts_named, file.split("/")) if parts]
    if not named:
        return None
    common = frozenset.intersection(*named)
    if len(common) != 1:
        found = " and ".join(sorted(frozenset.union(*named)))
        raise UserError(
            f"data {data}: {file} is of {found} by its names, wanted one part; {_WAY_OUT}"
        )
    (part,) = common
    return part


def parts_of_rows(
    data: str,
    file: str,
    by_file: Sequence[PartName | None],
    columns: Mapping[str, Sequence[str | None]],
    *,
    is_said: bool,
) -> list[PartName | None]:
    """Return the part of each row of a file.

    Args:
        data: For messages.
        file: Likewise.
        by_file: The part of each row as the file's name or a person says it.
        columns: Values that may be names of parts, by column.
        is_said: Whether a person says it.

    Raises:
        UserError: A row that says no part, or one that is not the file's.
    """
    parts = list(by_file)
    may_give_way = {None} if is_said else {None, "train"}
    for column, values in columns.items():
        of_values = {value: part_named(value or "") for value in dict.fromkeys(values)}
        if not any(of_values.values()) and column.lower() != "split":
            _refuse_answers(data, file, column, of_values)
            continue  # another kind of set, such as a subset by place
        for row, value in enumerate(values):
            part, before = of_values[value], parts[row]
            if part is None:
                raise UserError(
                    f"data {data}: {file} row {row} has the {column} {value!r}; wanted train, "
                    "validation or test, so mend or drop that column"
                )
            if before != part and before not in may_give_way:
                raise UserError(
                    f"data {data}: {file} row {row} is of the {part} part by its column {column}, "
                    f"and of the {before} part by other names; mend one of them"
                )
            parts[row] = part
        may_give_way = {None}
    return parts


def _refuse_answers(data: str, file: str, column: str, values: Iterable[str | None]) -> None:
    """Refuse a column called after a part of which each row says yes or no."""
    found = sorted({value for value in values if value})
    if found and parts_named(column) and _ANSWERS.issuperset(map(str.lower, found)):
        raise UserError(
            f"data {data}: {file} has the column {column} of {' and '.join(found)}; wanted one "
            "called split that says train, validation or test in words, so rewrite or drop it"
        )


def refuse_undecided(data: str, images: ImageIndex) -> None:
    """Refuse rows that nothing is said of beside others that are called training images."""
    parts = images.parts
    undecided = np.flatnonzero(parts == -1)
    if len(undecided) and (parts == PARTS.index("train")).any():
        raise UserError(
            f"data {data}: nothing says the part of {images[int(undecided[0])].name}, and others "
            f"are for training by name; {_WAY_OUT}, or move it out"
        )
