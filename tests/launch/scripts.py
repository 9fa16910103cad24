"""Running the entry scripts: as a person does, or inside this process where that is enough."""

import importlib.util
import io
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import copy
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from raynas.cluster.planning.connection import ship_by_value
from raynas.cluster.planning.speeds import Speeds
from raynas.cluster.workers.worker import Compute, Recipe
from raynas.data.dataset import Dataset
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from raynas.training.gradients import Computed, Piece, Vector
from tests.builders import ROOT

# one process that trains paths, and one for trials: starting a process takes longer than its work
TINY = tuple(
    shlex.split(
        "--skip-forecast --no-export --pretrain.epochs 1 --pretrain.batch 32 "
        "--pretrain.checkpoint-seconds 0.02 --pretrain.workers 1 "
        "--search.generations 2 --search.population 6 --search.parents 3 --search.mutations 2 "
        "--search.crossovers 2 "
        "--retrain.top-k 2 --retrain.epochs 2 --retrain.batch 32 --retrain.concurrent 1 "
        "--retrain.checkpoint-seconds 0 --trainings 0"
    )
)
LEARNING = (*TINY, "--trainings", "4", "--training-epochs", "1")
# of a probe that nobody made
SPEEDS = Speeds(
    start=2.0,
    isometry=1.0,
    step=0.1,
    epochs=(1.0, 3.0),
    tests=(0.5, 0.6),
    checkpoint_bytes=1000,
    network_bytes=4000,
    network_macs=400_000,
)
SHORT = (*TINY, "--pretrain.epochs", "6")  # for a hundred images or so
STEPS = 40  # an epoch of 1,222 digits, rounded up to equal counts
TIMES = {
    *("seconds", "images_per_second", "waiting_share", "started", "finished", "measured_ms"),
    *("trial", "workers"),
}


class Launcher:
    """Starts the scripts of ``launch/`` in processes of their own, with a Ray of their own."""

    def __init__(self, home: Path, ray_folder: str) -> None:
        self.ray_folder = ray_folder
        private = {"HOME": str(home), "RAY_TMPDIR": ray_folder, "RAY_AUTH_MODE": "disabled"}
        self._environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | private

    def with_environment(self, more: Mapping[str, str]) -> "Launcher":
        """Return the same with more in the environment of what it starts."""
        other = copy(self)
        other._environment = self._environment | dict(more)
        return other

    def start(
        self, run: Path | str, *flags: str, script: str = "search", **place: Any
    ) -> subprocess.Popen[str]:
        """Start a search, or another script.

        Args:
            run: Its run folder.
            flags: Further ones.
            script: A name in ``launch/``, or a path.
            place: Words ``before`` its command line; variables ``environment`` beside the usual.
        """
        path = script if "/" in script else f"launch/{script}.py"
        before, environment = place.get("before", ()), place.get("environment", {})
        return subprocess.Popen(
            [*before, sys.executable, path, "--run", str(run), *flags],
            cwd=ROOT,
            env=self._environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, run: Path | str, *flags: str, script: str = "search", **place: Any) -> "Ended":
        """Run a search, or another script, to its end."""
        return ended(self.start(run, *flags, script=script, **place))

    def sessions(self) -> set[Path]:
        """Return a folder for every Ray that these searches have started."""
        return set(Path(self.ray_folder).glob("ray/session_2*"))

    def processes(self) -> list[int]:
        """Return the ids of all processes, Ray's as well, that belong to these searches."""
        found = []
        for environment in Path("/proc").glob("[0-9]*/environ"):
            try:
                is_ours = self.ray_folder.encode() in environment.read_bytes()
            except OSError:  # it has ended meanwhile, or is somebody else's
                continue
            if is_ours:
                found.append(int(environment.parent.name))
        return found


class InProcess:
    """Runs the scripts of ``launch/`` in this process, on the Ray that it has joined."""

    def run(self, run: Path | str, *flags: str, script: str = "search") -> "Ended":
        """Run a search, or another script, to its end.

        Args:
            run: Its run folder.
            flags: Further ones.
            script: A name in ``launch/``.
        """
        output, errors = io.StringIO(), io.StringIO()
        module = load_script(script)
        ship_by_value(module.__name__)  # as Ray does with a script that is the main module
        with redirect_stdout(output), redirect_stderr(errors):
            code = module.main(["--run", str(run), *flags])
        return Ended(code, output.getvalue(), errors.getvalue())


class LocalPathWorkers:
    """Pretrains in this process: starting workers takes longer than their few steps."""

    waiting_share = 0.0

    def __init__(self, recipe: Recipe, dataset: Dataset, *_: object) -> None:
        self._compute: Compute = recipe(dataset)
        self.healthy = [self]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return a gradient per piece, and the classifier's sum."""
        return self._compute(vector, step, pieces)


class Ended:
    """How a script ended and what it said."""

    def __init__(self, code: int, output: str, errors: str) -> None:
        self.code, self.output, self.errors = code, output, errors


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process to end."""
    output, errors = process.communicate(timeout=480)
    return Ended(process.returncode, output, errors)


def wait_until(
    condition: Callable[[], Any],
    process: subprocess.Popen[str] | None = None,
    seconds: float = 360.0,
) -> None:
    """Wait until something is true; fail after some seconds, or when the process ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited for {seconds:g} seconds"
        if process is not None and process.poll() is not None:
            raise AssertionError(f"it ended meanwhile: {ended(process).errors}")
        time.sleep(0.01)


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill a process that a failing test leaves behind."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def load_script(name: str) -> ModuleType:
    """Return a script of ``launch/`` as a module, so that its ``main`` can be called."""
    spec = importlib.util.spec_from_file_location(f"launch_{name}", ROOT / "launch" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows_of(run: Path | str, table: str) -> list[dict[str, Any]]:
    """Return a table, but for what differs from run to run: times, and names of trials."""
    rows = RunStore(str(run)).rows(table)
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def results_of(run: Path | str) -> dict[str, Any]:
    """Return everything that a run found out."""
    tables: dict[str, Any] = {table: rows_of(run, table) for table in SCHEMAS if table != "runs"}
    tables["trials"].sort(key=lambda row: (row["architecture"], row["epoch"]))
    store = RunStore(str(run))
    models = {name: store.read_bytes(f"models/{name}") for name in store.list_files("models")}
    return tables | {"models": models}


def files_of(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Return time and content of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def half_written(folder: Path) -> list[Path]:
    """Return the hidden files, which writers leave that could not finish."""
    return [path for path in folder.rglob(".*") if path.is_file()]


def flags_of(settings: dict[str, object]) -> Sequence[str]:
    """Return settings as flags."""
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]
