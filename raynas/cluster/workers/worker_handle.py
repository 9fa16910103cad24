"""One worker as the driver knows it: joining, idle, busy, late, lost and joining again.

Nothing here waits: a step never stands still because a worker starts or has died.
"""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import ray

from raynas.cluster.planning.node_requirements import UnfitNodeError
from raynas.cluster.tune.failure_report import remedy
from raynas.cluster.workers.messages import Answer, Request
from raynas.cluster.workers.ray_transport import CallLine, is_lost
from raynas.cluster.workers.socket_transport import Listener, UnreachableError
from raynas.cluster.workers.timeouts import Pace
from raynas.cluster.workers.transport import Line, LostLineError
from raynas.errors import StageError, UserError
from raynas.training.gradients import Piece

_RETRY_EVERY = 1.0  # seconds between attempts to reach a worker that was lost
_LEAVE_SECONDS = 10.0  # after which a lost worker that is still there is killed
_numbers = itertools.count()


class Member:
    """The driver's side of one worker.

    Attributes:
        line: To the worker; None while it starts.
        step: Of the pieces that it was last asked for.
        share: Their indices in the step; empty while it is idle.
        losses: How many times its line was lost.
    """

    def __init__(self, actor: Any, needs: list[Any], listener: Listener | None) -> None:
        """Ask the worker to join.

        Args:
            actor: A ``PathWorker``.
            needs: What it needs: references to its recipe and the data set.
            listener: Where it connects to; None: it is reached by calls.
        """
        self.actor = actor
        self.line: Line | None = None
        self.step = -1
        self.share: list[int] = []
        self._shards: dict[int, frozenset[int]] = {}  # of its pieces, in its last two steps
        self.losses = 0
        self._lost = float("inf")  # when, while its serving has not ended yet
        self._pieces: Sequence[Piece] = ()  # of the share
        self._needs = needs
        self._listener = listener
        self._asked = 0.0
        self._answers = 0  # on this line; the first one takes its time
        self._join()

    def _join(self) -> None:
        self._tried = time.monotonic()
        self._answers = 0
        self._number = next(_numbers)  # a line that an earlier attempt opened is not taken
        if self._listener is None:
            self._joining = self.actor.ready.remote(self._needs)
            return
        self._joining = self.actor.serve.remote(
            self._needs, self._listener.address, self._listener.secret, self._number
        )

    def admit(self) -> None:
        """Open the line if the worker has come; ask again if it was lost.

        Raises:
            UnfitNodeError: It was started on a node that cannot do its work.
            StageError: It failed in a way that would happen again.
        """
        if self.line is None and self._listener is not None:
            self.line = self._listener.take(self._number)
        if self.line is not None:
            return
        if not ray.wait([self._joining], timeout=0)[0]:
            if time.monotonic() - self._lost > _LEAVE_SECONDS:
                self._kill()
            return
        self._lost = float("inf")
        try:
            pid = ray.get(self._joining)
        except UnreachableError:
            self._listener = None  # a firewall between the nodes: Ray's own calls come through
            self._join()
        except ray.exceptions.RayError as error:
            if not is_lost(error):
                raise self._failure(error) from error
            self._refuse_unfit(error)
            self._join_again()
        else:
            if self._listener is None:
                self.line = CallLine(self.actor, pid)
            else:
                self._join_again()

    @staticmethod
    def _refuse_unfit(error: ray.exceptions.RayError) -> None:
        """Give up a worker that could not even be made, as where raynas cannot be imported."""
        if isinstance(error, ray.exceptions.RayActorError) and error.actor_init_failed:
            last = str(error).strip().splitlines()[-1]
            raise UnfitNodeError(
                f"a node of the cluster cannot start a worker ({last}); install there what the "
                "others have, or remove it from the cluster"
            ) from error

    def _join_again(self) -> None:
        if time.monotonic() - self._tried > _RETRY_EVERY:
            self._join()

    def ask(self, request: Request, share: list[int]) -> None:
        """Send pieces to compute; the loss of the line shows when answers are read."""
        assert self.line is not None
        self.step, self.share, self._asked = request.step, share, time.monotonic()
        self._pieces = request.pieces
        now = self._shards.get(request.step, frozenset()) | {each.shard for each in self._pieces}
        kept = {step: had for step, had in self._shards.items() if step == request.step - 1}
        self._shards = {**kept, request.step: now}
        try:
            self.line.send(request.to_parts())
        except LostLineError:
            self.lose()

    def shards_of(self, step: int) -> frozenset[int]:
        """Return the shards whose images it may have: of its pieces in a step and the one before.

        Args:
            step: The step that is computed now.
        """
        return frozenset().union(*(self._shards.get(each, ()) for each in (step - 1, step)))

    def answer(self, pace: Pace) -> Answer | None:
        """Return the answer if it is there; without a line the worker joins anew."""
        assert self.line is not None
        try:
            content = self.line.receive()
        except LostLineError:
            self.lose()
            return None
        except ray.exceptions.RayError as error:
            raise self._failure(error) from error
        if content is None:
            return None
        if self._answers:
            pace.add(self._busy_seconds, len(self.share))
        self._answers += 1
        self.share = []
        return Answer.from_bytes(content)

    @property
    def _busy_seconds(self) -> float:
        return time.monotonic() - self._asked

    def seconds_left(self, pace: Pace) -> float:
        """Return the seconds until it is late."""
        known = pace if self._answers else Pace()
        return known.late_after(len(self.share)) - self._busy_seconds

    def is_late(self, pace: Pace) -> bool:
        """Return whether it has been busy for longer than is usual."""
        return bool(self.share) and self.seconds_left(pace) < 0

    def is_hung(self, pace: Pace) -> bool:
        """Return whether it has been busy for so long that a new start is the better hope."""
        return self.is_late(pace) and self._busy_seconds > pace.hung_after(len(self.share))

    def lose(self) -> None:
        """Give up the line; the worker joins again once it has been restarted."""
        assert self.line is not None
        self.line.close()
        self.line, self.share = None, []
        self.losses += 1
        self._lost = time.monotonic()
        if self._listener is None:
            self._join()  # else the end of its serving tells when to

    def dismiss(self) -> None:
        """End the worker for good."""
        if self.line is not None:
            self.line.close()
        ray.kill(self.actor)

    def restart(self) -> None:
        """Kill the worker's process; Ray starts it anew."""
        self._kill()
        self.lose()

    def _kill(self) -> None:
        ray.kill(self.actor, no_restart=False)
        self._lost = float("inf")

    def _failure(self, error: ray.exceptions.RayError) -> Exception:
        """Return what to raise for an exception on a worker: it would be raised there again."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, UserError | StageError):
            return cause
        paths = ", ".join(dict.fromkeys(str(piece.path) for piece in self._pieces))
        doing = f"step {self.step}, paths {paths}" if paths else "building the supernet"
        return StageError(
            f"pretraining, {doing}: a worker failed (its process and address are in the first "
            f"line); {remedy(str(error))}\n{error}"
        )
