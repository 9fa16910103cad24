"""The sure line: messages as ordinary calls of a Ray actor.

Ray carries arguments and results below 100 kB in the call itself and everything larger through
its object store, which costs milliseconds for each; so a message travels in parts of less.
"""

import time
from collections.abc import Sequence
from typing import Any

import ray

from raynas.cluster.workers.transport import LostLineError

_PART = 96 * 1024
_MOST_PARTS = 16  # of one message; beyond, the object store is the better way
_LOST = (
    ray.exceptions.RayActorError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,  # a long answer lies on the node that made it
)
_ANSWER_PARTS = 2  # enough for the 40,000 numbers of a usual supernet; more come slower, but come


class CallLine:
    """The driver's end: each message is a call of the actor's ``reply``."""

    def __init__(self, actor: Any, pid: int) -> None:
        """Remember whom to call: a ``PathWorker`` that is ready, in that process."""
        self.pid = pid
        self._reply = actor.reply.options(num_returns=_ANSWER_PARTS)
        self.waiting: list[Any] = []

    def send(self, content: Sequence[bytes | memoryview]) -> None:
        """Send a message; a lost worker shows when the answer is read."""
        message = b"".join(content)
        self.waiting = self._reply.remote(_ANSWER_PARTS, *parts(message, _count(message)))

    def receive(self) -> bytes | None:
        """Return the answer if it is there.

        Raises:
            LostLineError: The worker is gone, or its answer with the node that kept it, or it was
                restarted and knows nothing.
            RayError: The worker failed.
        """
        if not self.waiting:
            return None
        try:
            content = b"".join(ray.get(self.waiting, timeout=0))
        except ray.exceptions.GetTimeoutError:
            return None
        except ray.exceptions.RayError as error:
            if is_lost(error):
                raise LostLineError from error
            raise
        self.waiting = []
        if not content:
            raise LostLineError
        return content

    def close(self) -> None:
        """Forget the call that is under way."""
        self.waiting = []


def wait_for_calls(lines: Sequence[CallLine], seconds: float) -> None:
    """Return once all of the lines have their answers, or after some seconds.

    All of them: asking Ray again after every single answer costs more than the first idle worker
    could do meanwhile.
    """
    references = [reference for line in lines for reference in line.waiting]
    if references:
        ray.wait(references, num_returns=len(references), timeout=seconds)
    else:
        time.sleep(seconds)


def is_lost(error: Exception) -> bool:
    """Return whether a process, a node or what lay on it was lost; all else would happen again."""
    return isinstance(error, _LOST) or isinstance(getattr(error, "cause", None), _LOST)


def parts(content: bytes, count: int) -> list[bytes]:
    """Return a message cut into so many parts of nearly equal length."""
    size = max(-(-len(content) // count), 1)
    return [content[start * size : (start + 1) * size] for start in range(count)]


def _count(content: bytes) -> int:
    needed = max(-(-len(content) // _PART), 1)
    return needed if needed <= _MOST_PARTS else 1
