"""How large a retraining trial is, and how many of them fit a cluster at a time."""

import json
from dataclasses import replace
from typing import Any

import pytest

from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.trial_resources import TrialSize, trial_size
from raynas.errors import UserError
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.storage.plan_facts import PlanFacts
from tests.cluster.planning.test_plan import SMALL, lines_of, plan

CPUS = Resources(2, 8.0, 0.0, each=((4.0, 0.0), (4.0, 0.0)))
GPUS = Resources(2, 16.0, 5.0, each=((8.0, 3.0), (8.0, 2.0)))


def size(resources: Resources, recorded: int | None = None, **settings: Any) -> TrialSize:
    """Return the size of a trial."""
    return trial_size(RetrainSettings(**settings), resources, recorded)


def refusal(resources: Resources, recorded: int | None = None, **settings: Any) -> str:
    """Return the sentence with which a trial is refused."""
    with pytest.raises(UserError) as caught:
        size(resources, recorded, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestSize:
    @pytest.mark.parametrize(
        ("resources", "settings", "wanted"),
        [
            (CPUS, {}, TrialSize(1, 1, 0.0)),
            (GPUS, {}, TrialSize(1, 1, 1.0)),
            (GPUS, {"gpus_per_trial": 0.5}, TrialSize(1, 1, 0.5)),
            (GPUS, {"gpus_per_trial": 2.0}, TrialSize(2, 1, 1.0)),
            (GPUS, {"workers_per_trial": 2}, TrialSize(2, 1, 1.0)),
            (GPUS, {"workers_per_trial": 2, "gpus_per_trial": 0.0}, TrialSize(2, 1, 0.0)),
            (CPUS, {"workers_per_trial": 2, "cpus_per_trial": 3}, TrialSize(2, 3, 0.0)),
        ],
    )
    def test_a_trial_has_a_worker_for_each_gpu_or_as_many_as_asked(
        self, resources: Resources, settings: dict[str, Any], wanted: TrialSize
    ) -> None:
        assert size(resources, **settings) == wanted

    def test_several_workers_are_no_part_of_what_tune_reserves_for_the_trial(self) -> None:
        assert TrialSize(1, 2, 0.5).own == {"cpu": 2, "gpu": 0.5}
        assert TrialSize(2, 2, 1.0).own["cpu"] == 0
        assert "gpu" not in TrialSize(2, 2, 1.0).own

    @pytest.mark.parametrize(
        ("resources", "trial", "wanted"),
        [
            (GPUS, TrialSize(1, 1, 1.0), 5),
            (GPUS, TrialSize(1, 1, 0.5), 10),
            (GPUS, TrialSize(2, 1, 1.0), 2),  # one of the two has a worker on each machine
            (GPUS, TrialSize(5, 1, 1.0), 1),
            (CPUS, TrialSize(2, 3, 0.0), 1),  # a worker a machine, since 3 CPUs fit but once
            (CPUS, TrialSize(3, 1, 0.0), 2),
        ],
    )
    def test_trials_at_a_time_are_counted_in_workers_over_all_machines(
        self, resources: Resources, trial: TrialSize, wanted: int
    ) -> None:
        assert trial.room(resources) == wanted


class TestRefusals:
    def test_more_workers_than_the_cluster_holds_are_refused_by_the_flag_that_asked(self) -> None:
        by_workers = refusal(CPUS, workers_per_trial=3, cpus_per_trial=4)
        by_gpus = refusal(Resources(2, 5.0, 4.0, each=((4.0, 1.0), (1.0, 3.0))), gpus_per_trial=4.0)

        assert "--retrain.workers-per-trial 3: the cluster holds 2 workers of 4 CPUs" in by_workers
        assert "--retrain.gpus-per-trial 4: the cluster holds 2 workers" in by_gpus

    def test_a_worker_larger_than_every_machine_is_refused(self) -> None:
        sentence = refusal(CPUS, workers_per_trial=2, cpus_per_trial=5)

        assert "--retrain.cpus-per-trial 5: no machine of the cluster has 5 CPUs" in sentence

    def test_fewer_than_two_images_to_a_worker_are_refused(self) -> None:
        sentence = refusal(CPUS, workers_per_trial=4, batch=7)

        assert "a batch of 7 leaves fewer than 2 images to each of 4 workers" in sentence
        assert "--retrain.batch" in sentence
        assert size(CPUS, workers_per_trial=4, batch=8).workers == 4

    @pytest.mark.parametrize(
        ("settings", "flags"),
        [
            ({"gpus_per_trial": 1.5}, "--retrain.gpus-per-trial 1.5: wanted a whole number"),
            ({"gpus_per_trial": 1e-5}, "--retrain.gpus-per-trial 1e-05: wanted 0 or at"),
            (
                {"gpus_per_trial": 2.0, "workers_per_trial": 4},
                "--retrain.workers-per-trial 4 with --retrain.gpus-per-trial 2: wanted a GPU for",
            ),
            (
                {"gpus_per_trial": 0.5, "workers_per_trial": 2},
                "--retrain.workers-per-trial 2 with --retrain.gpus-per-trial 0.5: wanted a GPU for",
            ),
            ({"workers_per_trial": 0}, "--retrain.workers-per-trial: got 0, wanted at least 1"),
        ],
    )
    def test_gpus_that_workers_cannot_have_one_each_are_refused_before_anything_starts(
        self, settings: dict[str, Any], flags: str
    ) -> None:
        with pytest.raises(UserError) as caught:
            Settings(retrain=RetrainSettings(**settings))

        assert str(caught.value).startswith(flags)


class TestPlan:
    def test_the_number_of_workers_is_kept_on_resume_whatever_the_cluster_has_now(self) -> None:
        asked = replace(SMALL, retrain=RetrainSettings(gpus_per_trial=2.0))
        recorded = plan(asked, GPUS).facts

        assert recorded.workers_per_trial == 2
        again = plan(SMALL, CPUS, recorded)
        assert again.trial_size == TrialSize(2, 1, 0.0)
        assert again.facts == recorded

    def test_a_folder_without_a_number_of_workers_had_one(self) -> None:
        known = json.loads(plan().facts.to_json())
        del known["workers_per_trial"]
        recorded = PlanFacts.from_json(json.dumps(known))

        assert plan(recorded=recorded).trial_size.workers == 1

    def test_other_gpus_than_the_recorded_workers_have_are_refused(self) -> None:
        sentence = refusal(GPUS, recorded=2, gpus_per_trial=3.0)

        assert "--retrain.gpus-per-trial 3: the run folder has trials of 2 workers" in sentence
        assert size(GPUS, recorded=2, gpus_per_trial=2.0).workers == 2
        assert size(GPUS, recorded=2, gpus_per_trial=0.0).gpus == 0
        assert size(GPUS, recorded=1, gpus_per_trial=0.5).workers == 1

    def test_trials_at_a_time_and_the_workers_of_each_are_told(self) -> None:
        asked = replace(SMALL, retrain=RetrainSettings(gpus_per_trial=2.0))
        text = "\n".join(lines_of(plan(asked, GPUS), asked, GPUS))
        alone = "\n".join(lines_of(plan(SMALL, GPUS), SMALL, GPUS))

        assert (
            "3 networks for 15 epochs, 2 at a time, each on 2 workers of 1 CPU and 1 GPU, fifo"
            in text
        )
        assert "3 networks for 15 epochs, 3 at a time, fifo" in alone

    def test_as_many_trials_run_at_a_time_as_fit(self) -> None:
        asked = replace(SMALL, retrain=RetrainSettings(workers_per_trial=3, top_k=9))
        made = plan(asked, CPUS)

        assert (made.concurrent, made.checkers) == (2, 2)
