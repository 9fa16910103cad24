"""Runs of several seeds on the same test images, pooled."""

from pathlib import Path

import numpy as np
import pytest

from raynas.recording.answers import Answering, write_answers
from raynas.reporting.answers import recorded_answers
from raynas.storage.run_store import RunStore
from raynas.training.answers import Answers
from tests.bench.pooled import main, pairs_against, pairs_of, pool
from tests.reporting.page.runs import make_run, outcome

IMAGES = 400


def run_of(folder: Path, seed: int, label: int = 0) -> RunStore:
    """Return a run whose winner is right on nine of ten images, the rival on eight, by chance."""
    rival = {"rival": "random", "network": "0-1", "macs": 10_000, "status": "finished"}
    store = make_run(folder, outcomes=[outcome(1)], rivals=[rival])
    rng = np.random.default_rng(seed)
    for part, share in (("1-0", 0.9), ("rival-random", 0.8)):
        labels, shares = np.full(IMAGES, label, np.int32), np.ones(IMAGES, np.float32)
        answer = np.where(rng.random(IMAGES) < share, label, label + 1).astype(np.int32)
        answers = Answers(labels, answer, shares, shares, None)
        write_answers(store, Answering(part, part, part != "1-0", "train"), {"test": answers})
    return store


def test_an_image_s_difference_is_the_mean_over_runs_and_more_runs_narrow_the_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = [run_of(tmp_path / str(seed), seed) for seed in range(3)]
    pairs = pairs_of(stores)["random"]
    found, first = pool(pairs), pool(pairs[:1])
    same = pool([pairs[0]] * 3)  # three times the same network says no more than once

    assert found.single == tuple(float(pair.differences.mean()) for pair in pairs)
    assert found.difference == pytest.approx(np.mean(found.single))
    assert found.accuracies[0] - found.accuracies[1] == pytest.approx(found.difference)
    assert np.diff(found.interval) < 0.75 * np.diff(first.interval)
    assert same.interval == pytest.approx(first.interval, abs=2e-3)
    assert main([store.uri for store in stores]) == 0
    printed = capsys.readouterr().out
    (row,) = (line for line in printed.splitlines() if line.startswith("random"))
    assert row.split()[:4] == ["random", "3", "12.3k", "10k"]
    assert "400 test images" in printed


def test_runs_on_other_images_or_without_rivals_or_answers_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = run_of(tmp_path / "a", 0), run_of(tmp_path / "b", 0, label=1)
    older = make_run(tmp_path / "c", outcomes=[outcome(1)])

    assert main([one.uri, other.uri]) == 2
    assert "their test images differ" in capsys.readouterr().err
    assert main([older.uri]) == 2
    assert "no answers there" in capsys.readouterr().err
    one.drop("rivals", lambda _: True)
    assert main([one.uri]) == 2
    assert "no rivals with answers" in capsys.readouterr().err


def test_runs_are_compared_with_those_of_the_same_seeds_under_another_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = run_of(tmp_path / "a", 0), run_of(tmp_path / "b", 7)
    strange = run_of(tmp_path / "c", 0, label=1)
    (pair,) = pairs_against([one], [other])
    found = [recorded_answers(run, run.rows("outcomes")[0]) for run in (one, other)]
    rights = [each.right.mean() for each in found if each is not None]

    assert pair.differences.mean() == pytest.approx(rights[0] - rights[1])
    assert main([one.uri, "against", other.uri]) == 0
    printed = capsys.readouterr().out
    (row,) = (line for line in printed.splitlines() if line.startswith("the other"))
    assert f"{100 * rights[1]:.2f}" in row
    assert main([one.uri, "against", strange.uri]) == 2
    assert "their test images differ" in capsys.readouterr().err
    assert main([one.uri, other.uri, "against", other.uri]) == 2
    assert "2 before against, 1 behind it" in capsys.readouterr().err
