"""The lock of a run folder: one driver at a time, on any storage, whatever the clocks say.

The driver that holds it rewrites ``lock.json`` every few seconds with another beat. Whoever finds
a lock watches it: one whose beat stands still belongs to a dead driver, and is taken over. Time
is one's own and monotonic, so clocks may differ or jump. Object stores cannot create a file
exclusively: who writes the lock reads it again, and a driver that finds another's name in it stops.
"""

import _thread
import contextlib
import getpass
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from raynas.errors import StageError, UserError
from raynas.storage.run_store import RunStore

LOCK = "lock.json"
_BEAT_SECONDS = 5.0
_DEAD_SECONDS = 30.0  # without a beat; a driver may be busy for some of them
_SETTLE_SECONDS = 0.3  # after which the last of those that wrote at once is read by all
_LOOK_SECONDS = 0.5
_NOBODY = "nobody"

Lock = dict[str, Any]


class RunLock:
    """Holds a run folder for this driver; a context manager."""

    def __init__(
        self, store: RunStore, say: Callable[[str], None], work: RunStore | None = None
    ) -> None:
        """Take nothing yet.

        Args:
            store: The run folder.
            say: Tells a person that there is something to wait for.
            work: The same one, as the driver writes it; refused once another one has the lock.
        """
        self._store = store
        if work is not None:
            work.may_write = self._refuse_loser
        self._say = say
        self._mine: Lock = _this_driver()
        self._stop = threading.Event()
        self._winner: Lock | None = None  # who has taken the lock away

    def __enter__(self) -> Self:
        """Take the lock, and keep it alive.

        Raises:
            UserError: Another driver is at work on the run folder.
        """
        found = self._read()
        if found and _is_alive(found):
            self._refuse_other(found)
        if found and not _has_ended(found):
            self._outwait(found)
        self._beat()
        time.sleep(_SETTLE_SECONDS)
        self._refuse_other(self._read())
        self._is_main = threading.current_thread() is threading.main_thread()
        self._heart = threading.Thread(target=self._keep, name="lock", daemon=True)
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._heart.join()
        with contextlib.suppress(OSError, StageError):  # then it is found dead, that is all
            self._notice_winner()
            if not self._winner:
                self._store.delete(LOCK)
        self._refuse_loser()

    def _refuse_loser(self) -> None:
        """Stop the driver that has lost the lock; it works where no signal reaches it, maybe."""
        if self._winner:
            raise StageError(f"{_whose(self._store, self._winner)} took it over; this one stopped")

    def _outwait(self, found: Lock) -> None:
        """Wait until a lock is given up or known to be dead; refuse one that beats."""
        self._say(
            f"lock      {_whose(self._store, found)} may still be at work; looking for a sign of "
            f"life for up to {_DEAD_SECONDS:.0f} s"
        )
        started = time.monotonic()
        while time.monotonic() < started + _DEAD_SECONDS:
            time.sleep(_LOOK_SECONDS)
            now = self._read()
            if now is None or _has_ended(now):
                return
            if now != found:
                self._refuse_other(now)

    def _refuse_other(self, found: Lock | None) -> None:
        if found is None or found["driver"] != self._mine["driver"]:
            raise UserError(
                f"{_whose(self._store, found or {})} is at work on it; wait for its end, stop "
                "it, or choose another --run"
            )

    def _keep(self) -> None:
        """Beat until told to stop; end the driver when another one has the lock."""
        while not self._stop.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError, StageError):  # the stages will tell of the storage
                self._notice_winner()
                if self._winner:
                    self._interrupt()
                    return
                self._beat()

    def _interrupt(self) -> None:
        """Wake the driver, where a signal does; else it stops at the next file that it writes."""
        for number in (signal.SIGTERM, signal.SIGINT):
            if self._is_main and callable(signal.getsignal(number)):
                _thread.interrupt_main(number)
                return

    def _notice_winner(self) -> None:
        """Look whether another driver has the lock now; one that is damaged names nobody."""
        found = self._read()
        if found and found["driver"] not in {self._mine["driver"], _NOBODY}:
            self._winner = found

    def _beat(self) -> None:
        self._mine["beat"] += 1
        self._store.write_bytes(LOCK, json.dumps(self._mine).encode())

    def _read(self) -> Lock | None:
        """Return the lock, or None; one that is damaged, or half-written, may be anybody's."""
        try:
            content = self._store.read_bytes(LOCK)
        except FileNotFoundError:
            return None
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if isinstance(found, dict) and found.keys() >= self._mine.keys():
            return found
        return {"driver": _NOBODY, "machine": None, "beat": content}


def is_held(store: RunStore) -> bool:
    """Return whether a driver is at work on a run folder, as far as its lock tells.

    A driver of another machine that died without a word counts as one that works.
    """
    found = RunLock(store, lambda _: None)._read()  # noqa: SLF001 - the class above
    return found is not None and not _has_ended(found)


def _this_driver() -> Lock:
    return {
        "driver": uuid.uuid4().hex,
        "user": _user(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "machine": _machine(),
        "process_started": _start_of(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "beat": 0,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _machine() -> str | None:
    """Return what tells this boot and this container's processes from all others; None: nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _start_of(pid: int) -> str | None:
    """Return when a process started, in ticks since boot; None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]  # a zombie has ended


def _is_here(lock: Lock) -> bool:
    return lock["machine"] is not None and lock["machine"] == _machine()


def _is_alive(lock: Lock) -> bool:
    """Return whether a lock's driver is a process of this machine."""
    return _is_here(lock) and _start_of(lock["pid"]) == lock["process_started"]


def _has_ended(lock: Lock) -> bool:
    """Return whether a lock's driver was a process of this machine that is no more."""
    return _is_here(lock) and not _is_alive(lock)


def _whose(store: RunStore, lock: Lock) -> str:
    who = "whose lock cannot be read"
    if "user" in lock:
        who = "{user}@{host} (process {pid}, since {since})".format_map(lock)
    return f"run folder {store.uri}: another driver, {who},"
