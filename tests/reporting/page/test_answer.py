"""The best network, how exactly its accuracy is known, and how to use it."""

import json
from pathlib import Path

import pytest

from raynas.reporting.confidence import wilson
from raynas.reporting.page.answer import Answer, answer
from raynas.reporting.page.run_snapshot import take_snapshot
from raynas.storage.run_store import RunStore
from tests.reporting.page.runs import make_run, outcome


def answer_of(store: RunStore) -> Answer:
    found = answer(take_snapshot(store, Path("none")))
    assert found is not None
    return found


def test_the_best_is_the_first_by_rank_that_was_trained_to_its_end(tmp_path: Path) -> None:
    stopped = outcome(1, "9-9", status="stopped", test_accuracy=None)
    store = make_run(tmp_path, outcomes=[outcome(3, "3-3"), stopped, outcome(2, "2-2")])

    assert answer_of(store).architecture == "2-2"


def test_the_interval_is_wilson_s_on_the_test_images(tmp_path: Path) -> None:
    found = answer_of(make_run(tmp_path, outcomes=[outcome(1)])).accuracy
    low, high = wilson(0.725, 400)

    assert (found.part, found.images, found.low, found.high) == ("test", 400, low, high)
    assert found.interval == (
        f"Between {100 * low:.1f} and {100 * high:.1f} % with 95 % confidence, "
        "measured on 400 test images."
    )


def test_an_older_run_has_its_number_of_test_images_in_the_plan_or_nowhere(tmp_path: Path) -> None:
    old = outcome(1, test_images=None)
    planned = make_run(tmp_path / "a", plan={"test": 50}, outcomes=[old])
    unknown = make_run(tmp_path / "b", outcomes=[old])

    assert answer_of(planned).accuracy.images == 50
    assert "not recorded" in answer_of(unknown).accuracy.interval


def test_without_a_test_the_validation_accuracy_counts(tmp_path: Path) -> None:
    store = make_run(tmp_path, plan={"val": 80}, outcomes=[outcome(1, test_accuracy=None)])
    found = answer_of(store).accuracy

    assert (found.part, found.share, found.images) == ("validation", 0.75, 80)


def test_networks_that_the_images_do_not_tell_apart_are_counted(tmp_path: Path) -> None:
    others = [outcome(2, "2-2", test_accuracy=0.73), outcome(3, "3-3", test_accuracy=0.5)]
    store = make_run(tmp_path, outcomes=[outcome(1), *others])

    assert "The test accuracy of 1 of the 2 others lies within this interval" in (
        answer_of(store).doubt
    )


def test_a_network_that_was_trained_once_more_is_the_answer_and_no_rival_of_itself(
    tmp_path: Path,
) -> None:
    final = outcome(1, trained_on="all", val_accuracy=None, test_accuracy=0.8)
    others = [outcome(2, "2-2", test_accuracy=0.81), outcome(3, "3-3", test_accuracy=0.1)]
    found = answer_of(make_run(tmp_path, outcomes=[outcome(1), *others, final]))
    facts = dict(found.facts)

    assert found.accuracy.share == 0.8
    assert facts["Trained on"] == "all training and validation images"
    assert facts["Validation accuracy"] == "-"
    assert "chosen of 3 by its validation accuracy. Then it was trained once more" in found.doubt
    assert "of 1 of the 2 others lies" in found.doubt


def test_layers_have_the_names_of_their_operations_as_far_as_they_are_known(tmp_path: Path) -> None:
    ledger = [{"layer": 0, "candidate": 1, "operation": "k5e4", "updates": 3}]
    store = make_run(tmp_path, ledger=ledger, outcomes=[outcome(1)])

    assert answer_of(store).layers == ["k5e4", "candidate 0"]


def test_a_network_of_cells_is_told_node_by_node(tmp_path: Path) -> None:
    genotype = "normal: sep3(0) dil3(1) | a(0) b(2); reduction: sep5(0) sep5(1) | a(1) b(2)"
    store = make_run(tmp_path, outcomes=[outcome(1, "0-1-2-3", genotype=genotype)])

    assert answer_of(store).layers == [
        "normal sep3(0) + dil3(1)",
        "normal a(0) + b(2)",
        "reduction sep5(0) + sep5(1)",
        "reduction a(1) + b(2)",
    ]


def test_what_is_not_exported_is_exported_by_the_first_command(tmp_path: Path) -> None:
    store = make_run(tmp_path, outcomes=[outcome(1)])
    before = answer_of(store)
    store.write_bytes("exports/1-0/config.json", b"{}")
    after = answer_of(store)

    assert before.commands == [f"python launch/export.py {store.uri}", *after.commands]
    assert after.commands == [f"python launch/predict.py {store.uri}/exports/1-0 IMAGE..."]
    assert before.note
    assert not after.note
    (row,) = store.rows("runs")
    store.append("runs", [row | {"space": "my own.py"}], "rows")
    store.delete("exports/1-0/config.json")
    assert answer_of(store).commands[0].endswith(f"{store.uri} --space 'my own.py'")


@pytest.mark.parametrize("status", ["stopped", "failed"])
def test_there_is_no_answer_without_a_network_that_was_trained(tmp_path: Path, status: str) -> None:
    store = make_run(tmp_path, outcomes=[outcome(1, status=status)])

    assert answer(take_snapshot(store, Path("none"))) is None


def test_what_int8_loses_and_gains_or_why_there_is_none_is_a_fact(tmp_path: Path) -> None:
    store = make_run(tmp_path, outcomes=[outcome(1, "1-0")])
    test = {"accuracy": 0.72, "images": 400, "difference": -0.005, "interval": [-0.015, 0.005]}
    int8 = {"test": test, "bytes": 2048, "float_bytes": 8192}
    int8 |= {"latency_ms": 0.5, "float_latency_ms": 1.25}
    why = {"model.int8.onnx": "validation accuracy falls"}
    told = []
    for config in ({}, {"int8": None, "left_out": why}, {"int8": int8, "left_out": {}}):
        store.write_bytes("exports/1-0/config.json", json.dumps(config).encode())
        told.append(dict(answer_of(store).facts).get("In whole numbers of 8 bits"))

    assert told == [
        None,
        "left out: validation accuracy falls",
        (
            "72.00 % of 400 test images, -0.50 points (-1.50 to +0.50); 2.0 KiB, before 8.0 KiB; "
            "0.5 ms an image, before 1.25 ms"
        ),
    ]
