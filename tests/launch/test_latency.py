"""The script that measures latencies: real networks, real times, a table that a search takes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from raynas.cluster.planning.connection import Resources
from raynas.costs.latency_table import LatencyTable, Task
from raynas.nets.cost import cost_table
from raynas.storage.schemas_beside_runs import LATENCIES, MEASURED_NETS
from tests.builders import shipped_space
from tests.launch.scripts import load_script

latency = load_script("latency")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of small_mobile at 32 pixels."""
    path = tmp_path_factory.mktemp("tables") / "small.parquet"
    words = ["--space", "small_mobile", "--resolution", "32", "--channels", "3", "--repeats", "6"]
    assert latency.main([*words, "--out", str(path)]) == 0
    return path


def nets_of(table: Path) -> Any:
    return pq.read_table(table.with_name(f"{table.stem}-nets.parquet"))


def test_a_table_has_a_row_for_each_candidate_and_one_for_stem_and_head(small: Path) -> None:
    table = pq.read_table(small)
    rows = table.to_pylist()

    assert table.schema.remove_metadata() == LATENCIES
    assert len(rows) == 2 * 4 + 4 * 5 + 1
    assert [row["operation"] for row in rows if row["candidate"] is None] == ["stem and head"]
    assert all(row["latency_ms"] >= 0 and row["isolated_ms"] > 0 for row in rows)
    same = {(row["latency_ms"], row["isolated_ms"]) for row in rows[4:9]}
    assert same == {(row["latency_ms"], row["isolated_ms"]) for row in rows[9:14]}


def test_sums_of_the_table_are_near_whole_networks_that_it_has_not_seen(small: Path) -> None:
    """The README's claim, with room for a busy machine; predictions are the table's own sums."""
    nets = nets_of(small)
    space = shipped_space("small_mobile", identity=True)
    costs = LatencyTable.read(str(small)).added_to(
        cost_table(space, 32, 3, 10), space, Task(3, 32, 10)
    )
    rows = [row for row in nets.to_pylist() if row["held_out"]]
    errors = [abs(row["predicted_ms"] / row["measured_ms"] - 1) for row in rows]
    facts = LatencyTable.read(str(small)).facts

    assert nets.schema.remove_metadata() == MEASURED_NETS
    assert (nets.num_rows, len(rows)) == (60, 20)
    for row in nets.to_pylist():
        cost = costs.of(space.parse(row["architecture"]))
        assert cost.macs == row["macs"]
        assert cost.latency_ms == pytest.approx(row["predicted_ms"], abs=1e-4)
    assert facts["median_error"] == pytest.approx(float(np.median(errors)))
    assert facts["max_error"] == pytest.approx(max(errors))
    assert facts["median_error"] < 0.15


def test_how_it_was_measured_stands_in_the_table(small: Path) -> None:
    facts = LatencyTable.read(str(small)).facts

    assert (facts["space"], facts["channels"], facts["resolution"]) == ("small_mobile", 3, 32)
    assert (facts["threads"], facts["batch"], facts["repeats"]) == (1, 1, 6)
    assert (facts["kind"], facts["clock"], facts["quantile"]) == ("cpu", "thread", 0.1)
    assert facts["device"]
    assert facts["waited"] >= 0
    assert set(facts["versions"]) == {"python", "torch"}


def test_a_large_space_is_measured_and_told_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mobile.parquet"
    words = ["--space", "mobilenet_v2", "--resolution", "32", "--num-classes", "7", "--json"]
    few = ["--nets", "12", "--held-out", "3", "--repeats", "2", "--batch", "2"]
    assert latency.main([*words, *few, "--out", str(out)]) == 0
    facts = json.loads(capsys.readouterr().out)

    assert pq.read_table(out).num_rows == 20 * 6 + 15 + 1
    assert (facts["held_out"], facts["num_classes"], facts["batch"]) == (3, 7, 2)
    assert 0 <= facts["median_error"] <= facts["max_error"]
    assert facts["table"] == str(out)
    assert nets_of(out).num_rows == 15


def test_isolated_candidates_alone_make_a_table_whose_error_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.parquet"
    words = ["--data", "digits", "--nets", "0", "--held-out", "0", "--repeats", "2"]
    assert latency.main([*words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    rows = pq.read_table(out).to_pylist()

    assert "small_mobile, images of 1 x 8 x 8 and 10 classes, on " in printed
    assert "how well the table adds up is not known" in printed
    assert [row["latency_ms"] for row in rows] == [row["isolated_ms"] for row in rows]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--repeats", "0"], "--repeats: got 0, wanted at least 1"),
        (["--num-classes", "0"], "--num-classes: got 0, wanted at least 1"),
        (["--seed", "-1"], "--seed: got -1, wanted a number in [0, 2^63)"),
        (["--quantile", "1.5"], "--quantile: got 1.5, wanted a number in [0, 1]"),
        (["--device", "tpu"], "--device tpu: wanted auto, cpu or cuda"),
        (["--space", "mobilenet"], "did you mean mobilenet_v2?"),
        (["--out", "table.csv"], "wanted a file ending in .parquet"),
        (["--space", "darts_cells"], "it needs a space whose layers stand in a chain"),
    ],
)
def test_mistakes_are_refused_in_a_sentence(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert latency.main(flags) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert said in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_a_resource_that_no_node_has_is_refused_with_how_to_start_one(
    cluster: Resources, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cluster.nodes == 1
    assert latency.main(["--resource", "phone"]) == 2
    said = capsys.readouterr().err
    assert "--resource phone: no node of the cluster has it (custom resources there: none)" in said
    assert """ray start --resources '{"phone": 1}'""" in said
