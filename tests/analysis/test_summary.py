"""The printed summary of a run."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analysis import summary
from raynas.storage.schemas import SCHEMAS
from tests.analysis.gate_runs import invent_gates
from tests.analysis.invented import STARTED, InventedRun, Row, Size


@pytest.fixture
def known_run(young_run: InventedRun) -> InventedRun:
    """Return a run of a few numbers that can be checked by eye."""
    store = young_run.store
    young_run.start(STARTED + timedelta(seconds=90))
    losses = (2.5, 2.0, 1.25)
    rows: list[Row] = [
        {"step": step, "loss": loss, "seconds": 0.5} for step, loss in enumerate(losses)
    ]
    store.append("steps", rows[2:], "b")
    store.append("steps", rows[:2], "c")  # names of parts say nothing about the order
    store.append("ledger", ledger({0: (6, 7), 1: (5, 5), 2: (5, 5), 3: (6, 7)}), "all")
    scores = [(0, 1.0), (0, 3.5), (1, 2.0)]
    scored: list[Row] = [
        {"order": order, "generation": generation, "architecture": f"{order}-1", "score": score}
        for order, (generation, score) in enumerate(scores)
    ]
    store.append("architectures", scored, "all")
    store.append("outcomes", [OUTCOMES[2], OUTCOMES[0], OUTCOMES[1]], "all")
    return young_run


OUTCOMES: list[Row] = [
    {
        "rank": 1,
        "architecture": "1-1",
        "score": 3.5,
        "macs": 330_000_000,
        "params": 3_500_000,
        "val_accuracy": 0.9375,
        "test_accuracy": 0.925,
        "epochs": 20,
        "status": "finished",
        "error": None,
        "checkpoint": "models/1.safetensors",
    },
    {
        "rank": 2,
        "architecture": "2-1",
        "score": float("nan"),
        "macs": 47_000,
        "params": 950,
        "val_accuracy": 0.5,
        "test_accuracy": None,
        "epochs": 3,
        "status": "stopped",
        "error": None,
        "checkpoint": None,
    },
    {
        "rank": None,
        "architecture": "0-1",
        "score": 1.0,
        "macs": 1_000,
        "params": 1_000,
        "val_accuracy": None,
        "test_accuracy": None,
        "epochs": None,
        "status": "failed",
        "error": "Traceback\n  File x\nRuntimeError: [red]out of memory\n",
        "checkpoint": None,
    },
]


def ledger(updates: dict[int, tuple[int, int]]) -> list[Row]:
    return [
        {"layer": layer, "candidate": candidate, "updates": count}
        for layer, counts in updates.items()
        for candidate, count in enumerate(counts)
    ]


def printed(run: InventedRun, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert summary.main([run.store.uri, *flags]) == 0
    return capsys.readouterr().out


def lines(text: str) -> dict[str, str]:
    """Return the header: first word to the rest of its line."""
    pairs = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def test_the_header_says_whose_run_it_is_and_what_became_of_it(
    known_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    header = lines(printed(known_run, capsys))

    wanted = {
        "run": "young",
        "space": "mobilenet_v2",
        "method": "fair_isometry, seed 0",
        "started": "2026-03-01 12:00:00 UTC",
        "finished": "2026-03-01 12:01:30 UTC, after 90 s",
        "cluster": "2 nodes, 16 CPUs, 1 GPU",
        "versions": "raynas 0.1.0, ray 2.60.0, torch 2.9.1",
        "pretraining": "3 steps in 1.5 s, loss from 2.5000 to 1.2500 nats",
        "fairness": "candidates updated 5 times in layers 1-2; 6 to 7 times in layers 0, 3",
        "search": "3 architectures in 2 generations, best score 3.5",
    }
    assert {name: header[name] for name in wanted} == wanted


def test_outcomes_are_printed_by_rank_with_units(
    known_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(known_run, capsys)

    rows = [line.split() for line in text.splitlines() if line.rstrip().endswith("ed")]
    assert "val %" in text
    assert rows[0] == ["1", "1-1", "3.5", "330M", "3.5M", "93.75", "92.50", "20", "finished"]
    assert rows[1] == ["2", "2-1", "nan", "47k", "950", "50.00", "-", "3", "stopped"]
    assert rows[2] == ["-", "0-1", "1", "1k", "1k", "-", "-", "-", "failed"]


def test_classes_of_unequal_sizes_have_balanced_accuracies_beside(
    known_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = known_run.store.rows("runs")[0]
    counts = {"classes": ["a", "b"], "class_counts": {"train": [10, 90]}}
    known_run.store.append("runs", [run | {"plan": json.dumps(counts)}], "run")
    balanced = {"val_balanced_accuracy": 0.75, "test_balanced_accuracy": 0.5, "test_images": 400}
    known_run.store.append("outcomes", [OUTCOMES[0] | balanced], "all")
    text = printed(known_run, capsys)
    (row,) = [line.split() for line in text.splitlines() if line.rstrip().endswith("finished")]

    assert row[5:9] == ["93.75", "92.50", "75.00", "50.00"]
    assert "test bal. %" in text
    assert "test: 0.9250 on 400 images means 0.895 to 0.947 (95 % interval)" in text


def test_of_an_error_the_last_line_is_printed_as_it_is(
    known_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(known_run, capsys)

    assert text.splitlines()[-1] == "0-1 failed: RuntimeError: [red]out of memory"
    assert "Traceback" not in text


def test_the_name_of_an_architecture_of_20_layers_stays_on_one_line(
    full_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = printed(full_run, capsys).splitlines()

    for outcome in full_run.store.rows("outcomes"):
        (row,) = [row for row in rows if f" {outcome['architecture']} " in row]
        assert row.split()[-1] == outcome["status"]


@pytest.mark.slow
def test_the_gap_of_the_search_and_the_verdict_of_short_trainings_are_told(
    known_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = known_run.store.rows("runs")[0] | {"best_score": 3.5, "optimal_score": 3.75}
    known_run.store.append("runs", [run], "run")
    unknown = dict.fromkeys(SCHEMAS["checks"].names)
    for at in range(4):
        row = {
            "architecture": str(at),
            "score": at,
            "depth": 1,
            "macs": -at,
            "params": 1,
            "naswot": at,
            "val_accuracy": at / 4,
            "status": "finished",
        }
        known_run.store.append("checks", [unknown | row], str(at))
    text = printed(known_run, capsys)
    told = json.loads(printed(known_run, capsys, "--json"))

    assert "search: best score 3.5000, optimum 3.7500, gap 0.2500" in text
    assert "learning: on these images the score beats parameters" in text
    assert told["check"]["score"]["tau"] == 1
    assert told["check"]["yardsticks"]["macs"]["tau"] == -1


def test_json_is_one_object_with_the_numbers_of_the_tables(
    known_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    told: dict[str, Any] = json.loads(printed(known_run, capsys, "--json"), parse_constant=refuse)
    assert set(told) == {"run", "pretraining", "search", "outcomes", "notes", "check"}
    run = told["run"]
    assert (run["run"], run["space"], run["method"], run["seed"], run["seconds"]) == (
        "young",
        "mobilenet_v2",
        "fair_isometry",
        0,
        90.0,
    )
    assert (run["started"], run["versions"]["ray"]) == ("2026-03-01T12:00:00+00:00", "2.60.0")
    assert run["settings"]["search"]["score"] == "identity_ratio"
    assert told["pretraining"] == {
        "steps": 3,
        "first_loss": 2.5,
        "last_loss": 1.25,
        "seconds": 1.5,
        "updates": [
            {"layers": [1, 2], "least": 5, "most": 5},
            {"layers": [0, 3], "least": 6, "most": 7},
        ],
    }
    assert told["search"] == {
        "scored": 3,
        "generations": 2,
        "best_score": 3.5,
        "best_architecture": "1-1",
        "searches": [],
    }
    rows = [OUTCOMES[0], OUTCOMES[1] | {"score": None}, OUTCOMES[2]]
    unknown = dict.fromkeys(SCHEMAS["outcomes"].names)
    assert told["outcomes"] == [unknown | row for row in rows]


def test_equal_updates_are_said_in_one_clause(
    young_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    young_run.store.append("ledger", ledger({0: (1500, 1500), 1: (1500, 1500)}), "all")

    assert lines(printed(young_run, capsys))["fairness"] == "every candidate updated 1,500 times"


def test_a_run_that_has_only_started_says_so(
    young_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    header = lines(printed(young_run, capsys))

    assert header["finished"] == "not yet"
    assert header["pretraining"] == "no steps yet"
    assert header["fairness"] == "not counted yet"
    assert header["search"] == "nothing scored yet"
    assert header["no"] == "outcomes yet"


def test_the_json_of_a_run_that_has_only_started_holds_nulls_and_no_rows(
    young_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(printed(young_run, capsys, "--json"))

    assert told["run"]["finished"] is None
    assert told["run"]["seconds"] is None
    assert told["pretraining"] == {
        "steps": 0,
        "first_loss": None,
        "last_loss": None,
        "seconds": 0.0,
        "updates": [],
    }
    assert told["search"]["scored"] == 0
    assert told["outcomes"] == []


def test_a_run_in_the_middle_of_its_search_is_summed_up_so_far(
    invent: Callable[..., InventedRun], capsys: pytest.CaptureFixture[str]
) -> None:
    run = invent("half", size=Size())
    run.start()
    run.pretrain()
    run.search(generations=1)

    header = lines(printed(run, capsys))
    best = max(row["score"] for row in run.scored)
    assert header["search"] == f"50 architectures in 1 generation, best score {best:.6g}"
    assert header["pretraining"].startswith("1,500 steps in 375.0 s, loss from ")


def test_versions_recorded_as_plain_text_are_printed_as_they_are(
    young_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    row = young_run.store.rows("runs")[0]
    young_run.store.append("runs", [row | {"versions": "torch 2.9"}], "run")

    assert lines(printed(young_run, capsys))["versions"] == "torch 2.9"


def test_searches_by_gates_are_told_seed_by_seed_and_no_pretraining_is_awaited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = invent_gates(tmp_path / "gates", seeds=(0, 1), epochs=4)
    failed = {"seed": 2, "epoch": 0, "status": "failed", "error": "Traceback\nOSError: no disk"}
    store.append("search_epochs", [failed], "000002")
    assert summary.main([store.uri]) == 0
    text = capsys.readouterr().out
    last = [row for row in store.rows("search_epochs") if row["status"] == "finished"]
    flat = " ".join(text.split())

    assert lines(text)["search"] == "by gates, 3 seeds, epoch 4"
    for seed, row in enumerate(last):
        accuracy = f"{0.7 + 0.01 * seed:.4f}"
        assert f"search: seed {seed}, epoch 4, accuracy {accuracy}, {row['genotype']}" in flat
    assert "search: seed 2 failed: OSError: no disk" in flat
    assert "pretraining" not in flat


class TestFollow:
    def test_it_tells_the_end_of_a_finished_run_and_ends(
        self, known_run: InventedRun, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = printed(known_run, capsys, "--follow")

        assert (
            text
            == "finished: 3 of 3 networks are retrained, 1 of them failed, after 0 epochs in all\n"
        )

    def test_it_ends_with_code_1_where_nobody_works_on_an_unfinished_run(
        self, young_run: InventedRun, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert summary.main([young_run.store.uri, "--follow"]) == 1
        assert capsys.readouterr().out == "stopped: pretraining has not begun\n"

    def test_changes_are_told_until_ctrl_c_which_leaves_quietly(
        self,
        young_run: InventedRun,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        young_run.store.write_bytes("lock.json", b"{}")  # of whom, nobody knows
        moments = iter([lambda: young_run.pretrain(7), lambda: None])

        def sleep(_: float) -> None:
            try:
                next(moments)()
            except StopIteration:
                raise KeyboardInterrupt from None

        monkeypatch.setattr("raynas.terminal.live_view.time.sleep", sleep)

        assert summary.main([young_run.store.uri, "--follow"]) == 130
        assert capsys.readouterr().out.splitlines() == [
            "running: pretraining has not begun",
            "running: pretraining is at step 7",
        ]
