"""Tables of latencies: what was written is read, and what was measured for others is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raynas.costs.costs import CostTable
from raynas.costs.latency_table import LatencyTable, Task, write
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.operations import Identity
from raynas.spaces.chain import SearchSpace
from tests.builders import build_space

TASK = Task(3, 8, 3)
PLAIN = build_space("RN")
SPACE = PLAIN.with_identity(Identity())
FACTS = {
    "space": "tiny",
    **vars(TASK),
    "batch": 1,
    "threads": 1,
    "kind": "cpu",
    "device": "a chip",
    "measured": "2026-11-22T10:00:00",
    "median_error": 0.012,
    "max_error": 0.051,
    "held_out": 20,
}


def costs_of(space: SearchSpace, task: Task = TASK) -> CostTable:
    return cost_table(space, task.resolution, task.channels, task.num_classes)


def rows_of(space: SearchSpace = SPACE) -> list[dict[str, Any]]:
    """Return a table in which candidate c of layer l takes (10 l + c + 0.25) ms."""
    macs = costs_of(space).macs
    rows: list[dict[str, Any]] = [
        {
            "layer": layer,
            "candidate": choice,
            "operation": candidate.name,
            "macs": macs[layer][choice],
            "latency_ms": 10 * layer + choice + 0.25,
            "isolated_ms": 1.0,
        }
        for layer, block in enumerate(space.blocks)
        for choice, candidate in enumerate(block.candidates)
    ]
    ends = {"operation": "stem and head", "macs": 0, "latency_ms": 100.0, "isolated_ms": 1.0}
    return [*rows, ends]


def written(folder: Path, rows: list[dict[str, Any]] | None = None, **facts: Any) -> LatencyTable:
    place, _ = write(str(folder / "t.parquet"), rows or rows_of(), [], FACTS | facts)
    return LatencyTable.read(place)


def test_a_table_gives_whole_nanoseconds_to_candidates_by_their_names(tmp_path: Path) -> None:
    """Also where the search has fewer candidates than were measured."""
    table = written(tmp_path)
    costs = table.added_to(costs_of(SPACE), SPACE, TASK)
    fewer = table.added_to(costs_of(PLAIN), PLAIN, TASK)

    assert costs.latency == (
        (250_000, 1_250_000, 2_250_000),
        (10_250_000, 11_250_000, 12_250_000, 13_250_000),
    )
    assert fewer.latency == (costs.latency[0], costs.latency[1][:3])
    assert costs.of((1, 3)).latency == 100_000_000 + 1_250_000 + 13_250_000
    assert (costs.macs, costs.params) == (costs_of(SPACE).macs, costs_of(SPACE).params)


def test_both_files_are_parquet_of_their_own_and_know_how_it_was_measured(tmp_path: Path) -> None:
    net = {"architecture": "0-1", "held_out": True, "measured_ms": 2.0, "predicted_ms": 1.9}
    place, beside = write(str(tmp_path / "deep" / "t.parquet"), rows_of(), [net], FACTS)

    assert pq.read_table(place).num_rows == 8
    (found,) = pq.read_table(beside).to_pylist()
    assert found == net | {"macs": None, "isolated_ms": None}
    assert LatencyTable.read(place).facts == FACTS
    assert b"a chip" in pq.read_schema(beside).metadata[b"raynas.latencies"]


def test_the_digest_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    first, same = written(tmp_path / "a"), written(tmp_path / "b")
    other = written(tmp_path / "c", device="another chip")

    assert first.digest == same.digest != other.digest


def test_a_person_reads_the_device_and_how_well_the_table_adds_up(tmp_path: Path) -> None:
    assert written(tmp_path).words == (
        f"{tmp_path}/t.parquet: a chip, 1 thread, batch 1, measured 2026-11-22, off by 1.2 % (at "
        "most 5.1 %) on 20 whole networks"
    )
    assert written(tmp_path, median_error=None).words.endswith("measured 2026-11-22")


@pytest.mark.parametrize(
    ("space", "task", "why"),
    [
        (replace(SPACE, name="other"), TASK, "measured for tiny with 2 layers, .* is of other"),
        (build_space("RNN", identity=True), TASK, "this search is of tiny with 3 layers"),
        (SPACE, Task(3, 16, 3), "images of 3 x 8 x 8 .* images of 3 x 16 x 16"),
        (SPACE, Task(1, 8, 3), "this search is of .* images of 1 x 8 x 8"),
        (SPACE, Task(3, 8, 5), "and 5 classes"),
    ],
)
def test_a_table_of_something_else_is_refused_with_how_to_measure_this(
    tmp_path: Path, space: SearchSpace, task: Task, why: str
) -> None:
    with pytest.raises(UserError, match=why) as refusal:
        written(tmp_path).added_to(costs_of(space, task), space, task)
    assert str(refusal.value).endswith(
        f"python launch/latency.py --space {space.name} --resolution {task.resolution} "
        f"--channels {task.channels} --num-classes {task.num_classes}"
    )


def test_a_table_of_a_space_that_was_edited_since_is_refused(tmp_path: Path) -> None:
    renamed = [row | {"operation": f"{row['operation']}x"} for row in rows_of()]
    changed = [row | {"macs": row["macs"] + 1} for row in rows_of()]

    with pytest.raises(UserError, match="it has no operation k3e1 in layer 0"):
        written(tmp_path, renamed).added_to(costs_of(SPACE), SPACE, TASK)
    with pytest.raises(UserError, match=r"its k3e1 of layer 0 had [0-9,]+ MACs, now it has"):
        written(tmp_path, changed).added_to(costs_of(SPACE), SPACE, TASK)


def test_what_is_no_table_of_latencies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("latency")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")

    for name in ("text", "other.parquet"):
        with pytest.raises(UserError, match="it is no table of latencies"):
            LatencyTable.read(str(tmp_path / name))
    with pytest.raises(UserError, match="cannot read it"):
        LatencyTable.read(str(tmp_path / "missing.parquet"))
