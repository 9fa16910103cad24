"""Where sockets are made when the usual folder's name is too long."""

import tempfile
import threading
from pathlib import Path

import pytest

from raynas.storage.short_paths import SHORT_PLACES, sockets_in_short_places


def test_threads_that_choose_at_the_same_time_leave_the_usual_place_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = str(tmp_path / ("long" * 20))
    monkeypatch.setattr(tempfile, "tempdir", usual)
    has_entered, may_leave = threading.Event(), threading.Event()

    def choose() -> None:
        with sockets_in_short_places():
            has_entered.set()
            may_leave.wait()

    other = threading.Thread(target=choose, daemon=True)
    with sockets_in_short_places():
        assert tempfile.gettempdir() in SHORT_PLACES
        other.start()
        has_entered.wait(0.3)  # it must not, so this ends by itself
    may_leave.set()
    other.join()

    assert tempfile.gettempdir() == usual
