"""Searches in processes of their own, and one that went through without a stop."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launch.scripts import TINY, Ended, Launcher, wait_until


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Return what starts searches; none of their processes may be left at the end."""
    # not a folder of pytest: sockets need short names
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        launcher = Launcher(tmp_path_factory.mktemp("home"), folder)
        yield launcher
        # Ray's agents notice only after a minute that their driver was killed
        for process in launcher.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        wait_until(lambda: not launcher.processes())


@pytest.fixture(scope="session")
def whole(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Return the folder of a tiny run that was never interrupted, and how it ended."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, launcher.run(run, *TINY)
