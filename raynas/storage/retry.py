"""Storage that fails for a moment is tried again; storage that is full or forbidden is reported."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from raynas.errors import StageError

_PAUSES = (0.1, 0.5, 2.0, 5.0)  # seconds before the second and later tries
_FINAL = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or ask for a larger quota",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EROFS: "make it writable again",
    errno.EACCES: "allow it there",
    errno.EPERM: "allow it there",
    errno.ENOTDIR: "move the file away that lies in the way",
    errno.EISDIR: "move the folder away that lies in the way",
    errno.ENAMETOOLONG: "choose a shorter path",
}
_FINAL_CODES = (
    "ACCESS_DENIED",
    "NO_SUCH_BUCKET",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT",
    "allow_bucket_creation",  # Arrow's own words where there is no such bucket
)
_Found = TypeVar("_Found")


class StorageError(StageError):
    """The run folder cannot be read or written any more; what it held before it still holds."""


def patiently(
    work: Callable[[], _Found], doing: str, sleep: Callable[[float], None] = time.sleep
) -> _Found:
    """Return what reading or writing a storage gives, after several tries if need be.

    Args:
        work: May be done again when it has failed.
        doing: What it does, for the message: "run folder R: writing F".
        sleep: Waits so many seconds.

    Raises:
        FileNotFoundError: There is no such file, which is an answer.
        StorageError: It goes on failing, or trying again is of no use.
    """
    for pause in (*_PAUSES, None):
        try:
            return work()
        except FileNotFoundError:
            raise
        except OSError as error:
            if pause is None or is_final(error):
                raise StorageError(_sentence(doing, error)) from error
            sleep(pause)
    raise AssertionError


def is_final(error: OSError) -> bool:
    """Return whether trying again would be of no use."""
    return error.errno in _FINAL or any(code in str(error) for code in _FINAL_CODES)


def _sentence(doing: str, error: OSError) -> str:
    remedy = _FINAL.get(error.errno or 0, "bring the storage back")
    return (
        f"{doing} failed ({error}); what was written before is there: {remedy} and run the same "
        "command again to continue"
    )
