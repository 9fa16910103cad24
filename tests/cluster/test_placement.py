"""GPUs of workers and trials, proven on emulated machines whose GPUs are pretended."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from typing import Any

import pytest

from tests.builders import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.chaos, pytest.mark.timeout(600)]

Seats = list[list[str]]  # of each worker: its machine, and its GPUs


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what ``placing`` found on machines of two and of one GPU."""
    folder = tmp_path_factory.mktemp("seats")
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as sockets:
        environment = os.environ | {
            "HOME": str(tmp_path_factory.mktemp("home")),
            "RAY_TMPDIR": sockets,
            "PYTHONPATH": str(ROOT),
        }
        environment.pop("RAY_ADDRESS", None)
        done = subprocess.run(
            [sys.executable, "-m", "tests.cluster.placing", str(folder)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return answer


def gpus(seats: Seats) -> list[str]:
    """Return the GPUs of workers that have one each."""
    assert all(len(seat) == 2 for seat in seats)
    return [gpu for _, gpu in seats]


def test_the_plan_reads_the_gpus_of_all_machines(found: dict[str, Any]) -> None:
    assert found["resources"] == [3, 8.0, 3.0]
    assert found["each"] == [[0.0, 0.0], [4.0, 1.0], [4.0, 2.0]]
    assert found["plan"] == [3, 1.0, 3, 1.0]


def test_what_no_machine_or_not_all_together_hold_is_refused(found: dict[str, Any]) -> None:
    assert found["too_many"].startswith("--retrain.gpus-per-trial 4: the cluster has 3 GPUs")
    assert found["too_large"].startswith("--retrain.cpus-per-trial 5: no machine of the cluster")


def test_workers_of_a_pretraining_have_a_gpu_each_on_all_machines(found: dict[str, Any]) -> None:
    assert len(set(gpus(found["workers"]))) == 3
    assert len({machine for machine, _ in found["workers"]}) == 2


def test_two_trials_of_half_a_gpu_share_one(found: dict[str, Any]) -> None:
    seats = [seat for (seat,) in found["half"].values()]

    assert sorted(Counter(gpus(seats)).values()) == [2, 2, 2]


def test_trials_of_one_gpu_have_different_ones(found: dict[str, Any]) -> None:
    seats = [seat for (seat,) in found["one"].values()]

    assert sorted(Counter(gpus(seats)).values()) == [1, 1, 1]


def test_the_two_workers_of_a_trial_of_two_gpus_have_one_each(found: dict[str, Any]) -> None:
    ((first, second),) = found["two"].values()  # the third GPU is too few for another trial

    assert len(set(gpus([first, second]))) == 2
