"""Joining a cluster, and what is refused of it."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
import ray
import torch

from raynas.cluster.planning import connection
from raynas.cluster.planning.connection import Resources, gpus_each, lasting, places
from raynas.errors import UserError
from tests.builders import ROOT

JOIN = """
from raynas.cluster.planning.connection import connected
from raynas.errors import UserError
try:
    with connected():
        print("joined")
except UserError as error:
    print("refused:", error)
"""


@pytest.mark.cluster
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "http://127.0.0.1:8265"])
def test_an_address_where_no_cluster_answers_is_refused_within_a_minute(
    tmp_path: Path, address: str
) -> None:
    environment = os.environ | {"RAY_ADDRESS": address, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", JOIN],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=45,
    )

    assert done.stdout.startswith(f"refused: RAY_ADDRESS {address}: "), done.stderr
    assert done.stdout.count("\n") == 1
    assert "RAY_ADDRESS" in done.stdout.removeprefix("refused: RAY_ADDRESS")  # the way out


@pytest.mark.cluster
def test_a_cluster_started_here_tells_what_it_has(cluster: Resources) -> None:
    gpus = float(torch.cuda.device_count())
    assert cluster == Resources(nodes=1, cpus=4.0, gpus=gpus, each=((4.0, gpus),))


class TestGpus:
    @pytest.mark.parametrize(
        ("asked", "gpus", "wanted"),
        [(None, 0.0, 0.0), (None, 4.0, 1.0), (0.5, 1.0, 0.5), (2.0, 2.0, 2.0), (0.0, 4.0, 0.0)],
    )
    def test_a_worker_gets_the_gpus_asked_for_or_one_where_there_are_any(
        self, asked: float | None, gpus: float, wanted: float
    ) -> None:
        assert gpus_each(asked, Resources(1, 8.0, gpus), "pretrain.gpus-per-worker") == wanted

    @pytest.mark.parametrize(("asked", "gpus"), [(1.0, 0.0), (0.25, 0.0), (2.0, 1.0)])
    def test_more_gpus_than_there_are_are_refused_with_what_there_is(
        self, asked: float, gpus: float
    ) -> None:
        sentence = refusal(lambda: gpus_each(asked, Resources(1, 8.0, gpus), "some.setting"))

        assert f"--some.setting {asked:g}" in sentence
        assert f"the cluster has {gpus:g} GPUs" in sentence


class TestPlaces:
    @pytest.mark.parametrize(
        ("cpus", "gpus", "each_cpus", "each_gpus", "wanted"),
        [
            (8.0, 0.0, 1, 0.0, 8),
            (8.0, 0.0, 3, 0.0, 2),
            (8.0, 2.0, 1, 1.0, 2),
            (8.0, 2.0, 1, 0.25, 8),
            (2.0, 8.0, 1, 1.0, 2),
            (1.0, 0.0, 1, 0.0, 1),
        ],
    )
    def test_places_are_as_many_as_cpus_and_gpus_both_allow(
        self, cpus: float, gpus: float, each_cpus: int, each_gpus: float, wanted: int
    ) -> None:
        resources = Resources(1, cpus, gpus)

        assert places(resources, each_cpus, each_gpus, "some.setting") == wanted

    def test_no_place_at_all_is_refused_with_what_the_cluster_has(self) -> None:
        sentence = refusal(lambda: places(Resources(1, 2.0, 0.0), 3, 0.0, "some.setting"))

        assert "--some.setting 3" in sentence
        assert "together they have 2 CPUs" in sentence

    def test_a_worker_fits_on_one_machine_or_nowhere(self) -> None:
        """Two machines of three CPUs hold two workers of two, not three."""
        machines = Resources(2, 6.0, 2.0, each=((3.0, 2.0), (3.0, 0.0)))

        assert places(machines, 2, 0.0, "some.setting") == 2
        assert places(machines, 1, 1.0, "some.setting") == 2
        assert machines.room(4, 0.0) == 0

    @pytest.mark.parametrize(("gpus", "wanted"), [(0.4, 4), (0.2, 10), (0.1, 20), (1 / 3, 6)])
    def test_fractions_of_a_gpu_do_not_reach_over_two(self, gpus: float, wanted: int) -> None:
        assert Resources(1, 64.0, 2.0).room(1, gpus) == wanted


def refusal(act: Callable[[], object]) -> str:
    """Return the sentence with which an act is refused."""
    with pytest.raises(UserError) as caught:
        act()
    return str(caught.value)


class TestLasting:
    def test_a_folder_of_an_ordinary_place_is_left_as_it_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for folder in ("runs/a", "/data/run", "s3://bucket/run"):
            assert lasting(folder) == folder

    def test_in_a_job_s_copy_a_relative_folder_is_taken_from_the_home_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_0"
        copy.mkdir(parents=True)
        monkeypatch.chdir(copy)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))

        assert lasting("runs/a") == str(tmp_path / "home" / "runs" / "a")
        assert lasting("/data/run") == "/data/run"
        assert lasting("s3://bucket/run") == "s3://bucket/run"


NOTICE = """
import logging, os, signal, sys, time
import ray
from raynas.cluster.planning.connection import connected

@ray.remote(max_restarts=1, num_cpus=0)
class Victim:
    def pid(self):
        return os.getpid()

with connected(verbose="verbose" in sys.argv):
    victim = Victim.remote()
    os.kill(ray.get(victim.pid.remote()), signal.SIGKILL)
    time.sleep(4)
    logging.getLogger("ray.tune.execution").error("a trial died")
    print("ended")
"""


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("word", ["quiet", "verbose"])
def test_ray_s_notices_of_lost_workers_are_shown_only_if_a_person_wants_to_see_them(
    tmp_path: Path, word: str
) -> None:
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, "-c", NOTICE, word],
        cwd=ROOT,
        env=os.environ | {"RAY_ADDRESS": address, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )

    assert done.stdout.endswith("ended\n")
    assert ("died" in done.stdout) == ("a trial died" in done.stderr) == (word == "verbose")
    assert word == "verbose" or done.stdout + done.stderr == "ended\n"


GUARDED = """
import os, subprocess, sys, threading
from pathlib import Path
from raynas.cluster.planning.connection import connected
def is_idle_worker(process):
    try:
        ours = os.environ["RAY_AUTH_TOKEN"].encode() in (process / "environ").read_bytes()
        return ours and (process / "cmdline").read_bytes().startswith(b"ray::IDLE")
    except OSError:  # it has ended meanwhile, or is somebody else's
        return False

join = "from ray import init; import sys; init(sys.argv[1], log_to_driver=False); print('JOINED')"

def work():
    with connected(num_cpus=1):
        import ray
        address = ray.get_runtime_context().gcs_address
        print("idle", sum(map(is_idle_worker, Path("/proc").glob("[0-9]*"))))
        print("answer", ray.get(ray.remote(lambda: 1).remote()))
        for mode, kept in (("token", True), ("disabled", False)):
            names = () if kept else ("RAY_AUTH_TOKEN",)
            environment = {k: v for k, v in os.environ.items() if k not in names}
            other = subprocess.run(
                [sys.executable, "-c", join, address],
                env=environment | {"RAY_AUTH_MODE": mode}, capture_output=True, text=True,
            )
            print(mode, "JOINED" in other.stdout)
        (raylet,) = Path("/tmp").glob(f"ray-*/ray/session_*_{os.getpid()}/sockets/raylet")
        folder = raylet.parents[3]
        print("private", oct(folder.stat().st_mode & 0o777))
    print("left", folder.exists())

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.slow
@pytest.mark.cluster
def test_a_cluster_started_here_works_in_a_thread_and_a_batch_job_and_lets_nobody_in(
    tmp_path: Path,
) -> None:
    """The TMPDIR of the job is too long for sockets; the token is in no file.

    No worker is there before anything is to be done.
    """
    home, long = tmp_path / "home", tmp_path / ("somebody_with_a_long_name" * 4)
    home.mkdir()
    long.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", GUARDED],
        cwd=ROOT,
        env=environment | {"HOME": str(home), "TMPDIR": str(long)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )

    lines = ["idle 0", "answer 1", "token True", "disabled False", "private 0o700", "left False"]
    assert done.stdout.splitlines() == lines, done.stderr
    assert list(home.iterdir()) == []


def test_the_oldest_ray_allowed_is_one_whose_local_clusters_ask_for_a_token() -> None:
    """Ray 2.58 lets everybody in unless RAY_AUTH_MODE was set before it was imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (floor,) = (line for line in project["dependencies"] if line.startswith("ray["))

    assert tuple(map(int, floor.partition(">=")[2].split("."))) >= (2, 59)


class TestSharing:
    """Threads of one process, as of a web server, that each have a run."""

    def test_the_last_that_is_inside_leaves_and_nobody_before(self) -> None:
        presence, done = connection._Presence(), list[str]()

        @contextmanager
        def way() -> Iterator[None]:
            done.append("entered")
            yield
            done.append("left")

        first, second = presence.shared(way), presence.shared(way)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert done == ["entered"]
        second.__exit__(None, None, None)
        with presence.shared(way):
            pass
        assert done == ["entered", "left"] * 2

    def test_who_cannot_enter_leaves_the_way_free_for_the_next(self) -> None:
        presence = connection._Presence()
        ways = ["closed", "open"]

        def way() -> AbstractContextManager[None]:
            if ways.pop(0) == "closed":
                raise UserError("no cluster answers")
            return nullcontext()

        with pytest.raises(UserError), presence.shared(way):
            pass
        with presence.shared(way):
            pass
