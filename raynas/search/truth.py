"""True accuracies of many architectures, read from a file in NAS-Bench-Macro's format.

Source: NAS-Bench-Macro (Su et al., CVPR 2021; ``ALGORITHMS`` section 12). The file is one JSON
object, architecture -> {test_acc: [...], mean_acc, params, flops}; accuracies are percentages,
flops are multiply-adds, and choice 0 is identity, or whatever is least where a stage begins.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from raynas.errors import UserError
from raynas.space import Architecture, SearchSpace

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What networks truly reach; keys that describe the same network are merged.

    Attributes:
        architectures: Every key of the file.
        network: For each key, the index of its network.
        accuracy: Per network, in percent: the mean over its keys.
        repeats: Networks x trainings, in percent; no columns where the file has only means.
        depth: Per network, the number of layers whose choice is not 0.
        codes: Per network, the sum of its choices.
        macs: Per network, or None where they are not known.
        params: Per network, or None where they are not known.
    """

    architectures: tuple[Architecture, ...]
    network: npt.NDArray[np.int64]
    accuracy: Array
    repeats: Array
    depth: Array
    codes: Array
    macs: Array | None
    params: Array | None

    def merged(self, values: Array) -> Array:
        """Return one value per network: the mean over its keys."""
        return _merged(self.network, values)


def canonical(space: SearchSpace, architecture: Architecture) -> tuple[tuple[str, ...], ...]:
    """Return the operations of each stage without its identities (``ALGORITHMS`` 12.2).

    Two architectures with the same form are the same network, for the layers of a stage behind
    its first have one shape.
    """
    stages: list[list[str]] = [[] for _ in range(max(space.stages) + 1)]
    for choice, stage, block in zip(architecture, space.stages, space.blocks, strict=True):
        if choice != block.identity:
            stages[stage].append(block.candidates[choice].name)
    return tuple(map(tuple, stages))


def read_truth(content: bytes, where: str, space: SearchSpace) -> Truth:
    """Read a file of true accuracies for the architectures of a space.

    Args:
        content: The file.
        where: Its name, for messages.
        space: What the keys are choices of.

    Raises:
        UserError: Not such a file, or its keys are not choices of this space.
    """
    table = _parsed(content, where)
    architectures = tuple(_read_key(key, where) for key in table)
    _refuse_misfit(architectures, where, space)
    forms: dict[tuple[tuple[str, ...], ...], int] = {}
    network = np.array([forms.setdefault(canonical(space, a), len(forms)) for a in architectures])
    choices = np.array(architectures)
    columns = {name: _column(table, name) for name in ("flops", "params")}
    costs = {k: None if v is None else _merged(network, v) for k, v in columns.items()}
    return Truth(
        architectures,
        network,
        _merged(network, np.array([_accuracy(key, row, where) for key, row in table.items()])),
        _repeats(table.values(), network),
        _merged(network, (choices != 0).sum(axis=1)),
        _merged(network, choices.sum(axis=1)),
        costs["flops"],
        costs["params"],
    )


def with_costs(truth: Truth, rows: Sequence[Mapping[str, Any]]) -> Truth:
    """Add the costs that the file does not have, from architectures that a search has scored.

    Args:
        truth: True accuracies, with costs or without.
        rows: Rows of the table ``architectures``; too few of them leave costs unknown.
    """
    if not rows or (truth.macs is not None and truth.params is not None):
        return truth
    known = [Architecture.parse(row["architecture"]) for row in rows]
    found: dict[str, Array | None] = {"macs": truth.macs, "params": truth.params}
    for name, value in found.items():
        if value is None:
            costs = np.array([row[name] for row in rows], dtype=np.float64)
            sums = _additive(known, costs, truth.architectures)
            found[name] = None if sums is None else truth.merged(sums)
    return replace(truth, **found)


def _additive(
    known: Sequence[Architecture], costs: Array, wanted: Sequence[Architecture]
) -> Array | None:
    """Return the costs of other architectures, for costs are sums over layers.

    None where the known ones do not determine all the wanted ones.
    """
    width = 1 + max(map(max, [*known, *wanted]))
    basis, target = (
        np.eye(width)[np.array(each)].reshape(len(each), -1) for each in (known, wanted)
    )
    if np.linalg.matrix_rank(np.vstack([basis, target])) > np.linalg.matrix_rank(basis):
        return None
    parts_of_cost, *_ = np.linalg.lstsq(basis, costs, rcond=None)
    found: Array = np.rint(target @ parts_of_cost)
    return found


def _merged(network: npt.NDArray[np.int64], values: npt.ArrayLike) -> Array:
    mean: Array = np.bincount(network, weights=np.asarray(values)) / np.bincount(network)
    return mean


def _parsed(content: bytes, where: str) -> dict[str, dict[str, Any]]:
    try:
        table = json.loads(content)
    except ValueError as error:
        raise UserError(f"truth file {where}: no valid JSON ({error}); check the path") from error
    if not isinstance(table, dict) or len(table) < 3:
        raise UserError(
            f"truth file {where}: wanted an object of at least 3 architectures, such as "
            '{"02012100": {"test_acc": [92.1, 92.3], "flops": 47327744}, ...}'
        )
    return table


def _read_key(key: str, where: str) -> Architecture:
    """Read ``02012100``, a digit per layer, or ``0-2-0``."""
    try:
        return Architecture(map(int, key)) if key.isdecimal() else Architecture.parse(key)
    except UserError as error:
        raise UserError(f"truth file {where}: {error}") from error


def _refuse_misfit(architectures: Sequence[Architecture], where: str, space: SearchSpace) -> None:
    """Refuse a file about another space; its choice 0 must be the space's identity."""
    blocks = space.blocks
    for each in architectures:
        if len(each) != len(blocks):
            raise _misfit(where, space, f"{each} has {len(each)} layers, not {len(blocks)}")
    used = np.array(architectures).max(axis=0) + 1
    sizes = [block.size for block in blocks]
    if (used > sizes).any() or used.max() != max(sizes):
        raise _misfit(where, space, f"it chooses of {_list(used)} candidates, not {_list(sizes)}")
    for layer, block in enumerate(blocks):
        if block.identity not in {None, 0}:
            at = f"identity is candidate {block.identity} of the run's layer {layer}, not 0"
            raise _misfit(where, space, at)


def _misfit(where: str, space: SearchSpace, why: str) -> UserError:
    return UserError(
        f"truth file {where}: it does not describe {space.name}: {why}; give a run on the file's "
        "own space"
    )


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _accuracy(key: str, row: Mapping[str, Any], where: str) -> float:
    try:
        value = float(row["mean_acc"] if "mean_acc" in row else np.mean(row["test_acc"]))
    except (KeyError, TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"truth file {where}: {key} has no mean_acc and no test_acc; add one")
    return value


def _repeats(rows: Iterable[Mapping[str, Any]], network: npt.NDArray[np.int64]) -> Array:
    """Return as many trainings of every network as the one with fewest has."""
    lists = [row.get("test_acc") or [] for row in rows]
    count = min(map(len, lists))
    columns = [_merged(network, [values[i] for values in lists]) for i in range(count)]
    return np.array(columns, dtype=np.float64).reshape(count, -1).T


def _column(table: Mapping[str, Mapping[str, Any]], name: str) -> Array | None:
    """Return a number per key, or None where some keys do not have it."""
    values = [row.get(name) for row in table.values()]
    return None if None in values else np.array(values, dtype=np.float64)
