"""What every test shares: one thread for torch, no deadlines, and one Ray for all that need one."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from raynas.cluster.planning.connection import Resources, connected

# Threads that spin for each other on a busy machine cost more than these small sums.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers give way to everything else (15), also to tests in other processes.
os.environ.setdefault("RAY_worker_niceness", "0")
# Compiled once, not by each of the many processes; asserts take pytest long to rewrite.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.pop("COLUMNS", None)  # tables that are no terminal's have all of their columns

# A shell lets what it starts in the background ignore Ctrl-C, which some tests send and wait for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "raynas", deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("raynas")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that several processes end at about the same time."""
    items.sort(
        key=lambda item: not {"cluster", "launcher"} & set(getattr(item, "fixturenames", ()))
    )


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is read of images away from the person's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, cache: None) -> Iterator[Resources]:
    """Start a local Ray of four CPUs, whatever the machine has."""
    del cache  # its processes are to have it, too
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder,
    ):
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        with connected(num_cpus=4) as resources:
            yield resources
