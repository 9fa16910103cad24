"""Processes that make batches ahead, so that the one that trains keeps its interpreter to itself.

They are torch's DataLoader's. It serves one fixed order, and here any step and shard may be asked
for; so its sampler is a queue that grows while it is read, and its data set carries out requests,
which tell what to open: the processes hold no data set, start at once and need little memory.
"""

import contextlib
import itertools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as Carrier

from raynas.data.batch_requests import Request, made
from raynas.storage.short_paths import short_sockets, sockets_in_short_places

_AHEAD = 2  # requests that a process has before it
_DEATHS = 3  # after which what killed a process is done here
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where torch keeps what processes share
_STARTING = threading.Lock()
_LOG = logging.getLogger(__name__)
_FORKSERVER = multiprocessing.get_context("forkserver")


class Answer(NamedTuple):
    """What came of a request.

    Attributes:
        pixels: N x C x H x W bytes.
        readable: N, which images could be read; the others are black.
    """

    pixels: torch.Tensor
    readable: npt.NDArray[np.bool_]


class DecodingProcesses:
    """Carries out requests in several processes, about in the order in which they are made.

    Used by one thread at a time.

    Attributes:
        depth: Requests that keep all of them busy.
    """

    def __init__(self, count: int) -> None:
        """Start nothing before there is something to do."""
        self.depth = _AHEAD * count
        self._count = count
        self._tickets = itertools.count()
        self._queue = _Queue()
        self._answers: dict[int, Answer | Exception] = {}
        self._deaths = 0  # since the last answer
        self._may_share = True
        self._started: _Started | None = None

    def submit(self, request: Request) -> int:
        """Return the number under which the answer may be had."""
        ticket = next(self._tickets)
        self._queue.waiting[ticket] = request
        return ticket

    def forget(self, ticket: int) -> None:
        """Let go of a request, whether it was carried out or not."""
        self._queue.waiting.pop(ticket, None)
        self._queue.under_way.pop(ticket, None)
        self._answers.pop(ticket, None)

    def answer(self, ticket: int) -> Answer:
        """Wait for what comes of a request, and let go of it.

        Raises:
            StorageError: The storage of the images fails.
        """
        while ticket not in self._answers:
            if self._deaths > _DEATHS:  # and would again
                return Answer(*made(self._queue.waiting.pop(ticket)))
            self._receive()
        found = self._answers.pop(ticket)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """End the processes."""
        if self._started is not None:
            self._started.close()
            self._started = None

    def _receive(self) -> None:
        """Take the next answer of all; processes that died are replaced."""
        if self._started is None:
            self._started = _Started(self._count, self._queue, may_share=self._may_share)
        try:
            received = next(self._started.answers)
        except (RuntimeError, OSError, EOFError):  # one of them died
            self.close()
            self._after_death()
            return
        if received is not None and self._queue.under_way.pop(received[0], None) is not None:
            self._answers[received[0]] = _answer(received[1])
            self._deaths = 0

    def _after_death(self) -> None:
        """Have everything done again that was under way; here, where that goes on failing."""
        self._may_share = False  # a full /dev/shm kills whoever writes to it
        self._deaths += 1
        self._queue.begin_again()
        if self._deaths > _DEATHS:
            _LOG.warning("processes that decode die again and again; this one decodes instead")


def _answer(found: Any) -> Answer | Exception:
    if isinstance(found, Exception):
        return found
    pixels, readable = found
    return Answer(torch.as_tensor(pixels), readable)


def _loader(
    carrier: "_Carrier", queue: "_Queue", count: int, alive: Connection
) -> "DataLoader[Any]":
    """Return the loader, of which each iterator starts processes that live while a pipe does."""
    with _any_number():
        return DataLoader(
            carrier,
            batch_size=None,
            sampler=queue,
            num_workers=count,
            prefetch_factor=_AHEAD,
            collate_fn=_as_it_is,
            multiprocessing_context=_FORKSERVER,
            worker_init_fn=partial(_live_with, alive),
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # or it would draw from the one of the training
        )


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Let processes start without importing the program's main module, as they do otherwise.

    It may take long, or be a script that would begin anew.
    """
    main = sys.modules["__main__"]
    with _STARTING:
        before = {name: getattr(main, name, None) for name in ("__spec__", "__file__")}
        vars(main).update(dict.fromkeys(before))
        try:
            yield
        finally:
            vars(main).update(before)


@contextlib.contextmanager
def _any_number() -> Iterator[None]:
    """Let a person choose more processes than there are cores."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")
        yield


class _Queue(Sampler[Any]):
    """What a loader takes for places of images: requests, for as long as there may be some.

    Attributes:
        waiting: Requests by number.
        under_way: Those that processes have.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, Request] = {}
        self.under_way: dict[int, Request] = {}

    def __iter__(self) -> Iterator[tuple[int, Request] | None]:
        """Yield what is to be done next; None: nothing yet."""
        while True:
            if not self.waiting:
                yield None
                continue
            ticket = next(iter(self.waiting))
            self.under_way[ticket] = self.waiting.pop(ticket)
            yield ticket, self.under_way[ticket]

    def begin_again(self) -> None:
        """Let all that is under way wait again, before what waits already."""
        self.waiting = self.under_way | self.waiting
        self.under_way = {}


class _Started:
    """Running processes.

    Attributes:
        answers: Of the requests, in their order; None where there was none.
    """

    def __init__(self, count: int, queue: _Queue, *, may_share: bool) -> None:
        theirs, self._alive = _FORKSERVER.Pipe(duplex=False)
        _FORKSERVER.set_forkserver_preload([__name__])
        loader = _loader(_Carrier(may_share), queue, count, theirs)
        with sockets_in_short_places(), _any_number(), _without_main():
            self.answers = iter(loader)
        theirs.close()

    def close(self) -> None:
        """End the processes."""
        self._alive.close()
        del self.answers


class _Carrier(Carrier[Any]):
    """Carries out requests, as a data set of which they are the places."""

    def __init__(self, may_share: bool) -> None:
        self._may_share = may_share

    def __getitem__(self, asked: tuple[int, Request] | None) -> Any:
        if asked is None:
            return None
        ticket, request = asked
        try:
            pixels, readable = made(request)
        except Exception as error:  # noqa: BLE001 - the loader would make another one of it
            return ticket, error
        shared = self._may_share and _has_room(8 * pixels.nbytes)
        return ticket, (pixels if shared else pixels.numpy(), readable)


def _has_room(size: int) -> bool:
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize > size


def _as_it_is(answer: Any) -> Any:
    return answer


def _live_with(trainer: Connection, number: int) -> None:
    """End this process with the one that trains, however that ends."""
    del number
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    short_sockets()
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(trainer,), daemon=True).start()


def _end_with(trainer: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        trainer.recv_bytes()
    os._exit(0)
