"""Runs' scores beside what to compare them with, all on the same networks of a truth file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from raynas.benchmark import ranking
from raynas.benchmark.recorded import recorded_scores, recorded_settings
from raynas.benchmark.truth import Truth, read_truth
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
    """Everything that is printed and drawn.

    Attributes:
        truth: The networks that every run has a score of.
        left_out: Architectures of the file of which some run has none.
        visited: Names of the runs whose scores are known of visited architectures alone.
        scores: For each run, a score per network.
        rows: The runs, their means, the yardsticks and the ceilings, in this order.
    """

    truth: Truth
    left_out: int
    visited: tuple[str, ...]
    scores: list[Array]
    rows: list[Row]


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
    content: bytes,
    where: str,
    formula: IndicatorScore | None = None,
    bonuses: Sequence[float] | None = None,
) -> Comparison:
    """Rank the networks of a file by each run's score, and by what to compare it with.

    Args:
        stores: The runs.
        content: The file of true accuracies.
        where: Its name, for messages.
        formula: What to score by; None is each run's own score.
        bonuses: Weights of the path bonus, each with every run; None is each run's own.

    Raises:
        UserError: Runs that cannot be compared, or have no paths to weigh, or a file about another
            space.
    """
    _refuse_two_spaces(stores)
    everything = read_truth(content, where)
    weights = [None] if bonuses is None else bonuses
    runs = [_ranked(store, formula, each, everything) for each in weights for store in stores]
    known = _known_to_all(runs, where)
    truth = everything.only(known)
    scores = [truth.merged(run.scores[known]) for run in runs]
    visited = tuple(run.name for run in runs if run.is_visited)
    return Comparison(truth, int((~known).sum()), visited, scores, _rows(runs, scores, truth))


def _refuse_two_spaces(stores: Sequence[RunStore]) -> None:
    names = [PurePosixPath(store.rows("runs")[0]["space"]).stem for store in stores]
    for store, name in zip(stores, names, strict=True):
        if name != names[0]:
            raise UserError(
                f"run folder {store.uri}: its space {name} is not {names[0]}, that of "
                f"{stores[0].uri}; compare runs on one space"
            )


def _ranked(
    store: RunStore, formula: IndicatorScore | None, bonus: float | None, truth: Truth
) -> _Ranked:
    run = store.rows("runs")[0]
    settings = recorded_settings(run, formula, bonus)
    score = "calibrated" if settings.traits.learns_from_trials else settings.score_words
    label = f"{run['method']}, {score}"
    return _Ranked(
        f"{run['run'] or store.name}: {label}, seed {run['seed']}",
        label,
        _setup(run),
        store.uri,
        not is_sum(settings.score),
        recorded_scores(store, settings, truth.architectures),
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


def _rows(runs: Sequence[_Ranked], scores: Sequence[Array], truth: Truth) -> list[Row]:
    measured = [ranking.measure(each, truth) for each in scores]
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
    trivial, ceilings = ranking.yardsticks(truth), ranking.ceilings(truth)
    rows += [Row(name, "yardstick", estimate) for name, estimate in trivial.items()]
    return rows + [Row(name, "ceiling", estimate) for name, estimate in ceilings.items()]
