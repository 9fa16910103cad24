"""The plain format: a Parquet or CSV file with the columns ``architecture`` and ``accuracy``.

Anybody can write it. Rows of one architecture are its trainings. Columns that may be there:
``epochs``, of which the most are the truth, since shorter trainings are something else; ``macs``
and ``params``, of the network. Others, such as ``seed``, are not read.
"""

import io

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from raynas.benchmark.truths.genotypes import architecture_of
from raynas.benchmark.truths.nas_bench_macro import parse_key
from raynas.benchmark.truths.truth import Array, Truth, in_percent, padded, refuse_lengths
from raynas.errors import UserError
from raynas.spaces.architecture import Architecture

PARQUET = b"PAR1"
"""With which every Parquet file begins."""
_NEEDED = ("architecture", "accuracy")
_WANTED = "wanted a Parquet or CSV file with the columns architecture and accuracy"


def read_plain(content: bytes, where: str) -> Truth:
    """Return what a Parquet or CSV file says.

    Args:
        content: The file.
        where: Its name, for messages.

    Raises:
        UserError: It is of another form.
    """
    table, notes = _longest(_table(content, where), where)
    architectures, more = _architectures(table, where)
    index: dict[Architecture, int] = {}
    network = np.array([index.setdefault(each, len(index)) for each in architectures])
    percent = in_percent(_numbers(table, "accuracy", where).tolist(), where)
    trainings = [percent[network == number].tolist() for number in range(len(index))]
    first = np.unique(network, return_index=True)[1].astype(np.int64)  # row of each network
    return Truth(
        name=where,
        architectures=tuple(index),
        network=np.arange(len(index)),
        accuracy=np.array([np.mean(each) for each in trainings]),
        repeats=padded(trainings),
        macs=_costs(table, "macs", first, where),
        params=_costs(table, "params", first, where),
        notes=(*notes, *more),
    )


def _table(content: bytes, where: str) -> pa.Table:
    try:
        table = _parquet(content) if content.startswith(PARQUET) else _csv(content)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"truth file {where}: cannot be read ({why}); {_WANTED}") from error
    missing = [name for name in _NEEDED if name not in table.column_names]
    if missing:
        got = ", ".join(table.column_names)
        raise UserError(
            f"truth file {where}: got no column {missing[0]} (but {got[:200]}); {_WANTED}"
        )
    if not table.num_rows:
        raise UserError(f"truth file {where}: got no rows; {_WANTED}")
    return table


def _parquet(content: bytes) -> pa.Table:
    return pa.parquet.read_table(io.BytesIO(content))


def _csv(content: bytes) -> pa.Table:
    """Read architectures as text: 02012100 is no number."""
    content.decode()
    options = pa.csv.ConvertOptions(column_types={"architecture": pa.string()})
    return pa.csv.read_csv(io.BytesIO(content), convert_options=options)


def _longest(table: pa.Table, where: str) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the rows of the longest trainings, and what was left out."""
    if "epochs" not in table.column_names:
        return table, ()
    epochs = _numbers(table, "epochs", where)
    if not np.isfinite(epochs).any():
        return table, ()
    most = np.nanmax(epochs)
    kept = epochs == most
    note = f"trainings of {most:g} epochs"
    if not kept.all():
        note += f"; left out: {int((~kept).sum()):,} rows of shorter ones"
    return table.filter(pa.array(kept)), (note,)


def _architectures(table: pa.Table, where: str) -> tuple[list[Architecture], tuple[str, ...]]:
    """Return the architecture of each row, and a note if some are genotypes."""
    texts = table["architecture"].to_pylist()
    found, genotypes = [], 0
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(
                f"truth file {where}: got the architecture {text!r} in row {row}, wanted a text "
                "such as 3-0-5"
            )
        try:
            of_cells = architecture_of(text)
            genotypes += of_cells is not None
            found.append(of_cells or parse_key(text))
        except UserError as error:
            raise UserError(f"truth file {where}: row {row}: {error}") from error
    refuse_lengths(found, where)
    note = f"{genotypes:,} rows are genotypes, read as those of DARTS' operations"
    return found, (note,) if genotypes else ()


def _numbers(table: pa.Table, name: str, where: str) -> Array:
    """Return a column as numbers, NaN where it has none."""
    try:
        column = table[name].cast(pa.float64())
    except pa.ArrowException as error:
        raise UserError(
            f"truth file {where}: got a column {name} of {table[name].type}, wanted numbers"
        ) from error
    return np.array(column.to_pylist(), dtype=np.float64)


def _costs(table: pa.Table, name: str, first: npt.NDArray[np.int64], where: str) -> Array | None:
    """Return what each network costs; None: the file does not tell it of all."""
    if name not in table.column_names:
        return None
    found = _numbers(table, name, where)[first]
    if (found <= 0).any():
        raise UserError(
            f"truth file {where}: got {found.min():g} {name}, wanted positive numbers, or no such "
            "column"
        )
    return found if np.isfinite(found).all() else None
