"""Where workers and trials land on two emulated machines of two and of one pretended GPU.

    python -m tests.cluster.placing FOLDER

A program of its own, since a process can join one Ray cluster only. It writes what it found to
FOLDER/found.json for ``test_placement`` and asserts nothing.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune

from raynas.cluster.planning.connection import Resources, connected, find_resources
from raynas.cluster.planning.plan import make_plan
from raynas.cluster.tune.ray_train import Report, trainable
from raynas.cluster.tune.retrain_trials import run_trials
from raynas.cluster.tune.searchers import ListSearcher
from raynas.cluster.workers.path_workers import Crew, PathWorkers
from raynas.cluster.workers.worker import supernet_recipe
from raynas.errors import UserError
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from tests.builders import build_space
from tests.data.samples import build_dataset

CPUS, GPUS = 4, (2, 1)  # of each machine
_PATIENCE = 60.0


@contextmanager
def machines() -> Iterator[str]:
    """Start the machines; yield the address of their cluster."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - the environment comes first

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    for gpus in GPUS:
        cluster.add_node(num_cpus=CPUS, num_gpus=gpus)
    cluster.wait_for_nodes()
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def seat() -> list[str]:
    """Return the machine and the GPUs of this process."""
    node = ray.get_runtime_context().get_node_id()
    return [node, *(f"{node}/{gpu}" for gpu in ray.get_gpu_ids())]


def seated_trial(
    config: dict[str, Any],
    folder: Path,
    wait_for: int,
    group: DataParallelGroup = ALONE,
    report: Report = tune.report,
) -> None:
    """Write where this worker is, and stay until the trials that fit beside it are there too."""
    (folder / f"{config['architecture']}-{group.rank}").write_text(json.dumps(seat()))
    until = time.monotonic() + _PATIENCE
    while len(list(folder.iterdir())) < wait_for and time.monotonic() < until:
        time.sleep(0.1)
    report({"val_accuracy": 0.5})


def seats_of_trials(folder: Path, asked: float) -> dict[str, list[list[str]]]:
    """Run as many trials of so many GPUs as fit at a time; return where their workers were."""
    folder.mkdir(parents=True)
    settings = Settings(retrain=RetrainSettings(gpus_per_trial=asked, top_k=9, max_failures=0))
    plan = plan_of(settings, find_resources())
    size, count = plan.trial_size, plan.concurrent
    work = trainable(
        seated_trial, size, backend="gloo", folder=folder, wait_for=count * size.workers
    )
    trials = {Architecture((number,)): 0.0 for number in range(count)}
    run_trials(work, ListSearcher(trials, []), [tune.Callback()], settings.retrain, size, count)
    seats: dict[str, list[list[str]]] = {}
    for path in sorted(folder.iterdir()):
        seats.setdefault(path.name.split("-")[0], []).append(json.loads(path.read_text()))
    return seats


def plan_of(settings: Settings, resources: Resources) -> Any:
    """Return the plan of a small run."""
    small = replace(settings, pretrain=PretrainSettings(epochs=1, batch=12))
    return make_plan(build_space("RN"), build_dataset(), small, resources, None)


def refusal(resources: Resources, **retrain: Any) -> str:
    """Return the sentence with which the plan refuses a trial."""
    try:
        plan_of(Settings(retrain=RetrainSettings(**retrain)), resources)
    except UserError as error:
        return str(error)
    return ""


def seats_of_workers(resources: Resources) -> list[list[str]]:
    """Return where the workers of a pretraining are."""
    plan = plan_of(Settings(), resources)
    crew = Crew(resources.room(1, 1.0), 9, gpus=plan.gpus_per_worker, transport="calls")
    recipe = supernet_recipe(plan.space, Settings(), 1, 0.0)
    with PathWorkers(recipe, build_dataset(), crew) as workers:
        actors = [member.actor for member in workers._members]
        return ray.get([actor.__ray_call__.remote(lambda _: seat()) for actor in actors])


def main(folder: Path) -> None:
    """Write what was found."""
    with machines() as address:
        os.environ["RAY_ADDRESS"] = address
        with connected() as resources:
            plan = plan_of(Settings(), resources)
            found = {
                "resources": [resources.nodes, resources.cpus, resources.gpus],
                "each": sorted(resources.each),
                "plan": [plan.workers, plan.gpus_per_worker, plan.concurrent, plan.gpus_per_trial],
                "too_many": refusal(resources, gpus_per_trial=4.0),
                "too_large": refusal(resources, cpus_per_trial=CPUS + 1),
                "workers": seats_of_workers(resources),
                "half": seats_of_trials(folder / "half", 0.5),
                "one": seats_of_trials(folder / "one", 1.0),
                "two": seats_of_trials(folder / "two", 2.0),
            }
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    main(Path(sys.argv[1]))
