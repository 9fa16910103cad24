"""What is refused of a cluster's nodes before a run."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from raynas.cluster.planning.node_check import _refuse_unfit, _report
from raynas.cluster.planning.node_requirements import (
    Demands,
    Report,
    UnfitNodeError,
    demands_of,
    on_fit_nodes,
    versions_here,
)
from raynas.cluster.ray_internals import Node
from raynas.errors import UserError
from raynas.storage.run_store import RunStore
from tests.builders import ROOT

NODE = Node("a1b2", "gpu-7", "10.0.0.7", {"CPU": 8.0, "GPU": 2.0})
FIT = Report(versions_here(), has_raynas=True, unseen=[], gpus=2)


def changed(**what: Any) -> Report:
    return Report(**{**vars(FIT), **what})


def demands(folder: Path) -> Demands:
    return Demands(versions_here(), str(folder), "MARKER", "/data/a.png")


UNFIT = {
    "other torch": (
        changed(versions={**FIT.versions, "torch": "2.9.0"}),
        f"it has torch 2.9.0 (here {FIT.versions['torch']}); install the same versions",
    ),
    "no safetensors": (
        changed(versions={**FIT.versions, "safetensors": None}),
        "it has safetensors missing (here",
    ),
    "no raynas": (changed(has_raynas=False), "ray job submit --working-dir ."),
    "own disk": (
        changed(unseen=["MARKER"]),
        "node gpu-7 (10.0.0.7) does not see it; choose a --run",
    ),
    "no images": (changed(unseen=["/data/a.png"]), "--data /data/a.png: node gpu-7"),
    "no CUDA": (changed(gpus=0), "Ray was promised 2 GPUs, torch finds 0"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_wrong_with_a_node_is_told_in_one_sentence_with_its_name(
    name: str, tmp_path: Path
) -> None:
    report, words = UNFIT[name]
    with pytest.raises(UserError) as refused:
        _refuse_unfit(NODE, report, demands(tmp_path))
    assert words in str(refused.value)
    assert "gpu-7" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_fit_node_is_not_refused(tmp_path: Path) -> None:
    assert _refuse_unfit(NODE, FIT, demands(tmp_path)) is None  # to refuse is to raise


def test_builds_of_one_version_are_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    version = "importlib.metadata.version"
    monkeypatch.setattr(version, lambda _: "2.14.1+cu130")
    with_cuda = versions_here()
    monkeypatch.setattr(version, lambda _: "2.14.1+cpu")
    assert versions_here() == with_cuda


class TestNodesThatJoinLater:
    """Nobody has asked them: the work itself looks at them where it begins."""

    @staticmethod
    def begun(folder: Path) -> RunStore:
        store = RunStore(str(folder / "run"))
        store.write_bytes("tables/runs/run.parquet", b"")
        return store

    def test_work_begins_on_a_node_that_has_what_the_run_asks_for(self, tmp_path: Path) -> None:
        work = on_fit_nodes(lambda a, b: a + b, demands_of(self.begun(tmp_path), __file__))

        assert work(1, b=2) == 3

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"versions": FIT.versions | {"torch": "2.9.0"}}, r"torch .* \(here 2\.9\.0\)"),
            ({"marker": "/nowhere/tables"}, "run folder .* does not see it"),
            ({"file": "/nowhere/a.png"}, "--data /nowhere/a.png: node .* does not see it"),
        ],
    )
    def test_work_does_not_begin_on_another_one_and_a_sentence_tells_what_it_lacks(
        self, tmp_path: Path, changes: dict[str, Any], words: str
    ) -> None:
        asked = replace(demands_of(self.begun(tmp_path), None), **changes)
        with pytest.raises(UnfitNodeError, match=words) as told:
            on_fit_nodes(pytest.fail, asked)("it began")

        assert platform.node() in str(told.value)
        assert str(told.value).endswith(", or remove it from the cluster")
        assert "\n" not in str(told.value)

    def test_a_run_in_an_object_store_is_seen_from_everywhere(self) -> None:
        assert demands_of(RunStore("mock://bucket/run"), None).paths == []


@pytest.mark.parametrize(
    ("error", "is_gone"),
    [
        (ray.exceptions.TaskUnschedulableError("the node doesn't exist any more"), True),
        (ray.exceptions.NodeDiedError("no heartbeat"), True),
        (ray.exceptions.WorkerCrashedError(), True),
        (ray.exceptions.RuntimeEnvSetupError("no pip"), False),
    ],
)
def test_a_node_that_died_just_now_is_passed_over_and_one_that_is_broken_is_not(
    error: Exception, is_gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "get", get)
    if is_gone:
        assert _report(NODE, None) is None
    else:
        with pytest.raises(UserError, match=r"node gpu-7 .*: it cannot run a task"):
            _report(NODE, None)


SURVEY = """
import json, os, sys
import ray
from ray.cluster_utils import Cluster
from raynas.cluster.planning.connection import connected
from raynas.cluster.ray_internals import Node
from raynas.cluster.planning.node_check import refuse_unfit_nodes
from raynas.errors import UserError
from raynas.storage.run_store import RunStore

def verdict(*args):
    try:
        refuse_unfit_nodes(*args)
    except UserError as error:
        return str(error)

head = {"num_cpus": 1, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
os.environ["RAY_ADDRESS"] = cluster.address
store = RunStore(sys.argv[1])
with connected():
    found = [verdict(store), verdict(store, f"/proc/self/task/{os.getpid()}")]
    cluster.add_node(num_cpus=1, num_gpus=2)
    cluster.wait_for_nodes()
    found.append(verdict(store))
print("FOUND", json.dumps(found))
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPUs are to be missing")
def test_real_nodes_are_asked_for_the_folder_the_images_and_their_gpus(tmp_path: Path) -> None:
    environment = os.environ | {
        "HOME": str(tmp_path / "home"),
        "RAY_AUTH_MODE": "disabled",
        "PYTHONPATH": str(ROOT),
    }
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SURVEY, str(tmp_path / "deep" / "run")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, done.stderr
    fit, without_images, without_gpus = json.loads(lines[0].removeprefix("FOUND "))

    assert fit is None  # the node sees the folder, and raynas, and has the same versions
    assert "does not see it; put the images where all" in without_images
    assert "Ray was promised 2 GPUs, torch finds 0" in without_gpus
    assert not (tmp_path / "deep").exists()  # nothing is left behind
