"""Short trainings as Tune trials: what networks reach on these images after a few epochs.

No table of true accuracies is needed, and the test images stay unseen.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray import tune

from raynas.cluster.planning.node_requirements import on_fit_nodes
from raynas.cluster.run import Run
from raynas.cluster.tune.epoch_trials import TrialInputs
from raynas.cluster.tune.experiment import Recorder
from raynas.cluster.tune.failure_report import failure_text
from raynas.cluster.tune.ray_train import Report, trainable
from raynas.cluster.tune.retrain_trials import run_trials
from raynas.cluster.tune.searchers import ListSearcher
from raynas.cluster.tune.trial_silence import WorkTime
from raynas.errors import StageError
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.terminal.eta import longest_queue
from raynas.terminal.progress_bars import Advance
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.retraining import Retraining
from raynas.training.scoring import ProxyScore


def train_briefly(run: Run, chosen: Mapping[Architecture, float], planned: int) -> None:
    """Train architectures for a few epochs, and record them in the table ``checks``.

    Args:
        run: The run; those that it has trained already are not trained again.
        chosen: The architectures, in the order in which they begin, and their scores.
        planned: How many the stage trains in all, for its progress.

    Raises:
        StageError: The trials ended before all of them were trained.
    """
    _take_over(run, chosen)
    rows = run.store.rows("checks")
    done = [Architecture.parse(row["architecture"]) for row in rows if row["status"] == "finished"]
    searcher = ListSearcher(chosen, done)
    if searcher.exhausted:
        return
    settings = run.settings
    short = brief(settings)
    size = run.plan.trial_size  # also here: a batch that needs several GPUs has no room on one
    work = trainable(
        on_fit_nodes(check_trial, run.demands),
        size,
        inputs=replace(run.trial_inputs(), settings=replace(settings, retrain=short)),
    )
    advance = run.stages.stage("learn", planned, "networks", run.plan.checkers)
    recorder = CheckRecorder(run, short, chosen, planned, advance)
    with run.spending("learn", run.plan.checkers * size.all_gpus):
        run_trials(work, searcher, [recorder], short, size, run.plan.checkers)
    if not searcher.exhausted:
        raise StageError("learn: it ended early; run the same command again to continue")


def brief(settings: Settings) -> RetrainSettings:
    """Return how networks are trained briefly; a warm-up takes half of its epochs at most."""
    retrain, epochs = settings.retrain, settings.training_epochs
    rising = min(retrain.warmup_epochs, epochs / 2)
    return replace(retrain, epochs=epochs, warmup_epochs=rising, scheduler="fifo")


def _take_over(run: Run, chosen: Mapping[Architecture, float]) -> None:
    """Copy what an earlier run has trained in the same way, with the scores of this one."""
    if not run.earlier or run.store.parts("checks"):
        return
    known = run.earlier.checks()
    for architecture, score in chosen.items():
        row = known.get(str(architecture))
        if row:
            run.store.append("checks", [row | {"score": score}], part=str(architecture))


def check_trial(
    config: dict[str, Any],
    inputs: TrialInputs,
    group: DataParallelGroup = ALONE,
    report: Report = tune.report,
) -> None:
    """Train ``config["architecture"]`` for a few epochs; report accuracy and naswot after each."""
    inputs.use_threads()
    space, dataset, settings = inputs.space, inputs.dataset, inputs.settings
    architecture, device = Architecture.parse(config["architecture"]), inputs.device
    begin = inputs.beginning(architecture, dataset)
    task = dataset, settings.retrain, settings.seed, device, group
    training = Retraining(space, architecture, *task, begin, inputs.teacher)
    naswot = ProxyScore(space, dataset, settings, device, "naswot")(architecture)
    again = settings.retrain.recalibration_batches / training.steps_per_epoch
    work = WorkTime(1 + again)  # statistics are averaged anew in the last epoch
    while training.epoch < settings.retrain.epochs:
        work.begin()
        last = training.run_epoch()
        seconds = sum(epoch.seconds for epoch in training.history)
        found = {"epoch": last.epoch, "val_accuracy": last.val_accuracy, "naswot": naswot}
        report(found | work.told() | {"train_seconds": seconds})


class CheckRecorder(Recorder):
    """Writes a row of ``checks`` whenever a trial ends."""

    def __init__(
        self,
        run: Run,
        settings: RetrainSettings,
        scores: Mapping[Architecture, float],
        planned: int,
        advance: Advance,
    ) -> None:
        """Keep where to write, and what is known of each architecture before it is trained."""
        self._store = run.store
        self._costs = run.plan.costs
        self._identities = [block.identity for block in run.plan.space.blocks]
        self._settings = settings
        self._scores = scores
        self._planned = planned
        self._advance = advance
        self._concurrent = run.plan.checkers
        self._recorded = set(run.store.parts("checks"))

    def setup(self, *_: Any, **__: Any) -> None:
        """Tell what is left: where all trials begin at once, their first ends tell no pace."""
        self._tell_progress("")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write what the training came to."""
        del iteration, trials, info
        last = trial.last_result
        found = {name: last[name] for name in ("val_accuracy", "naswot")}
        self._write(trial, {**found, "seconds": last["train_seconds"], "status": "finished"})

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write that it failed, and why."""
        del iteration, trials, info
        self._write(trial, {"status": "failed", "error": failure_text(trial, self._settings)})

    def _write(self, trial: Any, found: dict[str, Any]) -> None:
        text = trial.config["architecture"]
        architecture = Architecture.parse(text)
        cost = self._costs.of(architecture)
        pairs = zip(architecture, self._identities, strict=True)
        row = {
            "architecture": text,
            "score": self._scores[architecture],
            **cost.columns,
            "depth": sum(choice != identity for choice, identity in pairs),
        }
        self._store.append("checks", [row | found], part=text)
        self._recorded.add(text)
        self._tell_progress(text)

    def _tell_progress(self, text: str) -> None:
        waiting = [1.0] * (self._planned - len(self._recorded))
        left = longest_queue(waiting, self._concurrent)
        self._advance(len(self._recorded), text, left)
