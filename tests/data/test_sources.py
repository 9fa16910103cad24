"""Images whose storage fails: tried again, and never taken for broken ones."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raynas.data import file_opening, sources
from raynas.data.loading import load_dataset
from raynas.settings.images import ImageSettings
from raynas.storage import retry
from raynas.storage.retry import StorageError
from tests.data.samples import numbered_tree


def failing(monkeypatch: pytest.MonkeyPatch, number: int, times: int, file: str = "") -> None:
    """Let the reading of each file fail so many times."""
    content, left = file_opening._content, dict[str, int]()

    def read(filesystem: Any, path: str, size: int | None) -> bytes:
        if path.endswith(file) and left.setdefault(path, times) > 0:
            left[path] -= 1
            raise OSError(number, "injected", path)
        return content(filesystem, path, size)

    monkeypatch.setattr(file_opening, "_content", read)
    monkeypatch.setattr(retry, "_PAUSES", (0.0, 0.0))


def test_a_storage_that_fails_now_and_then_gives_the_same_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = numbered_tree(tmp_path)
    expected = load_dataset(data, ImageSettings(), 0, 8)
    failing(monkeypatch, errno.EIO, times=1)
    found = load_dataset(data, ImageSettings(), 0, 8)

    assert found.skipped == ()
    assert (found.train.take(np.arange(5)).pixels == expected.train.take(np.arange(5)).pixels).all()


def test_a_storage_that_goes_on_failing_ends_the_run_instead_of_skipping_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = numbered_tree(tmp_path)
    failing(monkeypatch, errno.EIO, times=9)
    with pytest.raises(StorageError, match=r"--data: reading .*bring the storage back"):
        load_dataset(data, ImageSettings(), 0, 8)


def test_one_file_that_may_not_be_read_is_skipped_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = numbered_tree(tmp_path)
    one = min(tmp_path.rglob("*.png"))
    failing(monkeypatch, errno.EACCES, times=9, file=str(one))
    found = load_dataset(data, ImageSettings(max_corrupt=0.1), 0, 8)

    assert [Path(name).name for name in found.skipped] == [one.name]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError("x"), "data DIR: no such folder, nor one of digits"),
        (NotADirectoryError(20, "Not a directory", "DIR/a"), "no such folder (Not a directory)"),
        (
            OSError("AWS Error NO_SUCH_BUCKET during HeadBucket"),
            "no such folder (AWS Error NO_SUCH",
        ),
        (OSError("AWS Error ACCESS_DENIED during HeadObject"), "it may not be read (AWS Error ACC"),
        (PermissionError(13, "Permission denied", b"DIR/a"), "DIR/a may not be read (Permission d"),
        (OSError(116, "Stale file handle", "DIR/a"), "DIR/a cannot be read (Stale file handle)"),
        (OSError("AWS Error NETWORK_CONNECTION: of key:pw@x"), "it cannot be read (AWS Error NETW"),
    ],
)
def test_a_folder_that_is_not_read_is_missing_forbidden_or_cut_off(
    error: Exception, words: str
) -> None:
    assert words in str(sources._unread("DIR", error))
