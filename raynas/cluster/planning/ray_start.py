"""Starting Ray on this machine, where others cannot join it; what stops it is told in a sentence.

Ray keeps its sockets and logs below RAY_TMPDIR, TMPDIR or /tmp. Where it cannot (a batch job's
TMPDIR is too long for a socket's address, or the folder is full, read-only or another user's), it
gets a folder of its own in a short place, which goes when Ray ends.
"""

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from raynas.cluster.ray_internals import is_long_socket, is_slow_start, start_in
from raynas.errors import StageError, UserError
from raynas.storage.short_paths import SHORT_PLACES

_LEAST_BYTES = 2**20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # tells no name where writing failed
_REMEDIES = {
    errno.EAGAIN: "raise the limit on processes (ulimit -u), or end some",
    errno.ENOMEM: "free some memory, or ask for more",
    errno.EMFILE: "raise the limit on open files (ulimit -n 65536)",
    errno.ENFILE: "end programs that hold many files open",
}


@contextmanager
def started(num_cpus: int | None, **messages: Any) -> Iterator[None]:
    """Start Ray on this machine; end it at the end.

    Args:
        num_cpus: That it offers; None: all of the machine.
        messages: Ray's arguments on what it prints.

    Raises:
        UserError: RAY_TMPDIR names a folder that does not do.
        StageError: Ray does not start.
    """
    import ray  # noqa: PLC0415 - after the environment is set

    _guard_with_token()
    # else Ray begins with a process for each CPU, which takes seconds and serves few workers
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    wanted = {"num_cpus": num_cpus, "include_dashboard": False, **messages}
    with ExitStack() as folders:
        try:
            _start(wanted, folders)
        except Exception as error:
            raise _refusal(error) from error
        try:
            yield
        finally:
            ray.shutdown()


def _start(wanted: dict[str, Any], folders: ExitStack) -> None:
    """Start Ray where it would lie by itself, or else in the first short place that does.

    Raises:
        OSError: None does; the first reason.
    """
    import ray  # noqa: PLC0415 - after the environment is set

    try:
        _try_out(Path(_place()))
        ray.init("local", **wanted)
    except OSError as first:
        if not _is_of_the_folder(first) or "RAY_TMPDIR" in os.environ:
            raise
        for place in SHORT_PLACES:
            try:
                own = folders.enter_context(
                    tempfile.TemporaryDirectory(
                        prefix="ray-", dir=place, ignore_cleanup_errors=True
                    )
                )
                # one deeper: Ray lets everybody write into the folder that it is given
                start_in(Path(own) / "ray", **wanted)
            except OSError:
                continue
            return
        raise


def _place() -> str:
    """Return the folder below which Ray puts its sockets and logs."""
    named = (os.environ.get(name) for name in ("RAY_TMPDIR", "TMPDIR"))
    return next((place for place in named if place is not None), "/tmp")  # noqa: S108


def _try_out(place: Path) -> None:
    """Find out what Ray would not: it waits half a minute for files that nobody can write.

    Raises:
        OSError: Ray cannot put files there.
    """
    if not place.is_absolute():
        raise OSError(errno.EINVAL, "not an absolute path", str(place))
    folder = place / "ray"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(_LEAST_BYTES))


def _guard_with_token() -> None:
    """Let nobody else join the cluster that is started here: Ray listens on all interfaces.

    Unless RAY_AUTH_MODE forbids it, Ray asks for a token, from 2.59 on by itself. The mode cannot
    be set here: Ray reads it when it is imported. This token lives in this process and those that
    it starts; left to itself, Ray would write one to the home directory, where it breaks a later
    ``ray start``.
    """
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _is_of_the_folder(error: Exception) -> bool:
    """Return whether another folder may do; Ray has no number for a socket's address too long."""
    if not isinstance(error, OSError):
        return False
    is_inside = str(error.filename or "").startswith(_place())
    return is_inside or error.errno in _FULL or is_long_socket(error)


def _refusal(error: Exception) -> Exception:
    """Return the sentence on what kept Ray from starting."""
    reason = first_line(error)
    folder = os.environ.get("RAY_TMPDIR")
    if folder and _is_of_the_folder(error):
        return UserError(
            f"RAY_TMPDIR {folder}: Ray cannot keep its sockets and logs there ({reason}); set it "
            "to a folder with a short name that you may write, or unset it"
        )
    if is_slow_start(error):
        return StageError(
            "Ray: it did not start on this machine within 30 seconds, perhaps because the machine "
            "is very busy, or allows too few processes or open files (ulimit -u, ulimit -n); run "
            f"the same command again, or see what its logs say ({_logs()})"
        )
    return StageError(f"Ray: it cannot start on this machine ({reason}); {_remedy(error)}")


def _remedy(error: Exception) -> str:
    if _is_of_the_folder(error):
        return "set RAY_TMPDIR to a folder with a short name that you may write"
    known = _REMEDIES.get(error.errno or 0) if isinstance(error, OSError) else None
    return known or f"its messages (--verbose) and logs ({_logs()}) say more"


def _logs() -> str:
    return f"{_place()}/ray/session_latest/logs"


def first_line(error: Exception) -> str:
    """Return the first line of what an exception says, or its name if it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
