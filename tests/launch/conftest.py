"""Searches in processes of their own, and one that went through without a stop."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raynas.cluster.planning.connection import Resources
from tests.data.samples import build_images, write_tree
from tests.launch.scripts import LEARNING, SHORT, Ended, InProcess, Launcher, wait_until


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
def in_process(cluster: Resources) -> InProcess:
    """Return what runs scripts on the tests' own Ray, in this process."""
    del cluster
    return InProcess()


@pytest.fixture(scope="session")
def whole(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Return the folder of a tiny run that was never interrupted, and how it ended."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    flags = [flag for flag in LEARNING if flag != "--no-export"]
    return run, launcher.run(run, *flags)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images that can be learned."""
    images = build_images(240, 8, 1, 3, seed=0)
    classes = {
        f"class{label}": [
            Image.fromarray(pixels[0]) for pixels in images.pixels[images.labels == label]
        ]
        for label in np.unique(images.labels)
    }
    return Path(write_tree(tmp_path_factory.mktemp("data") / "images", classes))


@pytest.fixture(scope="session")
def unheard(
    launcher: Launcher, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Ended]:
    """Return the folder of a short run on those images, never stopped, and how it ended.

    Its output has no room, and its locale is ASCII: neither may matter.
    """
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    no_room = ("bash", "-c", 'exec "$@" > /dev/full', "bash")
    flags = ("--data", str(pictures), *SHORT)
    end = launcher.run(run, *flags, before=no_room, environment=poor)
    assert end.code == 0, end.errors
    return run, end


@pytest.fixture(scope="session")
def undisturbed(unheard: tuple[Path, Ended]) -> Path:
    """Return the folder of a short run on those images, from and to local files, never stopped."""
    return unheard[0]
