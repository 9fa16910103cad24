"""Files of true accuracies: which format one is in, as its content tells."""

import json

from raynas.benchmark.truths.accel_nasbench import read_accel
from raynas.benchmark.truths.nas_bench_macro import read_macro
from raynas.benchmark.truths.plain import PARQUET, read_plain
from raynas.benchmark.truths.truth import Truth
from raynas.errors import StageError, UserError
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown, split


def read_truths(file: str) -> Truth:
    """Read a file of true accuracies.

    Args:
        file: A local path or a URI.

    Raises:
        UserError: It cannot be read, or is in no format that is known.
    """
    folder, name = split(file)
    try:
        content = RunStore(folder).read_bytes(name)
    except (OSError, StageError) as error:
        raise UserError(f"truth file {shown(file)}: cannot be read; check the path") from error
    return parse_truths(content, shown(file))


def parse_truths(content: bytes, where: str) -> Truth:
    """Read the content of a file of true accuracies.

    A JSON object is NAS-Bench-Macro's format, a JSON list is Accel-NASBench's, and all else is a
    Parquet or CSV file.

    Args:
        content: The file.
        where: Its name, for messages.

    Raises:
        UserError: It is in none of these formats.
    """
    text = content.strip()
    if not text:
        raise UserError(f"truth file {where}: it is empty; check the path")
    if content.startswith(PARQUET) or text[:1] not in {b"{", b"["}:
        return read_plain(content, where)
    try:
        table = json.loads(content)
    except ValueError as error:
        raise UserError(f"truth file {where}: no valid JSON ({error}); check the path") from error
    return read_macro(table, where) if isinstance(table, dict) else read_accel(table, where)
