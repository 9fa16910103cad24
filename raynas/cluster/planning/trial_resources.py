"""How large a retraining trial is: its workers, and what each of them takes."""

from dataclasses import dataclass

from raynas.cluster.planning.connection import Resources, gpus_each, places
from raynas.errors import UserError
from raynas.settings.retrain import RetrainSettings

# a trial must take something, and CPUs would be missing inside it: a byte of memory
NEXT_TO_NOTHING = {"cpu": 0.0, "memory": 1.0}


@dataclass(frozen=True)
class TrialSize:
    """The workers of a trial.

    Attributes:
        workers: How many train one network together.
        cpus: CPUs of each, and threads.
        gpus: GPUs of each; a worker alone may share one.
    """

    workers: int = 1
    cpus: int = 1
    gpus: float = 0.0

    @property
    def all_gpus(self) -> float:
        """The GPUs of all workers together."""
        return self.workers * self.gpus

    @property
    def own(self) -> dict[str, float]:
        """What the trial itself takes as Tune counts it; several workers are no part of it.

        A trial that leads workers only waits for them: a CPU of its own would be theirs.
        """
        if self.workers > 1:
            return NEXT_TO_NOTHING
        return {"cpu": self.cpus, "gpu": self.gpus}

    def room(self, resources: Resources) -> int:
        """Return how many such trials fit at a time; workers of one may be on many machines."""
        return resources.room(self.cpus, self.gpus) // self.workers


def trial_size(
    settings: RetrainSettings, resources: Resources, recorded: int | None = None
) -> TrialSize:
    """Return the size of a trial on this cluster.

    Args:
        settings: What was asked for.
        resources: What the cluster has.
        recorded: Workers of a trial as the run folder has them, which a continued run keeps: each
            worker's batch norms see its part of a batch.

    Raises:
        UserError: The cluster does not hold one trial, or a worker would have too few images.
    """
    asked = settings.gpus_per_trial
    gpus = gpus_each(asked, resources, "retrain.gpus-per-trial")
    workers = recorded or settings.workers_per_trial or max(int(asked or 0), 1)
    _refuse_other_number(asked, workers)
    refuse_small_parts("retraining", settings.batch, workers, "retrain.batch")
    size = TrialSize(workers, settings.cpus_per_trial, gpus if asked is None else gpus / workers)
    fitting = places(resources, size.cpus, size.gpus, "retrain.cpus-per-trial")
    if fitting < workers:
        flag = "gpus-per-trial" if int(asked or 0) == workers else "workers-per-trial"
        raise UserError(
            f"--retrain.{flag} {workers}: the cluster holds {fitting} workers of {size.cpus} CPUs "
            f"and {size.gpus:g} GPUs; ask for fewer"
        )
    return size


def refuse_small_parts(where: str, batch: int, workers: int, flag: str) -> None:
    """Refuse workers too many for a batch.

    Args:
        where: What they do, as the error starts.
        batch: Images of a step, of which each worker has its part.
        workers: How many there are.
        flag: What sets the batch.

    Raises:
        UserError: One would have a single image or none, of which batch norms make nothing.
    """
    if batch // workers < 2:
        raise UserError(
            f"{where}: a batch of {batch} leaves fewer than 2 images to each of {workers} "
            f"workers, too few for batch norms; raise --{flag}"
        )


def _refuse_other_number(gpus: float | None, workers: int) -> None:
    """Refuse GPUs that are not one for each of a trial's workers, in a continued run."""
    if gpus and workers != max(int(gpus), 1):
        raise UserError(
            f"--retrain.gpus-per-trial {gpus:g}: the run folder has trials of {workers} workers "
            f"with a GPU each; set it to {workers}, leave it out, or choose another --run"
        )
