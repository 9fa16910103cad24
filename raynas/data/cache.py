"""A folder for what was read of images and can be read again: it may be removed at any time."""

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

_LOG = logging.getLogger(__name__)


def cache_folder(said: str | None) -> str:
    """Return the folder that a person says, or the environment, or the usual one.

    Its ``~`` stays, for it lies elsewhere on another node.
    """
    return said or os.environ.get("RAYNAS_CACHE") or "~/.cache/raynas"


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file into the cache, whole or not at all; without it, it is read again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                write(file)
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        _LOG.warning(
            "%s cannot be kept (%s), so that the images will be read again; name another folder "
            "by --images.cache",
            path,
            error,
        )
