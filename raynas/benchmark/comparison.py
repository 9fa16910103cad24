"""Runs' scores beside what to compare them with, on the networks of each truth file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from raynas.benchmark import ranking
from raynas.benchmark.completed_truth import completed
from raynas.benchmark.recorded import learned, recorded_scores, recorded_settings
from raynas.benchmark.recorded_spaces import misfit, misfit_error
from raynas.benchmark.truths.truth import Truth
from raynas.benchmark.yardsticks import ceilings, yardsticks
from raynas.errors import UserError
from raynas.settings.scores import IndicatorScore, is_sum
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One score of the comparison; ``kind`` is run, mean, yardstick or ceiling."""

    name: str
    kind: str
    estimate: ranking.Estimate


@dataclass(frozen=True)
class Comparison:
    """Everything that is printed and drawn of one truth.

    Attributes:
        truth: The networks that every run of its space has a score of.
        space: Their name of the space.
        left_out: Architectures of the file of which some run has none.
        visited: Names of the runs whose scores are known of visited architectures alone.
        limits: On MACs, by name.
        scores: For each run, a score per network.
        rows: The runs, their means, the yardsticks and the ceilings, in this order.
        notes: What a reader of the numbers must know.
    """

    truth: Truth
    space: str
    left_out: int
    visited: tuple[str, ...]
    limits: dict[str, float]
    scores: list[Array]
    rows: list[Row]
    notes: list[str]


@dataclass(frozen=True)
class _Ranked:
    """A run, and its score of each architecture of the file."""

    name: str
    label: str
    setup: str
    uri: str
    is_visited: bool
    scores: Array


def compare(
    stores: Sequence[RunStore],
    truths: Sequence[Truth],
    formula: IndicatorScore | None = None,
    bonuses: Sequence[float] | None = None,
    limits: Sequence[float] | None = None,
) -> list[Comparison]:
    """Rank the networks of each truth by its runs' scores, and by what to compare them with.

    A run is compared on the truths of its space.

    Args:
        stores: The runs.
        truths: What networks reach, of the runs' spaces.
        formula: What to score by; None is each run's own score.
        bonuses: Weights of the path bonus, each with every run; None is each run's own.
        limits: On MACs; None is the quartiles of each truth.

    Raises:
        UserError: A truth of no run's space or of too few networks, a run of no truth's space, or
            one that cannot be compared, or has no paths to weigh.
    """
    for truth in truths:
        if len(truth.accuracy) < ranking.FEWEST:
            raise UserError(
                f"truth file {truth.name}: got {len(truth.accuracy)} networks, wanted at least "
                f"{ranking.FEWEST}"
            )
    weights = [None] if bonuses is None else bonuses
    found: list[Comparison] = []
    placed: set[str] = set()
    for truth in truths:
        fitting = _fitting(stores, truth)
        runs = [_ranked(store, formula, each, truth) for each in weights for store in fitting]
        found.append(_compared(fitting, runs, truth, limits))
        placed.update(store.uri for store in fitting)
    for store in stores:
        if store.uri not in placed:
            raise _misplaced(store, truths[-1])
    return found


def _fitting(stores: Sequence[RunStore], truth: Truth) -> list[RunStore]:
    """Return the runs of a truth's space.

    Raises:
        UserError: There are none, or their spaces have different names.
    """
    found = [store for store in stores if misfit(truth, store) is None]
    if not found:
        raise _misplaced(stores[0], truth)
    for store in found:
        if space_of(store) != space_of(found[0]):
            raise UserError(
                f"run folder {store.uri}: its space {space_of(store)} is not "
                f"{space_of(found[0])}, that of {found[0].uri}, and truth file {truth.name} may "
                "be of either; compare them in two commands"
            )
    return found


def _misplaced(store: RunStore, truth: Truth) -> UserError:
    why = misfit(truth, store) or "no architecture fits"
    return misfit_error(truth, space_of(store), f"run folder {store.uri}", why)


def space_of(store: RunStore) -> str:
    """Return the name of a run's space, by whatever path it was given."""
    return PurePosixPath(store.rows("runs")[0]["space"]).stem


def _compared(
    stores: Sequence[RunStore],
    runs: Sequence[_Ranked],
    everything: Truth,
    wanted: Sequence[float] | None,
) -> Comparison:
    known = _known_to_all(runs, everything.name)
    truth, notes = completed(everything.only(known), stores)
    limits = ranking.limits_of(truth, wanted)
    scores = [truth.merged(run.scores[known]) for run in runs]
    visited = tuple(run.name for run in runs if run.is_visited)
    rows = _rows(runs, scores, truth, limits)
    left_out = int((~known).sum())
    return Comparison(truth, space_of(stores[0]), left_out, visited, limits, scores, rows, notes)


def _ranked(
    store: RunStore, formula: IndicatorScore | None, bonus: float | None, truth: Truth
) -> _Ranked:
    run = store.rows("runs")[0]
    settings = recorded_settings(run, formula, bonus)
    own = formula is None and bonus is None
    score = "calibrated" if settings.traits.learns_from_trials else settings.score_words
    if own and score != "calibrated" and learned(store):
        score = f"{score}, learned"
    label = f"{run['method']}, {score}"
    return _Ranked(
        f"{run['run'] or store.name}: {label}, seed {run['seed']}",
        label,
        _setup(run),
        store.uri,
        not is_sum(settings.score),
        recorded_scores(store, settings, truth, own),
    )


def _setup(run: dict[str, Any]) -> str:
    """Return all settings but the seed: runs that agree in them are repetitions.

    A setting that was not there when a run was recorded had its default.
    """
    settings = json.loads(Settings.from_json(run["settings"]).to_json())
    return json.dumps(settings | {"seed": None}, sort_keys=True)


def _known_to_all(runs: Sequence[_Ranked], where: str) -> npt.NDArray[np.bool_]:
    """Return which architectures have a score in every run.

    Raises:
        UserError: They are too few to be ranked; it names the run at which they become so.
    """
    known = np.ones_like(runs[0].scores, dtype=bool)
    for run in runs:
        known &= np.isfinite(run.scores)
        if known.sum() < ranking.FEWEST:
            before = "" if run is runs[0] else " and in the runs named before it"
            raise UserError(
                f"run folder {run.uri}: {known.sum()} of the architectures in {where} have a score "
                f"in it{before}, wanted at least {ranking.FEWEST}; give fewer runs, or runs that "
                "scored more"
            )
    return known


def _rows(
    runs: Sequence[_Ranked], scores: Sequence[Array], truth: Truth, limits: dict[str, float]
) -> list[Row]:
    measured = [ranking.measure(each, truth, limits) for each in scores]
    rows = [
        Row(run.name, "run", ranking.Estimate(measures))
        for run, measures in zip(runs, measured, strict=True)
    ]
    groups: dict[tuple[str, str], list[ranking.Measures]] = {}
    for run, measures in zip(runs, measured, strict=True):
        groups.setdefault((run.label, run.setup), []).append(measures)
    rows += [
        Row(f"{label}: mean of {len(each)} runs", "mean", ranking.bootstrap(each))
        for (label, _), each in groups.items()
        if len(each) > 1
    ]
    trivial, best = yardsticks(truth, limits=limits), ceilings(truth)
    rows += [Row(name, "yardstick", estimate) for name, estimate in trivial.items()]
    return rows + [Row(name, "ceiling", estimate) for name, estimate in best.items()]
