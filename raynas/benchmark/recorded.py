"""What a run's tables tell of its scores: enough to score again, not to build.

Scores must be computed where torch is not: beside a table of true accuracies, long after the
run. A sum over layers scores any architecture by the recorded indicators. Any other score is known
of those architectures alone that the run's search has scored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from raynas.benchmark.recorded_spaces import known_space, refuse_misfit
from raynas.benchmark.truths.truth import Truth
from raynas.errors import UserError
from raynas.search.indicators import AdditiveScorer, Indicators, score_table
from raynas.settings.scores import INDICATOR_SCORES, IndicatorScore
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.chain import SearchSpace
from raynas.storage.run_store import RunStore

Array = npt.NDArray[np.float64]
Row = Mapping[str, Any]
_RELU_INPUTS = "relu_inputs"
"""A kind of indicator that is of the space alone, whatever was pretrained."""


def learned(store: RunStore) -> bool:
    """Return whether a run's score learned from trainings."""
    return any(row["kind"] == "calibrated" for row in store.rows("indicators"))


def recorded_scores(
    store: RunStore, settings: SearchSettings, truth: Truth, own: bool = True
) -> Array:
    """Return a score per architecture of a truth; one that is not finite is none.

    Args:
        store: The run.
        settings: Of its search, or of another score to take.
        truth: The architectures.
        own: Whether what the run learned counts, where it did; otherwise it is as before that.

    Raises:
        UserError: No indicators yet, or a truth of another space.
    """
    if settings.traits.is_differentiable:
        raise UserError(
            f"run folder {store.uri}: a differentiable search has no score that ranks networks; "
            "python analysis/gates.py draws what it learnt"
        )
    architectures = truth.architectures
    if settings.scores_by_trials:
        scored = {row["architecture"]: row["score"] for row in store.rows("architectures")}
        return np.array([scored.get(str(each)) for each in architectures], dtype=np.float64)
    indicators = store.rows("indicators")
    space = known_space(store)
    if space is None or all(row["kind"] == _RELU_INPUTS for row in indicators):
        raise UserError(
            f"run folder {store.uri}: no rows in table indicators yet; pretraining writes them"
        )
    refuse_misfit(truth, space, f"run folder {store.uri}")
    if settings.traits.learns_from_trials or (own and learned(store)):
        table = recorded_table(indicators, space, "calibrated")
    elif settings.reads_start:
        table = recorded_table(indicators, space, "score")
    else:
        table = score_table(recorded_indicators(indicators, space), space, settings)
    return AdditiveScorer(table)(architectures)


def recorded_table(rows: Iterable[Row], space: SearchSpace, kind: str) -> list[Array]:
    """Return what candidates add to a recorded score; -inf where it knows nothing of one.

    Args:
        rows: Of the table ``indicators``.
        space: The searched space.
        kind: Of these rows: score, or calibrated where trainings corrected it.
    """
    table = [np.full(block.size, -np.inf) for block in space.blocks]
    for row in rows:
        if row["kind"] == kind:
            table[row["layer"]][row["candidate"]] = row["value"]
    return table


def recorded_relu_inputs(store: RunStore, truth: Truth) -> Array | None:
    """Return the ReLU inputs of each network of a truth; None: the run has not recorded them."""
    recorded = store.table("indicators", ["layer", "candidate", "kind", "value"])
    rows = recorded.filter(pc.field("kind") == _RELU_INPUTS).to_pylist()
    space = known_space(store) if rows else None
    if space is None:
        return None
    table = [np.full(block.size, np.nan) for block in space.blocks]
    for row in rows:
        table[row["layer"]][row["candidate"]] = row["value"]
    found = truth.merged(AdditiveScorer(table)(truth.architectures))
    return found if np.isfinite(found).all() else None


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
    if settings.score not in INDICATOR_SCORES:
        raise UserError(
            f"run {run['run']}: a path bonus is added to a sum over indicators, but its score is "
            f"{settings.score}; give --score, such as saliency, or leave the bonus out"
        )
    return replace(settings, path_bonus=bonus, strategy="evolution")


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
