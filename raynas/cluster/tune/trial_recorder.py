"""What is written of trainings as trials report them: an epoch's row each, and how trials end."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from raynas.cluster.tune.experiment import Recorder
from raynas.cluster.tune.failure_report import failure_text
from raynas.recording.outcomes import TrialEnd
from raynas.settings.retrain import RetrainSettings
from raynas.storage.outcome_rows import TrainedOn, is_on_all, rival_file, training_name
from raynas.storage.run_store import RunStore
from raynas.terminal.eta import longest_queue
from raynas.terminal.progress_bars import Advance
from raynas.training.checkpoints import model_path

VALIDATED = ("val_accuracy", "val_balanced_accuracy")
"""What a trial reports of the validation images after each epoch."""
_TESTED = ("test_accuracy", "test_balanced_accuracy", "test_images", "temperature")


@dataclass(frozen=True)
class TrialsOf:
    """What trials train, and where its epochs are written.

    Attributes:
        table: Of the epochs.
        column: That names the network, there and in the config of a trial.
    """

    table: Literal["trials", "rival_epochs", "teacher_epochs"]
    column: Literal["architecture", "rival", "teacher"]

    def training(self, text: str, trained_on: TrainedOn) -> str:
        """Return the name of a training, as part of the names of files."""
        if self.column == "teacher":  # of which there is one
            return self.column
        return training_name(
            text if self.column == "architecture" else rival_file(text), trained_on
        )


ARCHITECTURES = TrialsOf("trials", "architecture")
RIVALS = TrialsOf("rival_epochs", "rival")
TEACHERS = TrialsOf("teacher_epochs", "teacher")


class TrialRecorder(Recorder):
    """Writes the epochs of trials as they arrive, and hands on how trials end."""

    def __init__(  # noqa: PLR0913 - what is written, and of what
        self,
        store: RunStore,
        settings: RetrainSettings,
        advance: Advance,
        on_end: Callable[[TrialEnd], None],
        concurrent: int = 1,
        trained_on: TrainedOn = "train",
        of: TrialsOf = ARCHITECTURES,
    ) -> None:
        """Keep where to write and whom to tell.

        Args:
            store: The run folder.
            settings: What a trial is to do.
            advance: Moves the stage's bar on.
            on_end: Told how a trial ended.
            concurrent: Trials at a time.
            trained_on: The images that they train on.
            of: What they train.
        """
        self._of = of
        self._trained_on: TrainedOn = trained_on
        self._store = store
        self._settings = settings
        self._advance = advance
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in sorted(store.rows(of.table), key=lambda row: int(row["epoch"])):
            if is_on_all(row) == (trained_on == "all"):
                self._rows[row[of.column]].append(row)
        self._done = {text: len(rows) for text, rows in self._rows.items()}  # epochs
        self._ended: set[str] = set()
        self._on_end = on_end
        self._concurrent = concurrent

    def setup(self, *_: Any, **__: Any) -> None:
        """Tell what is left: where all trials begin at once, their first reports tell no pace."""
        self._advance(sum(self._done.values()), left=self._left())

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write the trial's epochs so far; the part is replaced each time.

        Epochs that a trial had done after its last checkpoint keep their rows until it has done
        them again.
        """
        del iteration, trials, info
        text = trial.config[self._of.column]
        rows, history = self._rows[text], result["history"]
        rows[: len(history)] = [
            {
                "trial": trial.trial_id,
                self._of.column: text,
                "trained_on": self._trained_on,
                **epoch,
            }
            for epoch in history
        ]
        part = self._of.training(text, self._trained_on)
        self._store.append(self._of.table, rows, part=part)
        self._store.written += result.get("written_bytes", 0)  # by the trial, elsewhere
        self._done[text] = result["epoch"]
        accuracy = result["val_accuracy"]
        found = "on all images" if accuracy is None else f"{accuracy:.3f}"
        self._advance(sum(self._done.values()), f"{text} {found}", self._left())

    def _left(self) -> float:
        """Return the epochs until the last trial ends; some wait until others have ended."""
        each, begun = self._settings.epochs, self._done.items()
        lengths = [each - done for text, done in begun if text not in self._ended]
        lengths += [each] * (self._settings.top_k - len(self._done))
        return longest_queue(lengths, self._concurrent)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell how the trial ended."""
        del iteration, trials, info
        last = trial.last_result
        epochs = last.get("epoch", 0)
        status = "finished" if epochs == self._settings.epochs else "stopped"
        text = trial.config[self._of.column]
        weights = model_path(self._of.training(text, self._trained_on))
        checkpoint = weights if status == "finished" else None
        found = {name: last.get(name) for name in (*VALIDATED, *_TESTED)}
        self._tell_end(text, epochs, status=status, checkpoint=checkpoint, **found)

    def _tell_end(self, text: str, epochs: int, **found: Any) -> None:
        self._ended.add(text)
        self._on_end(TrialEnd(text, epochs, trained_on=self._trained_on, **found))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that the trial failed for good, and why."""
        del iteration, trials, info
        last = trial.last_result or {}
        error = failure_text(trial, self._settings)
        text, epochs = trial.config[self._of.column], last.get("epoch", 0)
        found = dict.fromkeys(_TESTED) | {name: last.get(name) for name in VALIDATED}
        self._tell_end(text, epochs, status="failed", error=error, **found)
