"""NAS-Bench-Macro's format: true accuracies, costs, and architectures of which some are equal.

Source: NAS-Bench-Macro (Su et al., CVPR 2021, arXiv 2103.11922). The file is one JSON
object, architecture -> {test_acc: [...], mean_acc, params, flops}. flops are multiply-adds, and
choice 0 is identity, or whatever is least where a stage begins. Architectures that describe the
same network share a record there, for identities of a stage commute: equal records are one network.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from raynas.benchmark.truths.truth import Truth, in_percent, padded, refuse_lengths
from raynas.errors import UserError
from raynas.spaces.architecture import Architecture

_WANTED = '{"02012100": {"test_acc": [92.1, 92.3], "flops": 47327744, "params": 890666}, ...}'


class _Record(NamedTuple):
    accuracy: float
    macs: float
    params: float
    trainings: tuple[float, ...]


def read_macro(table: Mapping[str, Any], where: str) -> Truth:
    """Return what a JSON object of architectures says.

    Args:
        table: The object.
        where: The file, for messages.

    Raises:
        UserError: It is of another form.
    """
    if not table:
        raise UserError(f"truth file {where}: wanted an object of architectures: {_WANTED}")
    architectures = _read_keys(table, where)
    index: dict[_Record, int] = {}
    records = [_read_record(key, row, where) for key, row in table.items()]
    network = np.array([index.setdefault(record, len(index)) for record in records])
    _, macs, params = np.array([record[:3] for record in index]).T
    told = [each for record in index for each in (record.accuracy, *record.trainings)]
    percent = iter(in_percent(told, where).tolist())
    rows = [[next(percent) for _ in range(1 + len(record.trainings))] for record in index]
    return Truth(
        name=where,
        architectures=architectures,
        network=network,
        accuracy=np.array([row[0] for row in rows]),
        repeats=padded([row[1:] for row in rows]),
        skips=(0,) * len(architectures[0]),
        macs=macs,
        params=params,
    )


def _read_keys(keys: Mapping[str, Any], where: str) -> tuple[Architecture, ...]:
    """Read keys such as ``02012100``, a digit per layer, or ``0-2-0``."""
    try:
        found = tuple(map(parse_key, keys))
    except UserError as error:
        raise UserError(f"truth file {where}: {error}") from error
    refuse_lengths(found, where)
    return found


def parse_key(text: str) -> Architecture:
    """Read ``02012100``, a digit per layer, or ``0-2-0``.

    Raises:
        UserError: It is neither.
    """
    digits = text.strip()
    if digits.isascii() and digits.isdecimal():
        return Architecture(map(int, digits))
    return Architecture.parse(text)


def _read_record(key: str, row: Any, where: str) -> _Record:
    try:
        trainings = tuple(map(float, row.get("test_acc") or [row["mean_acc"]]))
        accuracy = float(row.get("mean_acc", np.mean(trainings)))
        record = _Record(accuracy, float(row["flops"]), float(row["params"]), trainings)
        is_known = bool(np.isfinite([*record[:3], *trainings]).all())
    except (AttributeError, KeyError, TypeError, ValueError):
        is_known = False
    if not is_known:
        raise UserError(
            f"truth file {where}: {key} lacks a number of test_acc, flops or params; wanted "
            f"{_WANTED}"
        )
    return record
