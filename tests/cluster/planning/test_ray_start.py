"""Starting Ray: where it lies, and what is said when it does not start."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

from raynas.cluster.planning import ray_join, ray_start
from raynas.cluster.planning.ray_join import joined
from raynas.cluster.planning.ray_start import started
from raynas.errors import StageError, UserError

TOO_LONG = OSError("validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes")
Init = Callable[..., None]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is TMPDIR, beside the only short one; Ray ends without a word."""
    for name in ("RAY_ADDRESS", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "job"))
    (tmp_path / "short").mkdir()
    monkeypatch.setattr(ray_start, "SHORT_PLACES", (str(tmp_path / "short"),))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return tmp_path / "job"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], list[str | None]]:
    """Return what lets Ray fail, but in a folder that it is given; its list has those asked of."""
    asked: list[str | None] = []

    def fail(error: Exception) -> list[str | None]:
        def init(*_: object, _temp_dir: str | None = None, **__: object) -> None:
            asked.append(_temp_dir)
            if _temp_dir is None:
                raise error

        monkeypatch.setattr(ray, "init", init)
        return asked

    return fail


def in_the_way(place: Path) -> None:
    place.mkdir()
    (place / "ray").write_text("somebody else's")


def a_file(place: Path) -> None:
    place.write_text("no folder")


def nothing(place: Path) -> None:
    del place


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (nothing, TOO_LONG),
        (nothing, OSError(errno.ENOSPC, "No space left on device")),
        (nothing, OSError(errno.EROFS, "Read-only file system")),
        (in_the_way, AssertionError("it is not to be asked")),
        (a_file, AssertionError("it is not to be asked")),
    ],
)
def test_where_ray_cannot_put_its_files_it_gets_a_short_and_private_folder_while_it_runs(
    place: Path,
    failing: Callable[[Exception], list[str | None]],
    prepare: Callable[[Path], None],
    error: Exception,
) -> None:
    prepare(place)
    asked = failing(error)
    with started(None):
        folder = Path(asked[-1] or "")
        private = folder.parent

        assert private.parent == place.parent / "short"
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert not private.exists()


def test_ray_lies_where_it_wants_to_if_it_can(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "init", lambda *_, **named: asked.append(named))
    with started(3, log_to_driver=False):
        pass

    assert asked == [{"num_cpus": 3, "include_dashboard": False, "log_to_driver": False}]
    assert place.is_dir()


@pytest.mark.parametrize("tmpdir", ["", "relative"])
def test_a_tmpdir_that_is_no_whole_path_is_not_used(
    place: Path,
    failing: Callable[[Exception], list[str | None]],
    tmpdir: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", tmpdir)
    asked = failing(AssertionError("it is not to be asked"))
    with started(None):
        assert (asked[-1] or "").startswith(str(place.parent / "short"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "free some memory"),
        (Exception("The current node timed out during startup."), "run the same command again"),
        (Exception("Timed out waiting for file gcs_server_port"), "ulimit -u"),
        (ValueError("no core\nat all"), "(no core); its messages (--verbose) and logs"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/proc/x"), "'/proc/x'"),
        (RuntimeError(), "RuntimeError()"),
    ],
)
@pytest.mark.usefixtures("place")
def test_a_ray_that_does_not_start_is_told_in_a_sentence_with_the_way_out(
    failing: Callable[[Exception], list[str | None]], error: Exception, words: str
) -> None:
    failing(error)
    with pytest.raises(StageError, match="Ray: it ") as caught, started(None):
        pass

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_a_person_has_named_is_refused_and_not_replaced(
    place: Path, failing: Callable[[Exception], list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(place))
    asked = failing(TOO_LONG)
    with pytest.raises(UserError, match=rf"RAY_TMPDIR {place}: .* or unset it"), started(None):
        pass
    assert asked == [None]


def test_where_no_folder_does_the_first_reason_is_told(
    place: Path, failing: Callable[[Exception], list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_start, "SHORT_PLACES", (str(place / "nowhere"),))
    failing(TOO_LONG)
    with pytest.raises(StageError, match=r"AF_UNIX .*; set RAY_TMPDIR to a folder"), started(None):
        pass


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("auto", ConnectionError("no"), "no Ray cluster answers there"),
        ("10.0.0.1:1", ConnectionError("no"), "one that asks for another token"),
        (
            "auto",
            RuntimeError("Version mismatch:\n  Ray: 2.1"),
            "Ray: 2.1 Install the same versions",
        ),
        ("auto", ray.exceptions.AuthenticationError("no token"), "set RAY_AUTH_MODE=token"),
        ("auto", OSError("no raylet here"), "(no raylet here); run this on a node of the cluster"),
    ],
)
def test_a_cluster_that_does_not_let_this_process_in_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, address: str, error: Exception, words: str
) -> None:
    def init(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray_join, "_refuse_silent", lambda _: None)  # something listens
    with pytest.raises(UserError, match=f"RAY_ADDRESS {address}: ") as caught, joined(address):
        pass

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_token_of_a_cluster_started_here_is_a_new_one_unless_a_person_has_set_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "init", lambda *_, **__: None)
    with started(None):
        assert os.environ["RAY_AUTH_TOKEN"] == "t"  # noqa: S105 - of this test
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    with started(None):
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert place.exists()
