"""Whether decoded images are kept: a quarter of the memory, or what the settings say."""

import os
import resource
from pathlib import Path
from typing import Literal

import pytest

from raynas.data import memory
from raynas.data.memory import is_held_in_memory, memory_bytes
from raynas.errors import UserError
from raynas.settings.images import ImageSettings

GIB = 2**30


@pytest.fixture(autouse=True)
def _eight_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_bytes", lambda: 8 * GIB)


@pytest.mark.parametrize(
    ("setting", "need", "held"),
    [
        ("auto", 2 * GIB, True),
        ("auto", 2 * GIB + 1, False),
        ("yes", 4 * GIB, True),
        ("no", 1, False),
    ],
)
def test_images_are_kept_up_to_a_quarter_of_the_memory_or_as_the_settings_say(
    setting: Literal["auto", "yes", "no"], need: int, held: bool
) -> None:
    assert is_held_in_memory("x", need, ImageSettings(in_memory=setting)) is held


def test_images_that_cannot_be_kept_are_refused_if_they_must_be() -> None:
    with pytest.raises(UserError, match=r"data x: .* 10.0 GiB .* has 8.0; .* --images.in-memory"):
        is_held_in_memory("x", 5 * GIB, ImageSettings(in_memory="yes"))


MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a machine whose control groups and job limit nothing yet."""
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("0::/", "memory.max"),
        ("0::/system.slice/job_7/task_0", "system.slice/job_7/memory.max"),
        ("0::/of/the/host", "memory.max"),
        ("12:cpu:/a\n4:memory:/slurm/job_7\n0::/", "memory/slurm/job_7/memory.limit_in_bytes"),
        ("4:hugetlb,memory:/slurm/job_7/s", "memory/slurm/memory.limit_in_bytes"),
        ("4:memory:/docker/of/the/host", "memory/memory.limit_in_bytes"),
        ("4:memory:/\n0::/job_7", "unified/job_7/memory.max"),
        (None, "memory.max"),
    ],
)
@pytest.mark.parametrize(("limit", "found"), [("1000000", 1_000_000), ("max", MACHINE)])
def test_a_process_has_the_memory_that_its_control_groups_allow(
    machine: Path, own: str | None, file: str, limit: str, found: int
) -> None:
    if own:
        (machine / "own").write_text(f"{own}\n")
    (machine / "cgroup" / file).parent.mkdir(parents=True)
    (machine / "cgroup" / file).write_text(f"{limit}\n")

    assert memory_bytes() == found


@pytest.mark.parametrize(
    ("granted", "mebibytes"),
    [
        ({"SLURM_MEM_PER_NODE": "64"}, 64),
        ({"SLURM_MEM_PER_CPU": "32", "SLURM_CPUS_ON_NODE": "3"}, 96),
        ({"SLURM_MEM_PER_GPU": "100", "SLURM_GPUS_ON_NODE": "2"}, 200),
        ({"SLURM_MEM_PER_NODE": "0"}, MACHINE / 2**20),
        ({"SLURM_MEM_PER_CPU": "32"}, MACHINE / 2**20),
        ({"SLURM_MEM_PER_NODE": str(2**40)}, MACHINE / 2**20),
    ],
)
@pytest.mark.usefixtures("machine")
def test_a_job_of_slurm_has_the_memory_that_it_was_granted(
    monkeypatch: pytest.MonkeyPatch, granted: dict[str, str], mebibytes: float
) -> None:
    for name, value in granted.items():
        monkeypatch.setenv(name, value)

    assert memory_bytes() == mebibytes * 2**20


@pytest.mark.usefixtures("machine")
def test_a_process_has_no_more_memory_than_it_may_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (5_000_000, resource.RLIM_INFINITY))

    assert memory_bytes() == 5_000_000
