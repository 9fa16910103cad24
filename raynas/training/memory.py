"""How much memory this machine has, and whether decoded images may fill it."""

import os
from pathlib import Path

from raynas.errors import UserError
from raynas.stages import ImageSettings

_CGROUP = Path("/sys/fs/cgroup/memory.max")  # what a container may use; "max" for everything
_MOST = 0.75  # of the memory, for encoded images
_QUARTER = 0.25  # of the memory: the driver holds the images twice for a moment, and Ray once


def memory_bytes() -> int:
    """Return the memory of this machine or, where that is less, of this container."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CGROUP.read_text(encoding="ascii").strip() if _CGROUP.is_file() else "max"
    return physical if limit == "max" else min(int(limit), physical)


def is_held_in_memory(data: str, need: int, settings: ImageSettings) -> bool:
    """Return whether to decode a data set once and keep it.

    Args:
        data: Its name, for the message.
        need: Bytes of all its images, decoded.
        settings: May say yes or no, whatever the memory.

    Raises:
        UserError: The settings say yes, and that cannot work.
    """
    memory = memory_bytes()
    if settings.in_memory == "yes" and 2 * need > memory:
        raise UserError(
            f"data {data}: decoded images need {2 * need / 2**30:.1f} GiB of memory for a moment, "
            f"this machine has {memory / 2**30:.1f}; lower --images.resolution, or leave "
            "--images.in-memory at auto"
        )
    if settings.in_memory == "auto":
        return need <= _QUARTER * memory
    return settings.in_memory == "yes"


def refuse_more_than_memory(data: str, need: int) -> None:
    """Refuse encoded images that cannot be held.

    Args:
        data: Its name, for the message.
        need: Bytes of all its images, encoded.
    """
    memory = memory_bytes()
    if need > _MOST * memory:
        raise UserError(
            f"data {data}: its Parquet files hold {need / 2**30:.1f} GiB of encoded images, which "
            f"are read into memory, and this machine has {memory / 2**30:.1f}; take a larger one, "
            "fewer files, or images in class folders, which are read from where they are"
        )
