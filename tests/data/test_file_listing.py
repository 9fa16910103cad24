"""What is read of a folder: each real file once, whatever systems and people have put beside."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raynas.data.file_listing import Listing, is_left_over, list_local_files
from raynas.data.loading import load_dataset
from raynas.data.sources import open_source
from raynas.data.validation import refuse_unusable
from raynas.errors import UserError
from raynas.settings.images import ImageSettings
from tests.data.samples import numbered_tree

LEFT = (
    "@eaDir",
    "@EADIR",
    "$RECYCLE.BIN",
    "System Volume Information",
    "__MACOSX",
    "lost+found",
    "#recycle",
    "@Recycle",
    ".thumbs",
    ".thumbnails",
    ".Trash-1000",
    ".@__thumb",
    ".DS_Store",
    ".ipynb_checkpoints",
    "._1.png",
    "FOUND.000",
    "RECYCLER",
)


def made(root: Path, *files: str) -> Path:
    """Make empty files; return their folder."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def listed(root: Path) -> Listing:
    """Return what is listed of a folder; what opens each file is there."""
    listing = list_local_files(str(root))
    assert all(os.path.exists(os.fsencode(path)) for path in listing.paths.values())  # noqa: PTH110
    return listing


def names(root: Path) -> list[str]:
    """Return the paths of the files that are listed."""
    return list(listed(root).paths)


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that every user may enter; those of pytest are for their owner alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def forbidden(folder: Path) -> Iterator[None]:
    """Let this thread be refused a folder, also where it belongs to root, whom nothing stops."""
    mode, libc = folder.stat().st_mode, ctypes.CDLL(None)
    folder.chmod(0)
    libc.setfsuid(65534)
    try:
        yield
    finally:
        libc.setfsuid(os.geteuid())
        folder.chmod(mode)


class TestLeftOver:
    @pytest.mark.parametrize("name", LEFT)
    def test_what_systems_leave_is_passed_over_inside_classes_and_beside_them(
        self, tmp_path: Path, name: str
    ) -> None:
        made(tmp_path, "cat/1.png", f"{name}/1.png/thumb.png", f"cat/{name}/2.png", "dog/3.png")
        listing = listed(tmp_path)

        assert list(listing.paths) == ["cat/1.png", "dog/3.png"]
        assert listing.passed_over == (() if name.startswith(".") else (f"{name}/ (2)",))

    @pytest.mark.parametrize("name", ["thumbs", "recycle", "tmp", "@user", "#1", "found", "MACOSX"])
    def test_names_that_only_resemble_them_may_be_classes(self, name: str) -> None:
        assert not is_left_over(name)

    def test_a_folder_that_only_its_system_may_read_is_not_even_opened(self, public: Path) -> None:
        made(public, "cat/1.png", "lost+found/x")

        with forbidden(public / "lost+found"):
            assert names(public) == ["cat/1.png"]


class TestLinks:
    def test_a_link_to_a_folder_above_multiplies_nothing(self, tmp_path: Path) -> None:
        root = made(tmp_path / "data", "cat/1.png", "dog/2.png", "dog/old/3.png")
        made(tmp_path, "other/9.png")
        for link, target in (
            ("cat/up", root),
            ("dog/old/upper", tmp_path),
            ("self", root / "self"),
        ):
            (root / link).symlink_to(target)
        listing = listed(root)

        assert list(listing.paths) == ["cat/1.png", "dog/2.png", "dog/old/3.png"]
        assert listing.passed_over == ("links to what is read anyway (2)", "links to nothing (1)")

    def test_folders_that_link_to_each_other_are_read_once(self, tmp_path: Path) -> None:
        made(tmp_path / "data", "cat/1.png")
        made(tmp_path / "pool", "a/2.png", "b/3.png")
        for link, target in (("pool/a/b", "pool/b"), ("pool/b/a", "pool/a"), ("data/dog", "pool")):
            (tmp_path / link).symlink_to(tmp_path / target)

        assert names(tmp_path / "data") == ["cat/1.png", "dog/a/2.png", "dog/b/3.png"]

    def test_a_real_file_is_read_by_its_own_name_and_once(self, tmp_path: Path) -> None:
        made(tmp_path, "data/cat/1.png", "pool/2.png", "pool/3.png")
        links = {
            "data/a/1.png": "data/cat/1.png",
            "data/cat/2.png": "pool/2.png",
            "data/dog/2.png": "pool/2.png",
            "data/dog/3.png": "pool/3.png",
        }
        for link, target in links.items():
            (tmp_path / link).parent.mkdir(exist_ok=True)
            (tmp_path / link).symlink_to(tmp_path / target)

        assert names(tmp_path / "data") == ["cat/1.png", "cat/2.png", "dog/3.png"]

    def test_a_file_that_a_link_to_its_folder_also_leads_to_is_read_once(
        self, tmp_path: Path
    ) -> None:
        made(tmp_path, "data/cat/0.png", "pool/1.png")
        (tmp_path / "data" / "a.png").symlink_to(tmp_path / "pool" / "1.png")
        (tmp_path / "data" / "dog").symlink_to(tmp_path / "pool")

        assert names(tmp_path / "data") == ["cat/0.png", "dog/1.png"]

    def test_a_file_that_lies_where_nothing_is_read_is_reached_by_its_link(
        self, tmp_path: Path
    ) -> None:
        made(tmp_path, ".git/annex/1", "cat/0.png")
        (tmp_path / "cat" / "1.png").symlink_to(tmp_path / ".git" / "annex" / "1")

        assert names(tmp_path) == ["cat/0.png", "cat/1.png"]

    def test_a_file_without_an_ending_is_read_by_its_link(self, tmp_path: Path) -> None:
        made(tmp_path, "blobs/1a", "blobs/2b", "blobs/3c", "snapshots/0/cat/4.png")
        links = {
            "snapshots/0/train-0.parquet": "../../blobs/1a",
            "snapshots/1/train-0.parquet": "../../blobs/1a",
            "snapshots/0/cat/2.JPG": "../../../blobs/2b",
            "snapshots/0/README": "../../blobs/3c",
            "snapshots/1/4.png": "../0/cat/4.png",
        }
        for link, target in links.items():
            (tmp_path / link).parent.mkdir(exist_ok=True)
            (tmp_path / link).symlink_to(target)
        listing = listed(tmp_path)

        assert [name for name in listing.paths if "." in name] == [
            "snapshots/0/cat/2.JPG",
            "snapshots/0/cat/4.png",
            "snapshots/0/train-0.parquet",
        ]
        assert listing.passed_over == ("links to what is read anyway (3)",)

    def test_one_class_that_is_left_of_links_into_it_is_refused_by_their_number(
        self, tmp_path: Path
    ) -> None:
        made(tmp_path, "pool/1.png", "pool/2.png")
        for number, name in enumerate(("cat", "dog"), start=1):
            (tmp_path / name).mkdir()
            (tmp_path / name / "a.png").symlink_to(tmp_path / "pool" / f"{number}.png")

        with pytest.raises(UserError, match=r"\(pool\) beside links to what is read anyway \(2\)"):
            refuse_unusable("DIR", open_source(str(tmp_path)))

    def test_a_folder_that_is_a_link_itself_opens_its_files_by_its_own_name(
        self, tmp_path: Path
    ) -> None:
        made(tmp_path / "real", "cat/1.png")
        (tmp_path / "data").symlink_to(tmp_path / "real")

        assert listed(tmp_path / "data").paths == {"cat/1.png": f"{tmp_path}/data/cat/1.png"}


def test_names_that_are_no_utf_8_are_read_and_can_be_written(tmp_path: Path) -> None:
    data = numbered_tree(tmp_path / "data", classes=2)
    root = os.fsencode(data)
    os.rename(root + b"/class0", root + b"/caf\xe9")  # noqa: PTH104 - bytes
    os.rename(root + b"/class1/000.png", root + b"/class1/\xff.png")  # noqa: PTH104
    dataset = load_dataset(data, ImageSettings(in_memory="no"), 0, 8)
    counts = dataset.class_counts

    assert dataset.class_names == ("caf\\xe9", "class1")
    assert dataset.skipped == ()
    assert sum(map(sum, counts.values())) == 20
    assert "class1/\\xff.png" in [image.name for image in open_source(data).images]


def test_a_folder_whose_own_name_is_no_utf_8_or_holds_a_hash_is_read(tmp_path: Path) -> None:
    numbered_tree(tmp_path / "data", classes=2)
    for name in (b"\xfc#1", b"run#2"):
        root = os.fsencode(tmp_path) + b"/" + name
        shutil.copytree(os.fsencode(tmp_path / "data"), root)

        assert open_source(os.fsdecode(root)).class_names == ("class0", "class1")


@pytest.mark.parametrize("where", ["", "cat", "dog/old"])
def test_a_folder_that_may_not_be_read_is_not_said_to_be_missing(public: Path, where: str) -> None:
    root = made(public / "data", "cat/1.png", "dog/old/2.png")
    with forbidden(root / where), pytest.raises(UserError) as caught:
        open_source(str(root))

    assert str(caught.value) == (
        f"data {root}: {(root / where)} may not be read (Permission denied); allow it to the user "
        "who runs this, or move it out of the data"
    )


def test_a_path_through_a_file_is_no_such_folder(tmp_path: Path) -> None:
    made(tmp_path, "notes")

    with pytest.raises(UserError, match="no such folder"):
        open_source(str(tmp_path / "notes" / "cats"))
