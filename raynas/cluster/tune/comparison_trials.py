"""A comparison of methods as one Ray Tune experiment: a trial is a supernet with its runs.

Methods that agree in everything that decides the supernet share it: the trial does their runs
one after another, and the later ones begin with the pretraining of the first. A trial takes no
CPUs itself; the actors and the trials inside its runs take what they need. Nothing is restored
from Tune: a run continues from its own folder, wherever it is called again.
"""

import contextlib
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from ray import tune

from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.trial_resources import NEXT_TO_NOTHING
from raynas.cluster.tune.experiment import Recorder, run_experiment
from raynas.cluster.tune.failure_report import traceback_of
from raynas.errors import StageError, UserError
from raynas.recording.damage import missing, read_run
from raynas.recording.reuse import is_pretrained
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.storage.uris import inside

_FAILURES = 2  # times that a lost trial is begun again; its finished runs stay finished
_ERROR_LINES = 6


@dataclass(frozen=True)
class Cell:
    """A run of the comparison: a method with a seed, in a run folder of its own."""

    name: str
    settings: Settings
    store: RunStore

    @property
    def is_finished(self) -> bool:
        """Whether nothing of it is left to do."""
        row = read_run(self.store)
        ended = row["finished"] if row else None
        return ended is not None and _lacks_nothing(self.store.address, self.settings, ended)


@cache
def _lacks_nothing(address: str, settings: Settings, ended: datetime) -> bool:
    """Return whether a run that ended then is whole; it is asked often, and looks at all files."""
    del ended
    return not missing(RunStore(address), settings)


Work = Callable[[Settings, str, str | None], Sequence[str]]
"""Does a run and returns its warnings: its settings, its folder, and the run folder whose
pretraining it takes over."""
OnEnd = Callable[[Cell, str | None, Sequence[str]], None]
"""Told that a cell has ended, its error or None, and its warnings."""


def share_supernets(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells in groups that have a supernet in common; without one, each by itself."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        settings = cell.settings
        key = settings.supernet if settings.pretrain.epochs else cell.name
        groups.setdefault(key, []).append(cell)
    return list(groups.values())


def refuse_crowding(plan: Plan, settings: Settings, resources: Resources, concurrent: int) -> None:
    """Refuse so many supernets at a time that one would wait for the workers of another.

    Raises:
        UserError: A run's workers or trials take more than its share of the cluster.
    """
    pretrain = settings.pretrain
    room = resources.room(pretrain.cpus_per_worker, plan.gpus_per_worker)
    beside = settings.num_trainings or plan.rivals.planned
    trials = plan.checkers if beside else plan.concurrent
    shares = {
        "--pretrain.workers": plan.workers / room if pretrain.epochs else 0.0,
        "--search.concurrent": plan.scorers / room if settings.search.scores_by_trials else 0.0,
        "--retrain.concurrent": trials / plan.trial_size.room(resources),
    }
    for flag, share in shares.items():
        if concurrent > 1 and concurrent * share > 1:
            raise UserError(
                f"--concurrent {concurrent}: a run of {settings.method} takes {share:.0%} of the "
                f"cluster, so the next one would wait; lower {flag}, or --concurrent"
            )


class SupernetTrial(tune.Trainable):
    """Does the runs of a group, one a step; a run that fails leaves the next ones alone."""

    def setup(  # type: ignore[override]  # with_parameters adds the rest
        self, config: dict[str, Any], groups: Sequence[Sequence[Cell]], work: Work, folder: Path
    ) -> None:
        """Begin with the first run, in the folder that relative paths refer to."""
        with contextlib.suppress(OSError):  # another machine has the files in its own
            os.chdir(folder)
        self._cells = groups[config["group"]]
        self._work = work
        self._done = 0

    def step(self) -> dict[str, Any]:
        """Do the next run; return its name and its error."""
        cell = self._cells[self._done]
        self._done += 1
        found = {"error": None, "warnings": []} if cell.is_finished else self._run(cell)
        is_last = self._done == len(self._cells)
        return {"cell": cell.name, **found, tune.result.DONE: is_last}

    def _run(self, cell: Cell) -> dict[str, Any]:
        """Do a run; return its warnings, and why it stopped or None."""
        others = [other.store for other in self._cells if other is not cell]
        source = next((store.address for store in others if is_pretrained(store)), None)
        try:
            warnings = list(self._work(cell.settings, cell.store.address, source))
        except (StageError, UserError) as stopped:
            return {"error": str(stopped), "warnings": []}
        except Exception:  # noqa: BLE001 - whatever it is, the other runs go on
            lines = traceback.format_exc().strip().splitlines()[-_ERROR_LINES:]
            return {"error": "\n".join(lines), "warnings": []}
        return {"error": None, "warnings": warnings}


class CellRecorder(Recorder):
    """Tells how runs end as Tune hears of it."""

    def __init__(self, groups: Sequence[Sequence[Cell]], on_end: OnEnd) -> None:
        """Keep whom to tell of which cells."""
        self._left = [
            {cell.name: cell for cell in group if not cell.is_finished} for group in groups
        ]
        self._on_end = on_end

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        """Tell that a run has ended, once."""
        del iteration, trials, info
        cell = self._left[trial.config["group"]].pop(result["cell"], None)
        if cell is not None:
            self._on_end(cell, result["error"], result["warnings"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that the trial was lost with all the runs that it had left."""
        del iteration, trials, info
        for cell in self._left[trial.config["group"]].values():
            self._on_end(cell, traceback_of(trial), [])


def run_cells(cells: Sequence[Cell], work: Work, on_end: OnEnd, concurrent: int) -> None:
    """Do all runs that are not finished, as one Tune experiment.

    Args:
        cells: The runs.
        work: Does one of them; importable where the trials are.
        on_end: Told of each run that was done.
        concurrent: Supernets at a time.
    """
    everything = share_supernets(cells)
    groups = [group for group in everything if not all(cell.is_finished for cell in group)]
    if not groups:
        return
    trainable = tune.with_parameters(SupernetTrial, groups=groups, work=work, folder=Path.cwd())
    run_experiment(
        trainable,
        NEXT_TO_NOTHING,
        [CellRecorder(groups, on_end)],
        _FAILURES,
        param_space={"group": tune.grid_search(list(range(len(groups))))},
        max_concurrent_trials=concurrent,
    )


def make_cells(methods: Mapping[str, Settings], seeds: int, folder: str) -> list[Cell]:
    """Return a cell for every method and seed, in ``folder/METHOD-seedN``."""
    names = {
        f"{name}-seed{seed}": replace(settings, seed=seed)
        for seed in range(seeds)
        for name, settings in methods.items()
    }
    return [Cell(name, each, RunStore(inside(folder, name))) for name, each in names.items()]
