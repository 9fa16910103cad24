"""The record of a pretraining as it goes: steps, indicators, ledger, and the checkpoint.

The checkpoint is written last, so the tables never lack what it has passed; rows of steps that a
crash has undone are dropped when the run continues. After the last step the parts become one file.
"""

import time
from types import TracebackType
from typing import Self

import numpy as np

from raynas.recording.rows import indicator_rows, ledger_rows
from raynas.search.formulas import Array
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.chain import SearchSpace
from raynas.storage.run_store import RunStore
from raynas.training.pretraining import Pretraining, StepReport

CHECKPOINT = "checkpoints/pretraining.safetensors"
_ROWS = 1000  # steps in a part of the table; the last part is rewritten while it grows


class Journal:
    """Writes what a pretraining does into a run folder; a context manager that saves at its end."""

    def __init__(
        self,
        store: RunStore,
        state: Pretraining,
        space: SearchSpace,
        settings: PretrainSettings,
        num_images: int,
    ) -> None:
        """Continue the record at the state's step, dropping what a crash has undone.

        Args:
            store: The run folder.
            state: The pretraining, fresh or restored.
            space: The space that is pretrained.
            settings: Its numbers.
            num_images: Training images of an epoch.
        """
        self._store = store
        self._state = state
        self._space = space
        self._settings = settings
        self._epoch_steps = num_images / settings.batch
        store.drop("steps", lambda part: int(part) >= state.step)
        last = store.table("steps", parts=[_part(state.step)]).to_pylist()
        self._rows = [row for row in last if row["step"] < state.step]
        points = np.linspace(0, state.num_steps, max(settings.records, 1) + 1)
        self._points = {round(float(point)) for point in points[1:]}
        self._recorded = self._state_saved = state.step
        self._saved = self._last = time.monotonic()
        self._saving = 0.0  # seconds that it took the last time

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Save what is recorded; a step that was interrupted half-way will be done again."""
        if self._recorded == self._state.step != self._state_saved:
            self._write_due()  # again, if that is where it was interrupted
            self._save()

    def add(self, step: StepReport, workers: int, waiting_share: float = 0.0) -> None:
        """Record a step, and save if it is time.

        Args:
            step: What it did.
            workers: Who could be asked to compute it.
            waiting_share: Share of their time, in [0, 1], that they waited for batches.
        """
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._rows.append(
            {
                "step": step.step,
                "epoch": (step.step + 1) / self._epoch_steps,
                "loss": step.loss,
                "learning_rate": step.learning_rate,
                "seconds": seconds,
                "images_per_second": self._settings.batch * step.num_paths / seconds,
                "workers": workers,
                "waiting_share": waiting_share,
            }
        )
        self._recorded = done = self._state.step
        self._write_due()
        is_last = done == self._state.num_steps
        if is_last or now - self._saved >= self._period:
            self._save()
            if is_last:
                self._store.compact("steps", "indicators")
        elif done % _ROWS == 0:
            self._write_steps()

    def complete(self) -> None:
        """Write again what the tables have lost of a pretraining that has ended."""
        last = f"{self._state.step - 1:09d}"
        if self._state.step and not (
            self._store.parts("ledger") and last in self._store.parts("indicators")
        ):
            self._write_due()

    def losses(self) -> Array:
        """Return the loss of every step so far."""
        losses: Array = self._store.table("steps", ["loss"])["loss"].to_numpy()
        return losses  # parts and their rows are in the order of the steps

    @property
    def _period(self) -> float:
        """Seconds between checkpoints: on a slow storage they take a tenth of the time at most."""
        asked = self._settings.checkpoint_seconds
        return max(asked, 9 * self._saving) if asked else 0.0

    def _save(self) -> None:
        started = time.monotonic()
        self._write_steps()
        self._store.write_bytes(CHECKPOINT, self._state.to_bytes())
        self._state_saved, self._saved = self._state.step, time.monotonic()
        self._saving = self._saved - started

    def _write_steps(self) -> None:
        if not self._rows:
            return
        self._store.append("steps", self._rows, part=_part(self._rows[0]["step"]))
        if self._state.step % _ROWS == 0:
            self._rows = []

    def _write_due(self) -> None:
        """Write the tables that the step just taken is due for, before a checkpoint passes it."""
        state = self._state
        if state.step in self._points:
            step = state.step - 1  # its number in the table of steps
            rows = indicator_rows(self._space, state.indicators(), step)
            self._store.append("indicators", rows, part=f"{step:09d}")
        if state.step == state.num_steps:
            rows = ledger_rows(self._space, state.updates)
            self._store.append("ledger", rows, part="final")


def _part(step: int) -> str:
    """Return the name of the part that a step belongs to: its first step."""
    return f"{step - step % _ROWS:09d}"
