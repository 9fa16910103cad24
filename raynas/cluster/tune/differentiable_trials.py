"""Differentiable searches as Ray Tune trials: one a seed, side by side, resumable, recorded.

A trial writes its own checkpoint into the run folder after each epoch and starts from it when it
is tried again, as retraining trials do.
"""

from typing import Any

from ray import tune

from raynas.cluster.tune.epoch_trials import TrialInputs, epochs_of, resume
from raynas.cluster.tune.experiment import Recorder
from raynas.cluster.tune.failure_report import failure_text
from raynas.cluster.tune.ray_train import Report
from raynas.differentiable.epochs import SearchEpoch, epoch_row, from_json, gate_rows, to_json
from raynas.differentiable.search import GateSearch
from raynas.settings.compatibility import cells_for
from raynas.settings.settings import Settings
from raynas.spaces.cells import CellSpace
from raynas.storage.run_store import RunStore
from raynas.terminal.eta import longest_queue
from raynas.terminal.progress_bars import Advance
from raynas.training.data_parallel_group import ALONE, DataParallelGroup

_UNENDED = {"status": None, "error": None}


def gate_checkpoint(seed: int) -> str:
    """Return where a search keeps what continuing needs."""
    return f"checkpoints/gates-{seed}.safetensors"


def gates_part(seed: int, epoch: int) -> str:
    """Return the part of the table ``gates`` that holds an epoch."""
    return f"{seed:06d}-{epoch:06d}"


def seeds_of(settings: Settings) -> range:
    """Return the seeds of a run's searches."""
    return range(settings.seed, settings.seed + settings.differentiable.seeds)


def gate_trial(
    config: dict[str, Any],
    inputs: TrialInputs,
    group: DataParallelGroup = ALONE,
    report: Report = tune.report,
) -> None:
    """Search with ``config["seed"]`` to the last epoch, reporting after each.

    All workers of a group report, since Ray Train waits for all of them; rank 0 writes the files.
    What an earlier run has searched with the same settings is where the trial begins.
    """
    inputs.use_threads()
    settings, store, path = inputs.settings, inputs.store, gate_checkpoint(config["seed"])
    search = GateSearch(
        cells_for(inputs.space, settings.differentiable),
        inputs.dataset,
        settings.differentiable,
        config["seed"],
        inputs.device,
        group,
    )
    resume(search, path, inputs, group)
    told, counted = 0, store.written  # epochs and bytes that the driver has heard of
    if search.epoch == settings.differentiable.epochs:
        report(_progress(search, told))
    for silence in epochs_of(search, settings.differentiable.epochs, path, inputs, group):
        found = {"written_bytes": store.written - counted}
        report(_progress(search, told) | silence | found)
        told, counted = search.epoch, store.written


def _progress(search: GateSearch, told: int) -> dict[str, Any]:
    found = {"epoch": search.epoch, "val_accuracy": search.history[-1].val_accuracy}
    return found | {"history": to_json(search.history[told:])}


class GateRecorder(Recorder):
    """Writes the tables ``gates`` and ``search_epochs`` as epochs arrive."""

    def __init__(
        self,
        store: RunStore,
        space: CellSpace,
        settings: Settings,
        advance: Advance,
        concurrent: int,
    ) -> None:
        """Continue with what the run folder holds.

        Args:
            store: The run folder.
            space: Tells edges and operations.
            settings: What a search is to do.
            advance: Moves the stage's bar on.
            concurrent: Searches at a time.
        """
        self._store = store
        self._space = space
        self._settings = settings
        self._advance = advance
        self._concurrent = concurrent
        self._rows: dict[int, list[dict[str, Any]]] = {seed: [] for seed in seeds_of(settings)}
        for row in store.rows("search_epochs"):
            self._rows[row["seed"]].append(row)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write the epochs that are new; one that was searched again replaces what it was."""
        del iteration, trials, info
        seed, known = trial.config["seed"], self._rows[trial.config["seed"]]
        for epoch in from_json(result["history"]):
            self._write_gates(seed, epoch)
            del known[epoch.epoch - 1 :]
            known.append({"seed": seed, **epoch_row(epoch)})
        known[:-1] = [row | _UNENDED for row in known[:-1]]  # one that failed is tried again
        self._write(seed)
        self._store.written += result.get("written_bytes", 0)  # by the trial, elsewhere
        done = sum(map(len, self._rows.values()))
        self._advance(done, f"seed {seed} {result['val_accuracy']:.3f}", self._left())

    def _write_gates(self, seed: int, epoch: SearchEpoch) -> None:
        rows = [{"seed": seed, **row} for row in gate_rows(epoch, self._space)]
        self._store.append("gates", rows, part=gates_part(seed, epoch.epoch))

    def _write(self, seed: int) -> None:
        self._store.append("search_epochs", self._rows[seed], part=f"{seed:06d}")

    def _left(self) -> float:
        """Return the epochs until the last search ends; some wait until others have ended."""
        each = self._settings.differentiable.epochs
        return longest_queue([each - len(rows) for rows in self._rows.values()], self._concurrent)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write that the search has ended, by itself or by the scheduler."""
        del iteration, trials, info
        seed = trial.config["seed"]
        is_whole = len(self._rows[seed]) == self._settings.differentiable.epochs
        self._end(seed, status="finished" if is_whole else "stopped")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write that the search failed for good, and why."""
        del iteration, trials, info
        error = failure_text(trial, self._settings.differentiable)
        self._end(trial.config["seed"], status="failed", error=error)

    def _end(self, seed: int, **found: Any) -> None:
        rows = self._rows[seed] = self._rows[seed] or [{"seed": seed, "epoch": 0}]
        rows[-1] = rows[-1] | found
        self._write(seed)
