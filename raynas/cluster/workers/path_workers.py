"""Pretraining on Ray actors: how a step's pieces are dealt out and gathered.

Pieces come back in the order in which they were asked for, whoever computed them, so the result
does not depend on the number of workers, nor on which of them were lost, slow or late.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import TracebackType
from typing import Literal, Self

import ray

from raynas.cluster.planning.connection import find_resources
from raynas.cluster.planning.node_requirements import UnfitNodeError
from raynas.cluster.workers.dealing import deal
from raynas.cluster.workers.gathering import Gathering
from raynas.cluster.workers.messages import Answer, Request
from raynas.cluster.workers.ray_transport import CallLine, wait_for_calls
from raynas.cluster.workers.socket_transport import Listener, SocketLine, wait_for_sockets
from raynas.cluster.workers.timeouts import Pace
from raynas.cluster.workers.worker import PathWorker, Recipe
from raynas.cluster.workers.worker_handle import Member
from raynas.data.dataset import Dataset
from raynas.errors import StageError
from raynas.training.gradients import Computed, Piece, Vector

_PATIENCE = 300.0  # seconds to wait for any worker before the stage gives up
_LOOK_EVERY = 5.0  # seconds between looks for room for more workers
_POLL = 0.01  # seconds, while workers start or are reached in two ways
_LONGEST_WAIT = 1.0
_MOST_LOSSES = 5  # of each worker at one step


Say = Callable[[str], None]
Transport = Literal["fast", "calls"]


@dataclass(frozen=True)
class Crew:
    """How many workers there are, and what each takes.

    Attributes:
        start: Workers to begin with.
        most: Workers to grow to when nodes join.
        cpus: CPUs of each, and threads.
        gpus: GPUs of each; fractions share one.
        transport: "fast": a socket each, calls where none can be had; "calls": calls only.
        portions: In which each takes its share of a step: two, so that who is faster takes more;
            one where an answer is long whatever the number of its pieces.
    """

    start: int
    most: int
    cpus: int = 1
    gpus: float = 0.0
    transport: Transport = "fast"
    portions: int = 2


class PathWorkers:
    """The workers of a run as one callable (``ComputePieces``); a context manager."""

    def __init__(
        self, recipe: Recipe, dataset: Dataset, crew: Crew, say: Say = lambda _: None
    ) -> None:
        """Start the workers, spread over the nodes; a step needs but one of them.

        Args:
            recipe: Builds what computes, on each worker.
            dataset: The data.
            crew: How many workers, and what each takes.
            say: Tells a person which node is not fit.
        """
        self._crew = crew
        self._most = crew.most
        self._say = say
        self._said: set[str] = set()
        self._needs = [ray.put(recipe), ray.put(dataset)]
        self._listener = Listener(ray.util.get_node_ip_address())
        self._pace = Pace()
        self._looked = self._reached = time.monotonic()
        self._members = [self._new_member() for _ in range(crew.start)]
        self.waiting_share = 0.0

    def _new_member(self) -> Member:
        crew = self._crew
        actor = PathWorker.options(  # type: ignore[attr-defined]  # ray.remote adds options
            num_cpus=crew.cpus, num_gpus=crew.gpus, scheduling_strategy="SPREAD"
        ).remote(crew.cpus)
        return Member(actor, self._needs, self._listener if crew.transport == "fast" else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        for member in self._members:
            member.dismiss()

    @property
    def healthy(self) -> list[Member]:
        """The workers that can be asked, or have been and are in time."""
        return [
            member for member in self._members if member.line and not member.is_late(self._pace)
        ]

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return the gradients of a step's pieces, in their order.

        Raises:
            StageError: No worker answers any more, or one failed as any other would.
        """
        vector = vector.copy()  # who is late may take it when the next step has begun
        gathering = Gathering(step, len(pieces))
        losses = self._losses
        while missing := gathering.missing:
            self._admit()
            self._refuse_endless(step, losses)
            self._deal(Request(vector, step, pieces), missing)
            self._wait()
            for share, answer in self._answers():
                gathering.add(share, answer)
        self.waiting_share = gathering.waited / max(gathering.seconds, 1e-9)
        return gathering.computed()

    def _deal(self, whole: Request, missing: Collection[int]) -> None:
        """Ask the idle workers for the missing pieces that nobody is computing in time.

        Args:
            whole: Asks for all pieces of the step.
            missing: The indices of those that have not come.
        """
        step = whole.step
        under_way = {i for member in self.healthy if member.step == step for i in member.share}
        left = sorted(set(missing) - under_way)
        shards = [piece.shard for piece in whole.pieces]
        portions = self._crew.portions
        idle = [member for member in self._members if member.line and not member.share]
        for number, member in enumerate(idle):
            if not left:
                return
            had = (each.shards_of(step) for each in self._members if each is not member)
            own, others = member.shards_of(step), frozenset(chain.from_iterable(had))
            # in one portion nothing is left for those who are busy now
            sharing = len(self.healthy) if portions > 1 else len(idle) - number
            share = deal(left, shards, sharing, own, others, portions)
            left = sorted(set(left) - set(share))
            member.ask(replace(whole, pieces=[whole.pieces[index] for index in share]), share)

    def _wait(self) -> None:
        """Wait until an answer may be there, or somebody becomes late."""
        lines = [member.line for member in self._members if member.share]
        left = [member.seconds_left(self._pace) for member in self.healthy if member.share]
        seconds = max(min([*left, _LONGEST_WAIT]), _POLL)
        sockets = [line for line in lines if isinstance(line, SocketLine)]
        calls = [line for line in lines if isinstance(line, CallLine)]
        if calls and not sockets:
            wait_for_calls(calls, seconds)
        else:
            is_waiting = sockets and not calls and self._all_here
            wait_for_sockets(sockets, seconds if is_waiting else _POLL)

    def _answers(self) -> Iterator[tuple[list[int], Answer]]:
        """Yield what has come, with the indices that it answers."""
        for member in [member for member in self._members if member.share]:
            share, answer = member.share, member.answer(self._pace)
            if answer is not None:
                yield share, answer

    def _admit(self) -> None:
        """Take in who has come, start anew who hangs, and grow when there is room for more."""
        now = time.monotonic()
        if now - self._looked > _LOOK_EVERY:
            self._looked = now
            self._grow()
        for member in list(self._members):
            if member.is_hung(self._pace):
                member.restart()
            if member.line is None:
                try:
                    member.admit()
                except UnfitNodeError as error:
                    self._do_without(member, error)
        if any(member.line for member in self._members):
            self._reached = now

    def _do_without(self, member: Member, error: UnfitNodeError) -> None:
        """Dismiss a worker for its node, and expect one less: a new one might get there again.

        Raises:
            UnfitNodeError: It was the last.
        """
        member.dismiss()
        self._members.remove(member)
        self._most -= 1
        if not self._members:
            raise error
        if str(error) not in self._said:
            self._said.add(str(error))
            self._say(f"warning: {error}; until then it does without it")

    def _grow(self) -> None:
        crew = self._crew
        if len(self._members) < self._most:
            room = find_resources().room(crew.cpus, crew.gpus)
            for _ in range(len(self._members), min(self._most, room)):
                self._members.append(self._new_member())

    @property
    def _losses(self) -> int:
        return sum(member.losses for member in self._members)

    @property
    def _all_here(self) -> bool:
        return all(member.line for member in self._members)

    def _refuse_endless(self, step: int, losses: int) -> None:
        """Stop when no worker comes any more, or all that come are lost at the same step."""
        again = "run the same command again to continue"
        if time.monotonic() - self._reached > _PATIENCE:
            raise StageError(
                f"pretraining, step {step}: no worker has answered for {_PATIENCE:.0f} s; {again} "
                "when the cluster is back"
            )
        lost = self._losses - losses
        if lost > _MOST_LOSSES * len(self._members):
            raise StageError(
                f"pretraining, step {step}: {lost} workers were lost at this step, perhaps for "
                f"want of memory; {again} with --pretrain.recompute true or fewer workers a node"
            )
