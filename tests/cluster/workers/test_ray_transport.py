"""The line of Ray's calls: what Ray raises for something lost is a lost line, all else is not."""

from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import exceptions

from raynas.cluster.workers.ray_transport import CallLine
from raynas.cluster.workers.transport import LostLineError

LOST = exceptions.ObjectLostError("aa" * 28, None, "")


def asked(monkeypatch: pytest.MonkeyPatch, error: Exception) -> CallLine:
    """Return a line whose answer Ray cannot give."""

    def get(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(ray, "get", get)
    line = CallLine(SimpleNamespace(reply=SimpleNamespace(options=lambda **_: None)), 0)
    line.waiting = ["a reference"]
    return line


@pytest.mark.parametrize(
    "error",
    [
        LOST,  # a long answer lay on a node that has died since
        exceptions.OwnerDiedError("aa" * 28, None, ""),
        exceptions.ActorDiedError(),
        exceptions.NodeDiedError("it is gone"),
        exceptions.WorkerCrashedError(),
        exceptions.OutOfMemoryError("too much"),
        exceptions.RayTaskError("reply", "its argument is gone", LOST),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_answer_that_is_lost_with_a_process_or_a_node_is_a_lost_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    line = asked(monkeypatch, error)
    with pytest.raises(LostLineError):
        line.receive()


@pytest.mark.parametrize(
    "error",
    [
        exceptions.RayTaskError("reply", "a traceback", ZeroDivisionError()),
        exceptions.RuntimeEnvSetupError("no such package"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_would_happen_again_is_raised(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    line = asked(monkeypatch, error)
    with pytest.raises(type(error)):
        line.receive()


def test_an_answer_that_is_not_there_yet_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, exceptions.GetTimeoutError()).receive() is None
