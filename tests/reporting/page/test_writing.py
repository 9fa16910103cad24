"""The page as text: safe, small, and there however far the run has come."""

import re
from pathlib import Path

import pytest

from raynas.errors import StageError, UserError
from raynas.reporting.page import writing
from raynas.reporting.page.writing import make_page, reporting
from raynas.reporting.summary import PAGE
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from tests.reporting.page.runs import make_run, outcome

HOSTILE = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
METHODS = Path("none")


def test_hostile_names_paths_settings_and_errors_stay_text(tmp_path: Path) -> None:
    rows = [outcome(1), outcome(2, HOSTILE, status="failed", error=HOSTILE)]
    plan = {"classes": [HOSTILE], "channels": 1, "resolution": 8, "train": 1, "val": 1, "test": 1}
    scored = [{"order": 0, "generation": 0, "architecture": "1-0", "origin": HOSTILE, "score": 1.0}]
    ledger = [{"layer": 0, "candidate": 1, "operation": HOSTILE, "updates": 1}]
    store = make_run(
        tmp_path / HOSTILE.replace("/", ""),
        settings=Settings(data=HOSTILE, space=HOSTILE),
        plan=plan,
        outcomes=rows,
        architectures=scored,
        ledger=ledger,
    )
    page = make_page(store, METHODS)

    assert page.count("<script") == page.count("</script>") == 1
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;alert(1)") > 6
    assert " on" not in "".join(re.findall(r"<[^>]*\s(onerror|onload)[^>]*>", page))


def test_the_policy_allows_the_page_s_own_style_and_script_and_nothing_else(tmp_path: Path) -> None:
    page = make_page(make_run(tmp_path), METHODS)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (style,), (script,) = (
        re.findall(rf"<{of}>(.*?)</{of}>", page, re.DOTALL) for of in ("style", "script")
    )

    assert policy.startswith("default-src 'none'; ")
    assert writing.policy_hash(style) in policy
    assert writing.policy_hash(script) in policy
    assert "unsafe" not in policy
    assert not re.findall(r"<[^>]*\sstyle=", page)


def test_a_run_that_has_only_begun_says_what_is_still_to_come(tmp_path: Path) -> None:
    page = make_page(make_run(tmp_path, finished=False, plan={"steps": 200}), METHODS)

    assert "No network has been trained to its end yet: pretraining has not begun" in page
    assert page.count("<h2>Still to come</h2>") == 1
    assert "All outcomes, Pareto front, Search" in page
    assert "nobody is at work on it" in page
    assert "<img" not in page


def test_a_run_at_work_tells_its_step_and_how_to_make_the_page_anew(tmp_path: Path) -> None:
    steps = [{"step": at, "loss": 2.0 - at / 40} for at in range(40)]
    store = make_run(tmp_path, finished=False, plan={"steps": 200}, steps=steps)
    store.write_bytes("lock.json", b"{}")  # of nobody knows whom
    page = make_page(store, METHODS)

    assert "<b>The run goes on:</b> pretraining is at step 40 of 200." in page
    assert f"python analysis/report.py {store.uri}" in page
    assert page.count("<img ") == page.count("<source ") == 1  # the loss, wide and narrow


def test_a_run_of_an_older_raynas_lacks_columns_and_has_a_page(tmp_path: Path) -> None:
    store = RunStore.create(str(tmp_path / "old"))
    store.append("runs", [{"method": "spos", "space": "mine", "seed": 7}], "run")

    assert "mine" in make_page(store, METHODS)


@pytest.mark.slow
def test_a_large_run_has_a_page_of_less_than_a_megabyte(tmp_path: Path) -> None:
    names = ["-".join(map(str, divmod(at, 7))) + "-0" * 18 for at in range(1000)]
    rows = [outcome(at + 1, name, macs=10**8 + at) for at, name in enumerate(names)]
    epochs = [
        {
            "trial": name,
            "architecture": name,
            "epoch": epoch,
            "train_loss": 1.0 / epoch,
            "val_loss": 1.0,
            "val_accuracy": 0.5 + epoch / 100,
        }
        for name in names
        for epoch in (1, 2, 3)
    ]
    scored = [
        {
            "order": at,
            "generation": at // 500,
            "architecture": "0-0",
            "origin": "mutation",
            "score": at % 997,
        }
        for at in range(100_000)
    ]
    page = make_page(
        make_run(tmp_path, outcomes=rows, trials=epochs, architectures=scored), METHODS
    )

    assert len(page.encode()) < 1_000_000
    assert "800 further networks are in" in page
    assert "950 further networks are not drawn" in page


def test_the_same_run_gives_the_same_page_but_for_the_time(tmp_path: Path) -> None:
    store = make_run(tmp_path, outcomes=[outcome(1), outcome(2, "0-1")])
    first, second = (
        re.sub(r"made on [-\d]+ [\d:]+ UTC", "", make_page(store, METHODS)) for _ in range(2)
    )

    assert first == second


def test_the_report_is_written_when_a_run_ends_and_when_a_stage_fails(tmp_path: Path) -> None:
    store = make_run(tmp_path)
    with reporting(store, METHODS, pytest.fail):
        assert not store.has(PAGE)
    assert store.has(PAGE)

    store.delete(PAGE)
    with pytest.raises(StageError, match="no luck"), reporting(store, METHODS, pytest.fail):
        raise StageError("no luck")
    assert store.has(PAGE)


@pytest.mark.parametrize("stop", [UserError, KeyboardInterrupt])
def test_a_run_that_was_refused_or_interrupted_writes_none(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    store = make_run(tmp_path)

    with pytest.raises(stop), reporting(store, METHODS, pytest.fail):
        raise stop("x")
    assert not store.has(PAGE)


def test_a_report_that_cannot_be_made_is_a_sentence_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise ZeroDivisionError("of a bug")

    monkeypatch.setattr(writing, "make_page", fail)
    said: list[str] = []
    with reporting(make_run(tmp_path), METHODS, said.append):
        pass

    assert said == ["warning: no report.html: ZeroDivisionError: of a bug"]


def test_uneven_classes_have_balanced_accuracies(tmp_path: Path) -> None:
    counts = {part: [10, 90] for part in ("train", "val", "test")}
    plan = {"classes": ["a", "b"], "class_counts": counts, "channels": 1, "resolution": 8}
    rows = [outcome(1, val_balanced_accuracy=0.625, test_balanced_accuracy=0.5)]
    page = make_page(make_run(tmp_path, plan=plan, outcomes=rows), METHODS)
    even = make_page(make_run(tmp_path / "even", outcomes=rows), METHODS)

    assert "Balanced test" in page
    assert "62.50 %" in page
    assert ">Balanced test<" not in even


def test_a_front_is_drawn_for_each_cost_that_was_minimised(tmp_path: Path) -> None:
    settings = Settings(
        search=SearchSettings(objectives="score,latency,params"), latency_table="t.parquet"
    )
    rows = [
        outcome(1, "1-0", latency_ms=2.5, params=3000, val_accuracy=0.9),
        outcome(2, "0-0", latency_ms=0.75, params=4000, val_accuracy=0.8),
    ]
    page = make_page(make_run(tmp_path, settings=settings, outcomes=rows), METHODS)

    assert "Accuracy against latency" in page
    assert "80.00 % at 750us to 90.00 % at 2.5ms" in page
    assert "Accuracy against parameters" in page
    assert "1 of 2 trained networks lies on the validation front: 90.00 % at 3k parameters" in page
    assert "Accuracy against multiply-adds" not in page


def test_a_run_that_trained_on_all_images_at_once_has_a_page_with_dashes(tmp_path: Path) -> None:
    final = outcome(1, trained_on="all", val_accuracy=None)
    epochs = [
        {
            "trial": "t",
            "architecture": "1-0",
            "epoch": epoch,
            "train_loss": 1.0 / epoch,
            "trained_on": "all",
        }
        for epoch in (1, 2)
    ]
    page = make_page(make_run(tmp_path, outcomes=[final], trials=epochs), METHODS)

    assert "72.50" in page
    assert "Training loss" in page
    assert "nan %" not in page
    assert "highest validation accuracy" not in page
