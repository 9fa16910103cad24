"""Training a teacher that a run has by name alone: as the first Tune trial, kept in its folder."""

from dataclasses import replace

import safetensors.torch

from raynas.cluster.final_training import Trainings, train
from raynas.cluster.run import Run
from raynas.cluster.tune.trial_recorder import TEACHERS
from raynas.cluster.tune.tune_searcher import ConfigSearcher
from raynas.errors import StageError
from raynas.recording.outcomes import TrialEnd
from raynas.training.checkpoints import is_whole, read_model
from raynas.training.teacher_file import TEACHER


def train_teacher(run: Run) -> None:
    """Train the network whose answers the others learn, by the same recipe on the same images.

    It writes the table ``teacher_epochs``, and the teacher into the run folder. A run whose teacher
    is trained already, or that has none, does nothing.

    Args:
        run: One that has trained nothing that needs the teacher.

    Raises:
        StageError: The training failed or ended early.
    """
    planned = run.plan.teacher
    if planned is None or planned.chosen is None or is_whole(run.store, TEACHER):
        return
    searcher = ConfigSearcher([{"teacher": planned.name, "chosen": str(planned.chosen)}])
    alone = replace(run.settings.retrain, top_k=1, scheduler="fifo")
    ends: list[TrialEnd] = []
    train(
        run,
        searcher,
        Trainings("teacher", alone, "train", TEACHERS, is_taught=False),
        ends.append,
    )
    (end,) = ends
    if end.status != "finished" or end.checkpoint is None:
        raise StageError(
            f"--retrain.teacher {planned.name}: its training failed, and the others need it; run "
            "the same command again to try it once more, or name another"
        )
    weights = safetensors.torch.load(read_model(run.store, end.checkpoint))
    facts = planned.facts(run.dataset, run.plan.space)
    run.store.write_bytes(TEACHER, facts.packed(weights))
