"""A file that is made to find out whether it can be, and that leaves nothing behind."""

import contextlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BYTES = bytes(4096)  # an empty file finds room on a full disk


@contextmanager
def passing_file(folder: Path) -> Iterator[Path]:
    """Yield a new file in a folder; delete it then, and what folders had to be made for it.

    Raises:
        OSError: The folder cannot be made, or nothing can be written there.
    """
    missing: list[Path] = []
    try:
        missing += [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f".seen-{uuid.uuid4().hex}"
        try:
            file.write_bytes(_BYTES)
            yield file
        finally:
            file.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):  # somebody else has put something there meanwhile
            for path in missing:
                path.rmdir()
