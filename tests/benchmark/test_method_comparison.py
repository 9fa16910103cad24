"""Rows of a comparison: what a run's tables say of its cost, its ranking and its best network."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from raynas.benchmark.method_comparison import Spread, by_method, is_biased, over_seeds, run_row
from raynas.benchmark.truths.reading import parse_truths
from raynas.benchmark.truths.truth import Truth
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from tests.macro import build_run, build_table, build_truth, sampled

SETTINGS = Settings(
    space="nas_bench_macro",
    pretrain=PretrainSettings(batch=32),
    search=SearchSettings(score="taylor"),
)
KEYS = sampled(60)
TABLE = build_table()


def truth_of(keys: Any = KEYS) -> Truth:
    return parse_truths(json.dumps(build_truth(keys, TABLE)).encode(), "truth.json")


def finish(store: RunStore, **found: Any) -> RunStore:
    """Mark a run as finished."""
    row = store.rows("runs")[0] | {"finished": datetime(2026, 3, 2, tzinfo=UTC)} | found
    store.append("runs", [row], "run")
    return store


def add_steps(store: RunStore, seconds: list[float], paths: int) -> None:
    rows = [
        {"step": step, "seconds": each, "images_per_second": 32 * paths / each}
        for step, each in enumerate(seconds)
    ]
    store.append("steps", rows, "0")


def outcome(architecture: Architecture, rank: int, status: str = "finished") -> dict[str, Any]:
    accuracy = None if status == "failed" else 0.9 - 0.1 * rank
    return {
        "rank": rank,
        "architecture": str(architecture),
        "score": 1.0,
        "macs": 100 * rank,
        "params": 10 * rank,
        "val_accuracy": accuracy,
        "test_accuracy": accuracy,
        "epochs": 2,
        "status": status,
        "error": "it broke" if status == "failed" else None,
    }


def test_times_are_medians_of_steps_and_paths_and_the_sum_of_all_steps(tmp_path: Path) -> None:
    store = finish(build_run(tmp_path, TABLE), search_seconds=2.5)
    add_steps(store, [9.0, 0.2, 0.3], paths=3)
    row = run_row(store, SETTINGS)

    assert row["ms_per_step"] == pytest.approx(300.0)
    assert row["ms_per_path"] == pytest.approx(100.0)
    assert row["pretrain_seconds"] == pytest.approx(9.5)
    assert row["search_seconds"] == 2.5
    assert (row["trainable"], row["sampling"]) == ("all_bn", "fair_identity")


def test_what_learned_is_counted_as_the_run_s_plan_recorded_it(tmp_path: Path) -> None:
    store = finish(build_run(tmp_path, TABLE))
    older = run_row(store, SETTINGS)
    (run,) = store.rows("runs")
    plan = PlanFacts(trained_numbers=264_032).to_json()
    store.append("runs", [run | {"plan": plan}], store.parts("runs")[0])
    frozen = replace(SETTINGS, pretrain=replace(SETTINGS.pretrain, classifier_rate=0.0))
    row = run_row(store, frozen)

    assert (older["trains_classifier"], older["trained_numbers"]) == (True, None)
    assert (row["trains_classifier"], row["trained_numbers"]) == (False, 264_032)


def test_a_method_without_pretraining_has_no_steps_and_takes_no_time_for_them(
    tmp_path: Path,
) -> None:
    store = finish(build_run(tmp_path))
    settings = replace(
        SETTINGS, pretrain=PretrainSettings(epochs=0.0), search=SearchSettings(score="random")
    )
    row = run_row(store, settings)

    assert row["pretrain_seconds"] == 0.0
    assert row.get("ms_per_step") is None
    assert row.get("trainable") is None


def test_a_differentiable_search_trains_weights_and_gates_and_has_no_score(tmp_path: Path) -> None:
    settings = replace(
        SETTINGS,
        pretrain=PretrainSettings(epochs=0.0),
        search=SearchSettings(strategy="differentiable"),
    )
    row = run_row(finish(build_run(tmp_path)), settings, truth=truth_of())

    assert (row["trainable"], row["score"]) == ("gates", None)
    assert row.get("tau") is None
    assert row.get("ms_per_step") is None


def test_the_best_network_is_the_best_by_validation(tmp_path: Path) -> None:
    store = finish(build_run(tmp_path, TABLE))
    store.append("outcomes", [outcome(KEYS[1], 2), outcome(KEYS[0], 1)], "outcomes")
    row = run_row(store, SETTINGS)

    assert row["architecture"] == str(KEYS[0])
    assert (row["macs"], row["params"]) == (100, 10)
    assert (row["best_val_accuracy"], row["best_test_accuracy"]) == (0.8, 0.8)
    assert (row["status"], row["error"]) == ("finished", None)
    assert row.get("true_accuracy") is None
    assert row.get("tau") is None


def test_the_truth_says_how_far_the_best_network_is_from_the_best_within_the_limits(
    tmp_path: Path,
) -> None:
    truth = truth_of()
    store = finish(build_run(tmp_path, TABLE))
    store.append("outcomes", [outcome(KEYS[0], 1)], "outcomes")
    row = run_row(store, SETTINGS, truth=truth)
    limit = 50_000_000
    limited = run_row(store, replace(SETTINGS, max_macs=limit), truth=truth)
    above = run_row(store, replace(SETTINGS, min_macs=limit), truth=truth)
    reached = truth.accuracy[truth.network[0]]
    best_above = max(truth.accuracy[truth.macs >= limit].max(), reached)

    assert above["regret"] == pytest.approx((best_above - reached) / 100)
    assert row["true_accuracy"] == pytest.approx(reached / 100)
    assert row["regret"] == pytest.approx((truth.accuracy.max() - reached) / 100)
    best = max(truth.accuracy[truth.macs <= limit].max(), reached)
    assert limited["regret"] == pytest.approx((best - reached) / 100)


def test_tau_of_an_indicator_is_taken_over_all_networks_of_the_truth(tmp_path: Path) -> None:
    row = run_row(finish(build_run(tmp_path, TABLE)), SETTINGS, truth=truth_of())

    assert row["tau"] == pytest.approx(1.0)
    assert (row["tau_source"], row["tau_networks"]) == ("truth", 60)
    assert not is_biased(row)


def test_tau_of_another_score_is_taken_over_what_was_visited_and_said_to_be_biased(
    tmp_path: Path,
) -> None:
    visited = {key: -float(sum(key)) for key in KEYS[:20]}
    settings = replace(SETTINGS, search=SearchSettings(score="naswot"))
    row = run_row(
        finish(build_run(tmp_path, score="naswot", scored=visited)), settings, truth=truth_of()
    )

    assert row["tau"] < 0
    assert (row["tau_source"], row["tau_networks"]) == ("truth", 20)
    assert is_biased(row)


@pytest.mark.slow
def test_without_a_truth_that_knows_enough_networks_tau_is_the_check_s(tmp_path: Path) -> None:
    checks = [
        {
            "architecture": str(n),
            "score": float(n),
            "depth": n,
            "macs": n,
            "params": n,
            "naswot": 1.0,
            "val_accuracy": n / 10,
            "status": "finished",
        }
        for n in range(5)
    ]
    settings = replace(SETTINGS, search=SearchSettings(score="naswot"))
    store = finish(build_run(tmp_path, score="naswot", scored={KEYS[0]: 1.0}))
    store.append("checks", checks, "all")

    for truth in (None, truth_of()):
        row = run_row(store, settings, truth=truth)
        assert row["tau"] == pytest.approx(1.0)
        assert (row["tau_source"], row["tau_networks"]) == ("check", 5)
        assert not is_biased(row)


def test_a_run_that_failed_is_told_by_its_error_or_by_that_of_its_first_failed_training(
    tmp_path: Path,
) -> None:
    empty, store = RunStore(str(tmp_path / "none")), build_run(tmp_path / "run", TABLE)
    store.append("outcomes", [outcome(KEYS[0], 1), outcome(KEYS[1], 2, "failed")], "outcomes")

    assert run_row(empty, SETTINGS, "no room")["error"] == "no room"
    assert run_row(empty, SETTINGS)["error"] == "it ended early"
    row = run_row(store, SETTINGS)
    assert (row["status"], row["error"]) == ("failed", "it broke")
    assert row["architecture"] == str(KEYS[0])
    assert row.get("tau") is None


def test_rows_fit_the_table(tmp_path: Path) -> None:
    store = finish(build_run(tmp_path, TABLE))
    add_steps(store, [0.5], paths=1)
    store.append("outcomes", [outcome(KEYS[0], 1)], "outcomes")
    row = run_row(store, SETTINGS, truth=truth_of())
    store.append("comparison", [row], "one")

    (read,) = store.rows("comparison")
    assert {name: value for name, value in read.items() if value is not None} == {
        name: value for name, value in row.items() if value is not None
    }
    assert [name for name, value in read.items() if value is None] == [
        "trained_numbers",
        "search_seconds",
        "search_gpu_days",
        "search_hours",
        "error",
        "is_rival",
    ]


def test_a_method_s_measures_are_means_and_deviations_over_the_seeds_that_have_them() -> None:
    rows = [
        {"method": "a", "tau": 0.2, "macs": 10},
        {"method": "b", "tau": 0.5, "macs": None},
        {"method": "a", "tau": 0.4, "macs": None},
    ]
    methods = by_method(rows)

    assert list(methods) == ["a", "b"]
    found = over_seeds(methods["a"])
    assert found["tau"] == Spread(pytest.approx(0.3), pytest.approx(0.02**0.5))
    assert found["macs"] == Spread(10.0, None)
    assert "regret" not in found
    assert over_seeds(methods["b"]) == {"tau": Spread(0.5, None)}


def test_a_truth_without_costs_tells_the_accuracy_and_no_regret(tmp_path: Path) -> None:
    store = finish(build_run(tmp_path, TABLE))
    store.append("outcomes", [outcome(KEYS[0], 1)], "outcomes")
    row = run_row(store, SETTINGS, truth=replace(truth_of(), macs=None))

    assert row["true_accuracy"] is not None
    assert row.get("regret") is None
