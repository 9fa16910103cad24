"""A run's space as its tables tell it, without torch: enough to tell whose architectures fit.

The tables name the candidates of every layer, and a layer that has an identity or a layer
indicator is a normal one; the others reduce, so the stages are known as well. Of cells, and of
runs that pretrain nothing, the tables have scored architectures alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from raynas.benchmark.truths.truth import Truth
from raynas.errors import UserError
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import IDENTITY, ChoiceBlock, SearchSpace
from raynas.spaces.protocol import Space
from raynas.storage.run_store import RunStore

Row = Mapping[str, Any]
_NAMING = ("indicators", "ledger", "isometry")
"""Tables that name the candidates of layers."""


@dataclass(frozen=True)
class Recorded:
    """An operation (or stem, or head) of which only the name was recorded."""

    name: str
    out_channels: int = 1

    def build(self, *_: int, **__: int) -> NoReturn:
        """Refuse, for a name is no network.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{self.name} was read from a table; load the space's file to build it")


def known_space(store: RunStore) -> SearchSpace | None:
    """Return a run's space as its tables tell it; None: they do not, or it is one of cells."""
    rows = [row for table in _NAMING for row in _named(store, table)]
    return recorded_space(store.rows("runs")[0]["space"], rows) if rows else None


def _named(store: RunStore, table: str) -> list[Row]:
    """Return each candidate that a table names once, however many steps it has."""
    columns = ["layer", "candidate", "operation"]
    rows: list[Row] = store.table(table, columns).group_by(columns).aggregate([]).to_pylist()
    return rows


def recorded_space(name: str, rows: Iterable[Row]) -> SearchSpace:
    """Return a space with the recorded candidates and stages; widths and strides stand for both.

    Args:
        name: The space's name.
        rows: Rows of ``indicators``, and of ``ledger`` and ``isometry`` where there are some.

    Raises:
        UserError: There are no rows, or some candidates of a layer have none.
    """
    named: dict[int, dict[int, str]] = {}
    normal: set[int] = set()
    for row in rows:
        candidates = named.setdefault(row["layer"], {})
        if row["candidate"] is not None:
            candidates[row["candidate"]] = row["operation"]
        if row["operation"] == IDENTITY:  # a candidate, or what carries a layer indicator
            normal.add(row["layer"])
    if not named:
        raise UserError(f"space {name}: no candidates in the run's tables yet; pretrain first")
    blocks = []
    for layer in range(max(named) + 1):
        operations = _complete(name, layer, named.get(layer, {}), layer in normal)
        candidates_of = tuple(map(Recorded, operations))
        blocks.append(ChoiceBlock(candidates_of, 1, 1, stride=1 if layer in normal else 2))
    return SearchSpace(name, Recorded("stem"), tuple(blocks), Recorded("head"), resolution=1)


def _complete(space: str, layer: int, named: Mapping[int, str], is_normal: bool) -> list[str]:
    """Return the operations by index; the one of a normal layer that has no rows is identity."""
    names = dict(named)
    missing = [index for index in range(max(names, default=0) + 1) if index not in names]
    if len(missing) == 1 and is_normal and IDENTITY not in names.values():
        names[missing.pop()] = IDENTITY
    if missing:
        raise UserError(
            f"space {space}, layer {layer}: no rows of candidate {missing[0]} in the run's tables "
            "yet; let its pretraining finish"
        )
    return [names[index] for index in sorted(names)]


def misfit(truth: Truth, store: RunStore) -> str | None:
    """Return why a truth is not of a run's space; None: it is, as far as the run's tables tell."""
    space = known_space(store)
    if space is not None:
        return _misfit(truth, space)
    first = next(iter(store.rows("architectures")), None)
    wanted = len(Architecture.parse(first["architecture"])) if first else None
    got = len(truth.architectures[0])
    if wanted in {None, got}:
        return None
    return f"its architectures have {wanted} choices, those of the file {got}"


def refuse_misfit(truth: Truth, space: Space, where: str) -> None:
    """Refuse a truth of another space.

    Raises:
        UserError: Its architectures are not choices of this space.
    """
    why = _misfit(truth, space)
    if why:
        raise misfit_error(truth, space.name, where, why)


def misfit_error(truth: Truth, space: str, where: str, why: str) -> UserError:
    """Return the sentence that refuses a truth of another space."""
    return UserError(
        f"{where}: the truth file {truth.name} does not describe its space {space}: {why}; give a "
        "run on the file's space"
    )


def _misfit(truth: Truth, space: Space) -> str | None:
    """Return why architectures are not of a space.

    A format that says which candidate skips a layer describes a whole space, so the numbers of
    candidates are compared, too; what a person has written may be of a part of it.
    """
    used = np.array(truth.architectures).max(axis=0) + 1
    sizes = np.array([block.size for block in space.blocks])
    if used.shape != sizes.shape:
        return f"its architectures have {len(sizes)} choices, those of the file {len(used)}"
    if (used > sizes).any() or (truth.skips and used.max() != sizes.max()):
        if truth.skips:
            return f"its layers have {_list(sizes)} candidates, those of the file {_list(used)}"
        unknown = next(each for each in truth.architectures if (np.array(each) >= sizes).any())
        layer = int(np.argmax(np.array(unknown) >= sizes))
        return f"{unknown} has candidate {unknown[layer]} in layer {layer} of {sizes[layer]}"
    for layer, block in enumerate(space.blocks if truth.skips else ()):
        wanted = truth.skips[layer] if truth.skips else None
        if block.identity not in {None, wanted}:
            return f"identity is not candidate {wanted} of layer {layer}"
    return None


def _list(numbers: npt.NDArray[np.int64]) -> str:
    return " ".join(map(str, numbers))
