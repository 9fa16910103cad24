"""How much memory this process may use, and whether decoded images may fill it."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from raynas.errors import UserError
from raynas.settings.images import ImageSettings

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_QUARTER = 0.25  # of the memory: the driver holds the images twice for a moment, and Ray once


def memory_bytes() -> int:
    """Return the memory of this machine or, where that is less, what this process may use."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [*_cgroup_limits(), *_slurm_limits()]
    if addresses != resource.RLIM_INFINITY:
        limits.append(addresses)
    return min([physical, *limits])


def _cgroup_limits() -> Iterator[int]:
    """Yield the limits of the control groups of this process, of either version.

    A limit of a parent holds for its children. In a container the path may be the host's, which is
    not to be seen; its own limit is then that of the topmost group.
    """
    for path, name in _cgroups():
        for folder in (path, *path.parents):
            try:
                limit = (folder / name).read_text(encoding="ascii").strip()
            except OSError:
                limit = "max"
            if limit.isdecimal():
                yield int(limit)
            if folder == _CGROUPS:
                break


def _cgroups() -> Iterator[tuple[Path, str]]:
    """Yield the folder of each control group that may limit memory, and the file that does."""
    try:
        lines = _OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = PurePosixPath(path).relative_to("/")
        if not controllers:
            yield _CGROUPS / inside, "memory.max"
            yield _CGROUPS / "unified" / inside, "memory.max"  # beside version 1
        elif "memory" in controllers.split(","):
            yield _CGROUPS / "memory" / inside, "memory.limit_in_bytes"


def _slurm_limits() -> Iterator[int]:
    """Yield what Slurm grants a job on this machine; where it does not use control groups, too."""
    per_node = _number("SLURM_MEM_PER_NODE")
    per_cpu = _number("SLURM_MEM_PER_CPU") * _number("SLURM_CPUS_ON_NODE")
    per_gpu = _number("SLURM_MEM_PER_GPU") * _number("SLURM_GPUS_ON_NODE")
    for mebibytes in (per_node, per_cpu, per_gpu):
        if mebibytes:  # 0: all of the machine
            yield mebibytes * 2**20


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else 0


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
