"""One Ray for all tests that need one: local, quiet, private, and gone at the end."""

import tempfile
from collections.abc import Iterator

import pytest

from raynas.cluster.connection import Resources, connected


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resources]:
    """Start a local Ray of four CPUs, whatever the machine has."""
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
