"""True accuracies of a space's networks, read from a file in NAS-Bench-Macro's format.

Source: NAS-Bench-Macro (Su et al., CVPR 2021, arXiv 2103.11922). The file is one JSON
object, architecture -> {test_acc: [...], mean_acc, params, flops}. Accuracies are percentages,
flops are multiply-adds, and choice 0 is identity, or whatever is least where a stage begins.
Architectures that describe the same network share a record there, for identities of a stage
commute: equal records are one network.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raynas.errors import UserError
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown, split

Array = npt.NDArray[np.float64]
_WANTED = '{"02012100": {"test_acc": [92.1, 92.3], "flops": 47327744, "params": 890666}, ...}'


@dataclass(frozen=True)
class Truth:
    """What networks truly reach, and what they cost.

    Attributes:
        architectures: The keys of the file.
        network: For each key, the index of its network.
        accuracy: Per network, in percent: the mean of its trainings.
        repeats: Networks x trainings, in percent.
        depth: Per network, the number of layers whose choice is not 0.
        codes: Per network, the sum of its choices.
        macs: Per network.
        params: Per network.
    """

    architectures: tuple[Architecture, ...]
    network: npt.NDArray[np.int64]
    accuracy: Array
    repeats: Array
    depth: Array
    codes: Array
    macs: Array
    params: Array

    def merged(self, values: npt.ArrayLike) -> Array:
        """Return one value per network: the mean over its keys."""
        return _merged(self.network, values)

    def only(self, keys: npt.NDArray[np.bool_]) -> "Truth":
        """Return what is said of some keys: the networks that one of them describes."""
        kept, network = np.unique(self.network[keys], return_inverse=True)
        return Truth(
            tuple(compress(self.architectures, keys)),
            network,
            self.accuracy[kept],
            self.repeats[kept],
            self.depth[kept],
            self.codes[kept],
            self.macs[kept],
            self.params[kept],
        )


class _Record(NamedTuple):
    accuracy: float
    macs: float
    params: float
    trainings: tuple[float, ...]


def read_content(file: str) -> bytes:
    """Return the bytes of a file of true accuracies.

    Args:
        file: A local path or a URI.

    Raises:
        UserError: It cannot be read.
    """
    folder, name = split(file)
    try:
        return RunStore(folder).read_bytes(name)
    except OSError as error:
        raise UserError(f"truth file {shown(file)}: cannot be read; check the path") from error


def read_truth(content: bytes, where: str) -> Truth:
    """Read a file of true accuracies.

    Args:
        content: The file.
        where: Its name, for messages.

    Raises:
        UserError: Not such a file.
    """
    table = _parsed(content, where)
    architectures = _read_keys(table, where)
    index: dict[_Record, int] = {}
    records = [_read_record(key, row, where) for key, row in table.items()]
    network = np.array([index.setdefault(record, len(index)) for record in records])
    accuracy, macs, params = np.array([record[:3] for record in index]).T
    trainings = zip(*(record.trainings for record in index), strict=False)  # as many as all have
    choices = np.array(architectures)
    return Truth(
        architectures,
        network,
        accuracy,
        np.array(list(trainings)).T,
        _merged(network, (choices != 0).sum(axis=1)),
        _merged(network, choices.sum(axis=1)),
        macs,
        params,
    )


def _merged(network: npt.NDArray[np.int64], values: npt.ArrayLike) -> Array:
    mean: Array = np.bincount(network, weights=np.asarray(values)) / np.bincount(network)
    return mean


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    try:
        table = json.loads(content)
    except ValueError as error:
        raise UserError(f"truth file {where}: no valid JSON ({error}); check the path") from error
    if not isinstance(table, dict) or not table:
        raise UserError(f"truth file {where}: wanted an object of architectures: {_WANTED}")
    return table


def _read_keys(keys: Mapping[str, Any], where: str) -> tuple[Architecture, ...]:
    """Read keys such as ``02012100``, a digit per layer, or ``0-2-0``."""
    try:
        found = tuple(
            Architecture(map(int, key)) if key.isdecimal() else Architecture.parse(key)
            for key in keys
        )
    except UserError as error:
        raise UserError(f"truth file {where}: {error}") from error
    for key, each in zip(keys, found, strict=True):
        if len(each) != len(found[0]) or min(each) < 0:
            raise UserError(
                f"truth file {where}: got the key {key}, wanted {len(found[0])} choices from 0, "
                "as the first key has"
            )
    return found


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
