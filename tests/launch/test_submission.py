"""The search as a Ray job on a cluster of three nodes that know nothing of raynas."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient
from ray.util.state import list_nodes, list_tasks

from raynas.costs.latency_table import LatencyTable
from raynas.storage.run_store import RunStore
from tests.builders import ROOT
from tests.launch.scripts import SHORT, Ended, ended, results_of, running, wait_until
from tests.nodes import Nodes, may_mount, started

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]  # it may start

DEVICE = "phone"  # a custom resource of one node
_LIMIT = 1 << 20  # bytes of the package; Ray takes a hundred times as much
_HIDDEN = ("runs", "__pycache__", "build", "dist", "venv", "*.egg-info", ".*")


class Cluster:
    """A cluster, and a person's checkout from which to submit jobs to it."""

    def __init__(self, nodes: Nodes, checkout: Path, data: str) -> None:
        self.nodes, self.checkout, self.data = nodes, checkout, data
        self.jobs = JobSubmissionClient(nodes.dashboard)

    def submit(self, run: Path, *flags: str) -> subprocess.Popen[str]:
        """Submit a search by the README's line and flags; its output is the job's."""
        names = {"DIR": self.data, "RUN": str(run)}
        return self.start(names.get(word, word) for word in [*shlex.split(readme_line()), *flags])

    def start(self, words: Iterable[str]) -> subprocess.Popen[str]:
        """Run a command of Ray's from the checkout."""
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        address = {"RAY_ADDRESS": self.nodes.dashboard, "RAY_AUTH_MODE": "disabled"}
        return subprocess.Popen(
            [*words],
            cwd=self.checkout,
            env=os.environ | address | {"PATH": programs},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def package(self) -> Path:
        """Return the folder that a node has unpacked."""
        return next(self.nodes.folder.glob("*/session_2*/runtime_resources/*/_ray_pkg_*/"))


def readme_line() -> str:
    """Return the README's line for a cluster."""
    (line,) = re.findall(
        r"^    (ray job submit .*)$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    return str(line)


def job_of(end: Ended) -> str:
    """Return the id under which Ray knows a job."""
    found = re.search(r"raysubmit_\w+", end.output)
    assert found, end.errors
    return found[0]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what is under version control, or of all that is visible."""
    folder = tmp_path_factory.mktemp("checkout") / "raynas"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_HIDDEN))
        return folder
    for name in filter(None, listed.stdout.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def cluster(checkout: Path, pictures: Path) -> Iterator[Cluster]:
    """Return a head and two nodes."""
    with started(workers=2, resource=DEVICE) as nodes:
        yield Cluster(nodes, checkout, str(pictures))


@pytest.fixture(scope="module")
def submitted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Return the folder of a run that was submitted, and how the submission ended."""
    run = tmp_path_factory.mktemp("runs") / "submitted"
    return run, ended(cluster.submit(run, *SHORT))


def test_nodes_do_not_know_raynas(cluster: Cluster) -> None:
    words = [cluster.nodes.python, "-c", "import ray, torch; import raynas"]
    end = subprocess.run(
        words, env=cluster.nodes.environment(), cwd="/", capture_output=True, text=True, check=False
    )

    assert end.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'raynas'"


def test_the_readme_s_line_runs_on_the_cluster_and_tells_the_outcome(
    submitted: tuple[Path, Ended], cluster: Cluster
) -> None:
    run, end = submitted

    assert end.code == 0, end.output + end.errors
    assert cluster.jobs.get_job_status(job_of(end)) == JobStatus.SUCCEEDED
    (row,) = RunStore(str(run)).rows("runs")
    assert row["finished"] is not None
    assert (row["nodes"], row["cpus"]) == (3, 2.0)
    log = cluster.jobs.get_job_logs(job_of(end))
    assert log.splitlines()[-1] == f"run folder: {run}"
    assert "Traceback" not in log


def test_latencies_are_measured_on_the_node_that_a_custom_resource_names(
    cluster: Cluster, tmp_path: Path
) -> None:
    table = tmp_path / "phone.parquet"
    words = [
        "ray",
        "job",
        "submit",
        "--working-dir",
        ".",
        "--",
        "python",
        "launch/latency.py",
        "--resource",
        DEVICE,
        *shlex.split("--nets 10 --held-out 4 --repeats 2 --out"),
        str(table),
    ]
    end = ended(cluster.start(words))

    assert end.code == 0, end.output + end.errors
    read = LatencyTable.read(str(table))
    assert read.facts["resource"] == DEVICE
    assert len(read.rows) == 6 * 4 + 4 + 1
    dashboard = cluster.nodes.dashboard
    (task,) = list_tasks(dashboard, detail=True, filters=[("name", "=", "measure")])
    having = {n.node_id for n in list_nodes(dashboard) if n.resources_total.get(DEVICE)}
    assert {task.node_id} == having


def test_a_submitted_run_finds_what_a_run_on_one_machine_finds(
    submitted: tuple[Path, Ended], undisturbed: Path
) -> None:
    assert results_of(submitted[0]) == results_of(undisturbed)


def test_the_package_that_is_uploaded_is_small(
    submitted: tuple[Path, Ended], cluster: Cluster, tmp_path: Path
) -> None:
    package, sent = cluster.package(), tmp_path / "sent"
    shutil.copytree(package, sent, ignore=shutil.ignore_patterns("__pycache__"))  # made there
    zipped = shutil.make_archive(str(tmp_path / "package"), "zip", sent)

    assert submitted
    assert (package / "launch" / "search.py").is_file()
    assert not (package / "tests").exists()
    assert Path(zipped).stat().st_size < _LIMIT


def test_a_mistake_in_the_request_fails_the_job_by_a_sentence(
    cluster: Cluster, tmp_path: Path
) -> None:
    end = ended(cluster.submit(tmp_path / "run", *SHORT, "--max-macs", "1"))
    log = cluster.jobs.get_job_logs(job_of(end))

    assert end.code == 1
    assert cluster.jobs.get_job_status(job_of(end)) == JobStatus.FAILED
    (sentence,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert "--max-macs 1" in sentence
    assert "Traceback" not in log


@contextmanager
def begun(cluster: Cluster, run: Path, table: str) -> Iterator[subprocess.Popen[str]]:
    """Submit a run and wait until a table of it has rows."""
    with running(cluster.submit(run, *SHORT)) as process:
        wait_until(lambda: RunStore(str(run)).rows(table)[2:], process, 360)
        yield process


@pytest.mark.chaos
@pytest.mark.parametrize("table", ["steps", "trials"])
def test_a_job_that_was_stopped_continues_by_the_same_line(
    cluster: Cluster, undisturbed: Path, tmp_path: Path, table: str
) -> None:
    run = tmp_path / "run"
    with begun(cluster, run, table) as process:
        (job,) = [each for each in cluster.jobs.list_jobs() if each.status == JobStatus.RUNNING]
        plan_so_far = cluster.jobs.get_job_logs(str(job.submission_id))
        cluster.jobs.stop_job(str(job.submission_id))
        end = ended(process)
    assert "cluster   3 nodes" in plan_so_far  # not only when the output is full
    assert cluster.jobs.get_job_status(job_of(end)) == JobStatus.STOPPED
    assert RunStore(str(run)).rows("runs")[0]["finished"] is None
    assert not RunStore(str(run)).has("lock.json")

    again = ended(cluster.submit(run, *SHORT))
    assert again.code == 0, again.output
    assert results_of(run) == results_of(undisturbed)


@pytest.mark.chaos
@pytest.mark.parametrize("table", ["steps", "trials"])
def test_a_job_goes_on_when_a_node_loses_power(
    cluster: Cluster, undisturbed: Path, tmp_path: Path, table: str
) -> None:
    run = tmp_path / "run"
    with begun(cluster, run, table) as process:
        cluster.nodes.kill_node()
        try:
            end = ended(process)
        finally:
            cluster.nodes.add_node()

    assert end.code == 0, end.output
    assert results_of(run) == results_of(undisturbed)


@pytest.mark.chaos
def test_without_a_run_folder_the_results_last_in_the_home_directory(cluster: Cluster) -> None:
    words = shlex.split(readme_line())
    end = ended(cluster.start([*words[: words.index("--data")], "--data", cluster.data, *SHORT]))

    assert end.code == 0, end.output
    (run,) = (cluster.nodes.folder / "home" / "runs").iterdir()
    assert RunStore(str(run)).rows("runs")[0]["finished"] is not None
    assert f"run folder: {run}" in end.output


@pytest.mark.chaos
def test_a_run_folder_that_a_node_does_not_see_is_refused_in_a_sentence(
    cluster: Cluster, tmp_path: Path
) -> None:
    if not may_mount(tmp_path):
        pytest.skip("a node's own disk needs the right to mount")
    cluster.nodes.add_node(apart=tmp_path)
    try:
        end = ended(cluster.submit(tmp_path / "deep" / "run", *SHORT))
    finally:
        cluster.nodes.kill_node()

    assert end.code == 1
    log = cluster.jobs.get_job_logs(job_of(end))
    (sentence,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert "does not see it; choose a --run that all nodes share" in sentence
    assert list(tmp_path.iterdir()) == []
