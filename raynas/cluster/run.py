"""What the stages of a run share, what they have spent, and how a run begins and ends."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.node_requirements import Demands, demands_of
from raynas.cluster.planning.plan import Plan
from raynas.cluster.tune.epoch_trials import TrialInputs
from raynas.data.dataset import Dataset
from raynas.data.lost_images import lost_words
from raynas.errors import StageError, UserError
from raynas.recording import rows
from raynas.recording.damage import read_run, write_run
from raynas.recording.images_table import write_images
from raynas.recording.repair import put_damaged_aside
from raynas.recording.reuse import forget_pretraining, take_over
from raynas.recording.warm_start import LATENCIES, Earlier
from raynas.settings.following import as_asked, as_recorded
from raynas.settings.settings import Settings, differences
from raynas.storage.outcome_rows import TrainedOn
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.storage.usage import StageUsage, Usage
from raynas.terminal.progress_bars import Stages
from raynas.training.checkpoints import is_whole
from raynas.training.starts.start import START, Start
from raynas.training.teacher import Teacher
from raynas.training.teacher_file import TEACHER, read_teacher


@dataclass(frozen=True)
class Run:
    """Where results go, what to do, on what, and where to show it.

    Attributes:
        store: The run folder.
        settings: What was asked for.
        dataset: The images.
        images: What is known of each, as the table of that name.
        plan: What that comes to.
        resources: The cluster's, at the start.
        stages: Shows the progress.
        recorded: Its row of ``runs`` as it was, if it is continued.
        expected: What it is going to use, if that was forecast.
        pretrained: Run folder whose pretraining it takes over, or None.
        earlier: A run that this one may take from, or None.
        trackers: Tune callbacks that show the trials elsewhere.
        start: Trained weights that it begins from, or None.
    """

    store: RunStore
    settings: Settings
    dataset: Dataset
    images: pa.Table
    plan: Plan
    resources: Resources
    stages: Stages
    recorded: dict[str, Any] | None = None
    expected: Usage | None = None
    pretrained: RunStore | None = None
    earlier: Earlier | None = None
    trackers: Sequence[Any] = ()
    start: Start | None = None

    @property
    def row(self) -> dict[str, Any]:
        """The run's row in the table ``runs``."""
        return self.store.rows("runs")[0]

    def update(self, **found: Any) -> None:
        """Write what was found into the run's row."""
        write_run(self.store, self.row | found)

    @property
    def demands(self) -> Demands:
        """What it asks of the nodes that do its work, also of those that join later."""
        return demands_of(self.store, self.dataset.file_to_read)

    @property
    def teacher(self) -> Teacher | None:
        """The network whose answers are learned; None: there is none.

        Raises:
            StageError: The run has not trained it yet.
        """
        planned = self.plan.teacher
        if planned is None:
            return None
        if found := planned.opened or read_teacher(self.store, self.plan.space):
            return found
        raise StageError(
            f"--retrain.teacher {planned.name}: it is not trained yet; call train_teacher(run) "
            "before other trainings"
        )

    def trial_inputs(
        self,
        earlier: RunStore | None = None,
        trained_on: TrainedOn = "train",
        is_taught: bool = True,
    ) -> TrialInputs:
        """Return what all trials of a stage are given.

        Args:
            earlier: A run folder whose trainings are those of this stage, or None.
            trained_on: The images that its networks are trained on.
            is_taught: Whether its networks learn a teacher's answers.

        Raises:
            StageError: The teacher is not trained yet.
        """
        return TrialInputs(
            self.plan.space,
            self.dataset,
            self.settings,
            self.store,
            self.plan.trial_size.gpus,
            earlier,
            trained_on,
            self.teacher if is_taught else None,
        )

    @property
    def expected_seconds(self) -> dict[str, float]:
        """The forecast seconds of each stage by its name; empty without a forecast."""
        stages = Usage.from_json(self.row["forecast"]).stages
        return {name: stage.seconds for name, stage in stages.items()}

    @property
    def spent(self) -> Usage:
        """What it has used so far."""
        return Usage.from_json(self.row["spent"])

    @contextmanager
    def spending(self, stage: str, gpus: float = 0.0) -> Iterator[None]:
        """Add what a stage takes to ``runs.spent``, also if it is interrupted.

        Args:
            stage: Its name, as in the forecast.
            gpus: That it holds.
        """
        started, written = time.monotonic(), self.store.written
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            used = StageUsage(
                seconds=seconds,
                gpu_hours=gpus * seconds / 3600,
                written_bytes=self.store.written - written,
            )
            self.update(spent=self.spent.with_stage(stage, used).to_json())


def recorded_run(store: RunStore, settings: Settings) -> dict[str, Any] | None:
    """Return the row of a run that the folder already holds, or None.

    Args:
        store: The run folder.
        settings: What was asked for; of a run, too, that is what is compared.

    Raises:
        UserError: It was made with other settings, or it is not known with which.
    """
    row = read_run(store)
    if row is None:
        return None
    asked = PlanFacts.from_json(row["plan"]).asked
    differing = differences(as_asked(row["settings"], asked), settings)
    if differing:
        raise UserError(
            f"run folder {store.uri} holds a run of other settings ({'; '.join(differing)}); "
            "choose another --run, or give the recorded settings to continue"
        )
    return row


def settings_of(recorded: dict[str, Any] | None, settings: Settings) -> Settings:
    """Return settings with what a run, if there is one, has worked out of them when it began.

    Args:
        recorded: What ``recorded_run`` returned.
        settings: What was asked for.
    """
    if recorded is None:
        return settings
    asked = PlanFacts.from_json(recorded["plan"]).asked
    return as_recorded(settings, recorded["settings"], asked)


def begin(run: Run) -> None:
    """Record the run's row with its forecast, unless it is continued and has one.

    What was damaged since is put aside, so that the stages make it again.

    Raises:
        StageError: Another driver has begun a run there meanwhile.
    """
    run.store.sweep()
    put_damaged_aside(run.store, run.stages.print)
    latencies = run.plan.latencies
    if latencies and latencies.location != run.store.locate(LATENCIES):
        # the run can be continued, repeated and built upon without the original
        run.store.write_bytes(LATENCIES, latencies.content)
    _keep_teacher(run)
    _keep_start(run)
    if run.recorded:
        if not run.store.parts("runs"):
            write_run(run.store, run.recorded)
        write_images(run.store, run.images)  # an older run has none
        return
    if run.store.rows("runs"):
        raise StageError(
            f"run folder {run.store.uri}: another driver began a run there just now; run the same "
            "command again to continue that one"
        )
    forget_pretraining(run.store)
    write_images(run.store, run.images)
    if run.pretrained:
        take_over(run.store, run.pretrained, run.settings)
    row = rows.run_row(run.store.name, run.settings, run.plan.facts) | {
        "nodes": run.resources.nodes,
        "cpus": run.resources.cpus,
        "gpus": run.resources.gpus,
        "pretrained": run.pretrained.uri if run.pretrained else None,
        "warm_start": run.earlier.source.uri if run.earlier else None,
        "forecast": run.expected.to_json() if run.expected else None,
    }
    write_run(run.store, row)


def _keep_start(run: Run) -> None:
    """Keep trained weights with the run, which can be continued then without what names them."""
    if run.start and not (run.recorded and is_whole(run.store, START)):
        run.store.write_bytes(START, run.start.to_bytes())
    for weights in run.plan.weights:
        if not (run.recorded and is_whole(run.store, weights.path)):
            run.store.write_bytes(weights.path, weights.content)


def _keep_teacher(run: Run) -> None:
    """Copy a teacher into the run folder, which then needs no original; forget any other one."""
    planned, store = run.plan.teacher, run.store
    if run.recorded and is_whole(store, TEACHER):
        return
    if planned and planned.opened:
        store.write_bytes(TEACHER, planned.opened.content)
    elif store.has(TEACHER):
        store.delete(TEACHER)


def end(run: Run) -> None:
    """Mark the run as finished, unless trials failed: the same command tries those again.

    Raises:
        StageError: No trial succeeded.
    """
    outcomes = run.store.rows("outcomes")
    failed = [outcome for outcome in outcomes if outcome["status"] == "failed"]
    rivals = [row for row in run.store.rows("rivals") if row["status"] == "failed"]
    if failed and len(failed) == len(outcomes):
        raise StageError(
            f"retraining: all {len(failed)} trials failed; the first one by:\n{failed[0]['error']}"
        )
    if lost := lost_words(run.store):
        run.stages.print(f"warning: {lost}")
    if not failed and not rivals:
        run.store.compact()
    spent = replace(run.spent, disk_bytes=run.store.size())
    run.update(spent=spent.to_json(), finished=None if failed or rivals else datetime.now(UTC))
