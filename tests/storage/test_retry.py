"""What fails for a moment is tried again; what fails for good is said at once."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import StageError
from raynas.storage import retry
from raynas.storage.retry import StorageError, is_final, patiently

PASSING = (errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.ESTALE, errno.ECONNRESET)
FINAL = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.ENOTDIR)


class Failing:
    """A storage that fails so many times before it answers."""

    def __init__(self, times: int, error: OSError) -> None:
        self.calls, self.slept = 0, list[float]()
        self._times, self._error = times, error

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return self.calls


@given(times=st.integers(0, 8), code=st.sampled_from(PASSING))
def test_a_storage_that_answers_within_five_tries_is_waited_for_ever_longer(
    times: int, code: int
) -> None:
    storage = Failing(times, OSError(code, "for a moment"))
    if times < 5:
        assert patiently(storage, "reading F", storage.slept.append) == times + 1
    else:
        with pytest.raises(StorageError, match="bring the storage back"):
            patiently(storage, "reading F", storage.slept.append)

    assert storage.calls == min(times + 1, 5)
    assert storage.slept == list(retry._PAUSES[: min(times, 4)])
    assert storage.slept == sorted(storage.slept)
    assert sum(storage.slept) < 10


@given(code=st.sampled_from(FINAL))
def test_a_storage_that_is_full_or_forbidden_is_said_at_once_with_what_to_do(code: int) -> None:
    storage = Failing(1, OSError(code, "refused"))
    with pytest.raises(StorageError) as caught:
        patiently(storage, "run folder R: writing F", storage.slept.append)
    sentence = str(caught.value)

    assert (storage.calls, storage.slept) == (1, [])
    assert sentence.startswith("run folder R: writing F failed ([Errno ")
    assert f": {retry._FINAL[code]} and run the same command again to continue" in sentence
    assert "what was written before is there" in sentence
    assert "\n" not in sentence


def test_a_file_that_is_not_there_is_an_answer_and_not_asked_for_again() -> None:
    storage = Failing(1, FileNotFoundError(errno.ENOENT, "no such file"))
    with pytest.raises(FileNotFoundError):
        patiently(storage, "reading F", storage.slept.append)

    assert storage.calls == 1


def test_a_mistake_of_the_program_is_not_taken_for_the_storage_s() -> None:
    def mistaken() -> None:
        raise ValueError("not the storage")

    with pytest.raises(ValueError, match="not the storage"):
        patiently(mistaken, "reading F", Failing(0, OSError()).slept.append)


def test_a_pause_really_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(retry, "_PAUSES", (0.25,))

    assert patiently(Failing(1, OSError(errno.EIO, "")), "reading F", slept.append) == 2
    assert slept == [0.25]


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (OSError("When reading: AWS Error ACCESS_DENIED during GetObject operation"), True),
        (OSError("When reading: AWS Error NO_SUCH_BUCKET: no such bucket"), True),
        (OSError("When reading: AWS Error SLOW_DOWN during PutObject operation"), False),
        (OSError("When reading: AWS Error NETWORK_CONNECTION: curlCode: 7"), False),
        (OSError(errno.EIO, "input/output error"), False),
        (PermissionError(errno.EACCES, "no"), True),
    ],
)
def test_refusals_of_an_object_store_are_final_and_its_hiccups_are_not(
    error: OSError, final: bool
) -> None:
    assert is_final(error) is final


def test_a_storage_error_ends_a_stage() -> None:
    assert issubclass(StorageError, StageError)
