"""Calibrated search as a Ray Tune searcher: each trial's accuracies choose the next trials.

Where ASHA may stop a trial, at its rungs, the accuracy on the way counts as well, with the share
of epochs done as its weight; several trials may be out at once.
"""

from collections.abc import Callable, Collection
from typing import Any

from raynas.cluster.tune.tune_searcher import Config, TuneSearcher
from raynas.search.calibration import Calibration
from raynas.search.indicators import AdditiveScorer
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture

Record = Callable[["CalibratedSearcher"], None]


def milestones(settings: RetrainSettings) -> list[int]:
    """Return the epochs after which a trial's accuracy is looked at: ASHA's rungs, and the last."""
    epochs, rung = settings.epochs, settings.asha_grace_epochs
    found = []
    while settings.scheduler == "asha" and rung < epochs:
        found.append(rung)
        rung *= settings.asha_reduction
    return [*found, epochs]


class CalibratedSearcher(TuneSearcher):
    """Suggests what a calibration proposes, up to a number of trials, and tells it what came."""

    def __init__(
        self,
        calibration: Calibration,
        scorer: AdditiveScorer,
        settings: RetrainSettings,
        record: Record | None = None,
        done: Collection[Architecture] = (),
    ) -> None:
        """Wrap a calibration; nothing is proposed yet.

        Args:
            calibration: Fresh.
            scorer: The indicator's, with which the calibration began.
            settings: How many trials of how many epochs there are.
            record: Called after each proposal and each observation, to write the tables.
            done: Architectures that need no trial any more.
        """
        super().__init__()
        self.calibration = calibration
        self.proposed: list[Architecture] = []
        self._scorer = scorer
        self._top_k = settings.top_k
        self._milestones = milestones(settings)
        self._record = record
        self._done = set(done)
        self._observed: set[tuple[str, int]] = set()
        self._trials: dict[str, Architecture] = {}
        self._ran_out = False

    @property
    def num_observed(self) -> int:
        """How many accuracies the calibration has been told."""
        return len(self._observed)

    @property
    def exhausted(self) -> bool:
        """Whether no trial is left to run."""
        is_last = len(self.proposed) >= self._top_k or self._ran_out
        return is_last and self._done.issuperset(self.proposed)

    def winners(self) -> list[Architecture]:
        """Return what was proposed so far."""
        return list(self.proposed)

    def score_of(self, architecture: Architecture) -> float:
        """Return the indicator's score; what was learned since is in the table calibration."""
        return float(self._scorer([architecture])[0])

    def next_config(self, trial_id: str) -> Config | None:
        """Return what an earlier driver left half-way first, and then a new proposal."""
        out = self._done.union(self._trials.values())
        architecture = next((each for each in self.proposed if each not in out), None)
        if architecture is None and len(self.proposed) < self._top_k:
            architecture = self.calibration.propose(self.proposed)
            self._ran_out = architecture is None
            if architecture is not None:
                self.proposed.append(architecture)
                self._tell_record()
        if architecture is None:
            return None
        self._trials[trial_id] = architecture
        return {"architecture": str(architecture)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Observe the accuracies at milestones that were not observed yet."""
        architecture = self._trials.get(trial_id)
        if architecture is None:
            return
        for epoch in result.get("history", ()):
            key = (str(architecture), epoch["epoch"])
            if epoch["epoch"] in self._milestones and key not in self._observed:
                self._observed.add(key)
                weight = epoch["epoch"] / self._milestones[-1]
                self.calibration.observe(architecture, epoch["val_accuracy"], weight)
                self._tell_record()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Observe the last accuracy; what failed is not proposed again and teaches nothing."""
        if result and not error:
            self.on_trial_result(trial_id, result)
        architecture = self._trials.pop(trial_id, None)
        if architecture is not None:
            self._done.add(architecture)

    def _tell_record(self) -> None:
        if self._record is not None:
            self._record(self)

    def state(self) -> dict[str, Any]:
        """Return everything that ``resume`` needs, as plain data for JSON."""
        return {
            "calibration": self.calibration.state(),
            "proposed": list(map(str, self.proposed)),
            "observed": sorted(self._observed),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a state; what was proposed and is not done is suggested again."""
        self.calibration.restore(state["calibration"])
        self.proposed = [Architecture.parse(text) for text in state["proposed"]]
        self._observed = {(text, epoch) for text, epoch in state["observed"]}
