"""Whole runs whose images and whose run folder lie in S3."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.fs as pafs
import pytest

from raynas.storage.run_store import RunStore
from tests.builders import ROOT
from tests.launch.scripts import SHORT, Launcher, results_of, running, wait_until
from tests.objects import BUCKET, CREDENTIALS, Failures, Storage, failing_now_and_then, storage

# the first one starts three runs; tests/storage/test_s3.py is the short version
pytestmark = [pytest.mark.cluster, pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def objects(pictures: Path) -> Iterator[Storage]:
    """Return an S3 that holds the pictures; it and its credentials are in the environment."""
    with pytest.MonkeyPatch.context() as patch, storage() as found:
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": found.endpoint}).items():
            patch.setenv(name, value)
        remote, folder = pafs.FileSystem.from_uri(f"s3://{BUCKET}/pictures")
        pafs.copy_files(str(pictures), folder, destination_filesystem=remote, use_threads=False)
        yield found


@pytest.fixture(scope="module")
def remote_launcher(launcher: Launcher, objects: Storage) -> Launcher:
    """Return what starts searches that know of the S3."""
    return launcher.with_environment(CREDENTIALS | {"AWS_ENDPOINT_URL": objects.endpoint})


@pytest.fixture(scope="module")
def killed(objects: Storage, remote_launcher: Launcher) -> str:
    """Return the URI of a run with images and tables in S3, killed and continued."""
    run = f"s3://{BUCKET}/runs/killed"
    flags = ("--data", objects.uri("pictures"), *SHORT)
    with running(remote_launcher.start(run, *flags)) as process:
        wait_until(lambda: RunStore(run).rows("steps")[2:], process, 360)
        os.kill(process.pid, signal.SIGKILL)
    assert RunStore(run).rows("runs")[0]["finished"] is None
    end = remote_launcher.run(run, *flags)
    assert end.code == 0, end.errors
    assert f"run folder: {run}" in end.output
    return run


def test_a_run_in_s3_that_was_killed_and_continued_finds_what_a_local_one_finds(
    killed: str, undisturbed: Path
) -> None:
    assert RunStore(killed).rows("runs")[0]["finished"] is not None
    assert results_of(killed) == results_of(undisturbed)
    assert not RunStore(killed).has("lock.json")


def test_the_summary_reads_a_run_in_s3(killed: str) -> None:
    words = [sys.executable, "analysis/summary.py", killed]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert end.returncode == 0, end.stderr
    for row in RunStore(killed).rows("outcomes"):
        assert row["architecture"] in end.stdout


def test_pandas_reads_the_tables_as_the_readme_does(killed: str) -> None:
    outcomes = pd.read_parquet(f"{killed}/tables/outcomes")

    assert sorted(outcomes["rank"]) == [1, 2]
    assert set(outcomes["status"]) == {"finished"}


def test_a_run_on_a_storage_that_fails_now_and_then_finds_what_others_find(
    objects: Storage, remote_launcher: Launcher, undisturbed: Path
) -> None:
    failures = Failures(most_bytes=1 << 23)  # a checkpoint of 1.2 MB has to get through
    with failing_now_and_then(objects, failures) as failing:
        flags = ("--data", failing.uri("pictures"), *SHORT)
        end = remote_launcher.run(failing.uri("runs/failing"), *flags)

    assert end.code == 0, end.errors
    assert failures.told > 100
    assert results_of(f"s3://{BUCKET}/runs/failing") == results_of(undisturbed)
