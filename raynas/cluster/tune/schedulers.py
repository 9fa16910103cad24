"""Which trials are given all epochs: Tune's schedulers, also where another driver began a run."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from raynas.settings.retrain import RetrainSettings
from raynas.storage.run_store import RunStore

Epochs = Sequence[Mapping[str, Any]]
"""What a trial has done, in order: ``epoch`` and ``val_accuracy`` of each, and more."""


@dataclass(frozen=True)
class _Named:
    """A trial by what it does, which stays the same when another driver begins it again."""

    trial_id: str


class ContinuedASHA(FIFOScheduler):
    """ASHA whose rungs hold what trials reached before this driver, and in an earlier run."""

    def __init__(self, earlier: Mapping[str, Epochs], **settings: Any) -> None:
        """Keep what is known.

        Args:
            earlier: Epochs of the trials that the run folder holds, by what they do.
            settings: Of ASHA.
        """
        super().__init__()  # type: ignore[no-untyped-call]  # Ray gives it no types
        self._asha: Any = ASHAScheduler(**settings)
        self._earlier = dict(earlier)

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take in what is known, now that it is clear what counts."""
        accepted: bool = self._asha.set_search_properties(metric, mode, **spec)
        for name, epochs in self._earlier.items():
            self._asha.on_trial_add(None, _Named(name))
            self._climb(_Named(name), epochs)
        return accepted

    def _climb(self, named: _Named, epochs: Epochs) -> str:
        """Enter epochs into the rungs that they reach; return STOP if one of them says so.

        One that stands in its rung already changes nothing, and is not judged again.
        """
        decisions = [self._asha.on_trial_result(None, named, epoch) for epoch in epochs]
        stop, go_on = TrialScheduler.STOP, TrialScheduler.CONTINUE
        return stop if stop in decisions else go_on

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Hand on."""
        self._asha.on_trial_add(tune_controller, _named(trial))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide by all epochs that are new here; some may have been trained elsewhere."""
        del tune_controller
        return self._climb(_named(trial), _history(result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Hand on."""
        self._asha.on_trial_complete(tune_controller, _named(trial), result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Hand on."""
        self._asha.on_trial_remove(tune_controller, _named(trial))


def _named(trial: Any) -> _Named:
    (what,) = trial.config.values()  # an architecture, or the seed of a search
    return _Named(str(what))


def _history(result: Mapping[str, Any]) -> Epochs:
    told: str | Epochs = result["history"]
    return json.loads(told) if isinstance(told, str) else told


def known_epochs(store: RunStore, table: str, name: str) -> dict[str, Epochs]:
    """Return the epochs that trials have reported before, by what they do.

    Args:
        store: The run folder.
        table: Has a row for each epoch.
        name: Its column that says what a trial does.
    """
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    rows = store.table(table, [name, "epoch", "val_accuracy"]).to_pylist()
    for row in sorted(rows, key=lambda row: int(row["epoch"])):
        # 0: it failed before it had done one; no accuracy: nothing was left to validate on
        if row["epoch"] and row["val_accuracy"] is not None:
            found[str(row[name])].append(row)
    return dict(found)


def rungs(settings: RetrainSettings) -> frozenset[int]:
    """Return the epochs after which the scheduler may stop a trial, beside the last one."""
    if settings.scheduler == "fifo":
        return frozenset()
    found, epoch = set(), min(settings.asha_grace_epochs, settings.epochs)
    while epoch < settings.epochs:
        found.add(epoch)
        epoch *= settings.asha_reduction
    return frozenset(found)


def make_scheduler(settings: RetrainSettings, earlier: Mapping[str, Epochs]) -> TrialScheduler:
    """Return what decides which trials go on; for other arguments see ``ContinuedASHA``."""
    if settings.scheduler == "fifo":
        return FIFOScheduler()
    return ContinuedASHA(
        earlier,
        time_attr="epoch",
        max_t=settings.epochs,
        grace_period=min(settings.asha_grace_epochs, settings.epochs),
        reduction_factor=settings.asha_reduction,
    )
