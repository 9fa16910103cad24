"""What a run's tables tell of its scores: enough to score again, not to build.

Scores must be computed where torch is not: beside a table of true accuracies, long after the
run. A formula F0 to F7 scores any architecture by the recorded indicators. The tables name the
candidates of every layer, and a layer that has an identity or a layer indicator is a normal
one; the others reduce, so the stages are known as well. Any other score is known of those
architectures alone that the run's search has scored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from raynas.errors import UserError
from raynas.search.indicators import AdditiveScorer, Indicators, score_table
from raynas.settings.scores import IndicatorScore, is_sum
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import IDENTITY, ChoiceBlock, SearchSpace
from raynas.storage.run_store import RunStore

Array = npt.NDArray[np.float64]
Row = Mapping[str, Any]


def recorded_scores(
    store: RunStore, settings: SearchSettings, architectures: Sequence[Architecture]
) -> Array:
    """Return a score per architecture; one that is not finite is none.

    Raises:
        UserError: No indicators yet, or architectures of another space.
    """
    if settings.traits.is_differentiable:
        raise UserError(
            f"run folder {store.uri}: a differentiable search has no score that ranks networks; "
            "python analysis/gates.py draws what it learnt"
        )
    if settings.scores_by_trials:
        scored = {row["architecture"]: row["score"] for row in store.rows("architectures")}
        return np.array([scored.get(str(each)) for each in architectures], dtype=np.float64)
    indicators = store.rows("indicators")
    if not indicators:
        raise UserError(
            f"run folder {store.uri}: no rows in table indicators yet; pretraining writes them"
        )
    rows = [*indicators, *store.rows("ledger"), *store.rows("isometry")]
    space = recorded_space(store.rows("runs")[0]["space"], rows)
    refuse_misfit(architectures, space, f"run folder {store.uri}")
    if settings.traits.learns_from_trials:
        table = _calibrated_table(indicators, space)
    else:
        table = score_table(recorded_indicators(indicators, space), space, settings)
    return AdditiveScorer(table)(architectures)


def _calibrated_table(rows: Iterable[Row], space: SearchSpace) -> list[Array]:
    """Return what a calibrated search believed at last; -inf where it knows nothing."""
    table = [np.full(block.size, -np.inf) for block in space.blocks]
    for row in rows:
        if row["kind"] == "calibrated":
            table[row["layer"]][row["candidate"]] = row["value"]
    return table


def refuse_misfit(architectures: Sequence[Architecture], space: SearchSpace, where: str) -> None:
    """Refuse architectures of another space; here choice 0 is identity wherever there is one.

    Raises:
        UserError: They are not choices of this space.
    """
    used = np.array(architectures).max(axis=0) + 1
    sizes = np.array([block.size for block in space.blocks])
    if used.shape != sizes.shape or (used > sizes).any() or used.max() != sizes.max():
        why = f"its layers have {_list(sizes)} candidates, those of the file {_list(used)}"
    elif wrong := [i for i, block in enumerate(space.blocks) if block.identity not in {None, 0}]:
        why = f"identity is not candidate 0 of layer {wrong[0]}"
    else:
        return
    raise UserError(
        f"{where}: the truth file does not describe its space {space.name}: {why}; give a run on "
        "the file's space"
    )


def _list(numbers: npt.NDArray[np.int64]) -> str:
    return " ".join(map(str, numbers))


def recorded_settings(
    run: Row, formula: IndicatorScore | None = None, bonus: float | None = None
) -> SearchSettings:
    """Return the search's settings from the row of a run, with another score if one is wanted.

    A setting that was not there when the run was recorded had its default.

    Args:
        run: The row.
        formula: What to score by; None: the run's own score.
        bonus: Weight of the path bonus; None: the run's own.

    Raises:
        UserError: A bonus, but the score is none of indicators; or a score of indicators, but no
            batch norm learnt.
    """
    recorded = Settings.from_json(run["settings"])
    settings = recorded.search
    if formula is not None:
        if recorded.pretrain.trainable == "weights":
            raise UserError(
                f"run {run['run']}: --score {formula} is read off batch norms, but none of its own "
                "learnt (--pretrain.trainable weights); leave --score out"
            )
        settings = replace(settings, score=formula, strategy="evolution")
    if bonus is None:
        return settings
    if not is_sum(settings.score):
        raise UserError(
            f"run {run['run']}: a path bonus is added to a sum over layers, but its score is "
            f"{settings.score}; give --score, such as saliency, or leave the bonus out"
        )
    return replace(settings, path_bonus=bonus, strategy="evolution")


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


def recorded_indicators(rows: Iterable[Row], space: SearchSpace) -> Indicators:
    """Return the indicators of the last recorded step; what has no row is NaN."""
    kept = list(rows)
    last = max(row["step"] for row in kept)
    kinds = ("block", "taylor", "saliency", "relu_inputs")
    found = {kind: tuple(np.full(each.size, np.nan) for each in space.blocks) for kind in kinds}
    layer = np.full(space.num_layers, np.nan)
    for row in kept:
        if row["step"] != last:
            continue
        if row["kind"] == "layer":
            layer[row["layer"]] = row["value"]
        elif row["kind"] in found:
            found[row["kind"]][row["layer"]][row["candidate"]] = row["value"]
    return Indicators(layer=layer, **found)
