"""Files behind a URI: all of them at any depth, with progress; a missing folder is told."""

from pathlib import Path

import pyarrow.fs as pafs
import pytest

from raynas.data import remote_listing
from raynas.data.file_listing import list_files
from raynas.data.remote_listing import remote_files

FILES = ["a.png", "x/b.png", "x/y/c.png", "x/y/z/d.png", "x/y/z/u/v/e.png", "w/f.png"]


@pytest.fixture
def filesystem(tmp_path: Path) -> pafs.FileSystem:
    """Return a file system that is no local one to raynas, with files at several depths."""
    for name in FILES:
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(name)
    return pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())


def test_files_at_any_depth_are_found_once(filesystem: pafs.FileSystem) -> None:
    found = [info.path for info in remote_files(filesystem, "root", lambda _: None)]

    assert sorted(found) == sorted(f"root/{name}" for name in FILES)
    listing = list_files(filesystem, "root")
    assert list(listing.paths) == sorted(FILES)
    assert listing.stamps["x/b.png"][0] == len("x/b.png")


def test_a_long_listing_tells_how_far_it_is(
    filesystem: pafs.FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_listing, "SILENCE", 0.0)
    said: list[str] = []
    remote_files(filesystem, "root", said.append)

    assert said[0] == "data      listing files, 1 so far"
    assert said[-1] == "data      listing files, 6 so far"


def test_a_folder_that_is_missing_is_told(filesystem: pafs.FileSystem) -> None:
    with pytest.raises(FileNotFoundError):
        remote_files(filesystem, "nowhere", lambda _: None)
