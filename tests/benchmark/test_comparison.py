"""Runs beside yardsticks: on the same networks, repetitions together, and what is refused."""

import io
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raynas.benchmark import ranking, yardsticks
from raynas.benchmark.comparison import Comparison, compare
from raynas.benchmark.recorded_spaces import misfit
from raynas.benchmark.truths.reading import parse_truths
from raynas.benchmark.truths.truth import Truth
from raynas.errors import UserError
from raynas.search.indicators import AdditiveScorer
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.scores import IndicatorScore
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from tests.builders import shipped_cells
from tests.macro import (
    REDUCTIONS,
    build_run,
    build_table,
    build_truth,
    gate_rows,
    indicator_rows,
    sampled,
)

TABLE = build_table()
KEYS = sampled(60)
TRUTH = parse_truths(json.dumps(build_truth(KEYS, TABLE)).encode(), "truth.json")


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardsticks, "_DRAWS", 5)  # of random scores, which take time


def compared(*stores: RunStore, formula: IndicatorScore | None = None) -> Comparison:
    (found,) = compare(stores, [TRUTH], formula)
    return found


def names(comparison: Comparison, kind: str) -> list[str]:
    return [row.name for row in comparison.rows if row.kind == kind]


def test_a_run_that_found_the_planted_table_ranks_perfectly(tmp_path: Path) -> None:
    found = compared(build_run(tmp_path / "run-a", TABLE))

    assert found.rows[0].name == "run-a: fair_taylor, taylor, seed 0"
    assert found.rows[0].estimate.mean["tau"] == pytest.approx(1.0)
    assert (found.left_out, found.visited) == (0, ())
    np.testing.assert_allclose(found.scores[0], (found.truth.accuracy - 50) / 4)


def test_yardsticks_and_ceilings_stand_below_every_run(tmp_path: Path) -> None:
    found = compared(build_run(tmp_path, TABLE))

    assert [row.kind for row in found.rows] == ["run", *["yardstick"] * 5]
    assert names(found, "yardstick") == list(yardsticks.yardsticks(found.truth))


def test_runs_that_differ_in_the_seed_alone_have_a_mean_with_an_interval(tmp_path: Path) -> None:
    stores = [build_run(tmp_path / str(seed), build_table(seed), seed=seed) for seed in range(3)]
    found = compared(*stores)

    each = [row.estimate.mean["tau"] for row in found.rows[:3]]
    (mean,) = [row for row in found.rows if row.kind == "mean"]
    assert mean.name == "fair_taylor, taylor: mean of 3 runs"
    assert mean.estimate.mean["tau"] == pytest.approx(np.mean(each))
    assert mean.estimate.low is not None
    assert min(each) <= mean.estimate.low["tau"] < np.mean(each)


def test_a_run_from_before_a_setting_was_there_is_a_repetition_of_one_with_its_default(
    tmp_path: Path,
) -> None:
    stores = [build_run(tmp_path / str(seed), TABLE, seed=seed) for seed in (0, 1)]
    (row,) = stores[0].rows("runs")
    older = json.loads(row["settings"])
    del older["search"]["path_bonus"], older["differentiable"]
    stores[0].append(
        "runs", [row | {"settings": json.dumps(older)}], part=stores[0].parts("runs")[0]
    )

    assert names(compared(*stores), "mean") == ["fair_taylor, taylor: mean of 2 runs"]


def test_runs_of_other_settings_are_no_repetitions(tmp_path: Path) -> None:
    longer = Settings(pretrain=PretrainSettings(epochs=40))
    stores = [
        build_run(tmp_path / "a", TABLE),
        build_run(tmp_path / "b", TABLE, seed=1, settings=longer),
    ]

    assert names(compared(*stores), "mean") == []


def test_a_formula_replaces_the_score_of_every_run(tmp_path: Path) -> None:
    other = build_run(tmp_path / "other", TABLE, score="naswot")
    found = compared(build_run(tmp_path / "run-a", TABLE), other, formula="taylor")

    assert names(found, "run")[1] == "other: fair_taylor, taylor, seed 0"
    assert found.rows[1].estimate.mean["tau"] == pytest.approx(1.0)
    assert found.visited == ()


def test_with_visited_architectures_everything_is_measured_on_those_alone(tmp_path: Path) -> None:
    scored = {key: float(sum(key)) for key in [*KEYS[10:40], *sampled(60, seed=1)]}
    visiting = build_run(tmp_path / "visiting", score="naswot", scored=scored)
    found = compared(build_run(tmp_path / "run-a", TABLE), visiting)

    both = [key in scored for key in KEYS]
    truth = TRUTH.only(np.array(both))
    assert set(found.truth.architectures) == set(KEYS) & set(scored)
    assert found.left_out == 60 - sum(both)
    assert found.visited == ("visiting: fair_taylor, naswot, seed 0",)
    for row in found.rows[:2]:
        assert row.estimate.mean["accuracy_any"] <= truth.accuracy.max()
    assert found.rows[1].estimate.mean["tau"] == ranking.tau(
        truth.merged([sum(key) for key in truth.architectures]), truth.accuracy
    )
    trivial = {row.name: row.estimate for row in found.rows if row.kind == "yardstick"}
    assert trivial["depth"].mean["tau"] == ranking.tau(truth.depth, truth.accuracy)


def test_architectures_without_a_finite_score_are_left_out(tmp_path: Path) -> None:
    table = TABLE.copy()
    table[3, 2] = np.nan
    found = compared(build_run(tmp_path, table))

    assert found.left_out == sum(key[3] == 2 for key in KEYS) > 0
    assert found.rows[0].estimate.mean["tau"] == pytest.approx(1.0)


def test_too_few_scored_architectures_are_refused_at_the_run_where_it_happens(
    tmp_path: Path,
) -> None:
    first, second = (
        build_run(tmp_path / name, score="naswot", scored=dict.fromkeys(keys, 1.0))
        for name, keys in (("first", KEYS[:20]), ("second", KEYS[11:]))
    )
    wanted = (
        r"second: 9 of the architectures in truth\.json have a score in it and in the runs named "
        "before it, wanted at least 10"
    )
    with pytest.raises(UserError, match=wanted):
        compared(first, second)

    few = build_run(tmp_path / "few", score="naswot", scored={KEYS[0]: 1.0})
    with pytest.raises(
        UserError, match=r"few: 1 of the architectures in .* have a score in it, wanted"
    ):
        compared(few)


def test_runs_on_two_spaces_are_refused(tmp_path: Path) -> None:
    other = build_run(tmp_path / "other", TABLE, space="mobilenet_v2")

    with pytest.raises(UserError, match="its space mobilenet_v2 is not nas_bench_macro, that of"):
        compared(build_run(tmp_path / "run-a", TABLE), other)


def test_a_truth_of_too_few_networks_is_refused(tmp_path: Path) -> None:
    few = TRUTH.only(np.arange(60) < 9)

    with pytest.raises(UserError, match=r"truth\.json: got 9 networks, wanted at least 10"):
        compare([build_run(tmp_path, TABLE)], [few])


def test_a_space_named_by_its_file_is_the_same_space(tmp_path: Path) -> None:
    other = build_run(tmp_path / "other", TABLE, space="search_spaces/nas_bench_macro.py")

    assert len(names(compared(build_run(tmp_path / "run-a", TABLE), other), "run")) == 2


class TestPathBonus:
    @pytest.fixture
    def run(self, tmp_path: Path) -> RunStore:
        """Return a run whose blocks have twice the indicator of identities."""
        store = build_run(tmp_path / "run-a", TABLE)
        store.append("indicators", gate_rows(2.0), "gates")
        return store

    def test_each_weight_makes_a_row_of_every_run(self, run: RunStore, tmp_path: Path) -> None:
        other = build_run(tmp_path / "other", TABLE, seed=1)
        other.append("indicators", gate_rows(3.0), "gates")
        found = compare([run, other], [TRUTH], bonuses=[0, 0.5])[0]

        assert names(found, "run") == [
            "run-a: fair_taylor, taylor, seed 0",
            "other: fair_taylor, taylor, seed 1",
            "run-a: fair_taylor, taylor + 0.5 path, seed 0",
            "other: fair_taylor, taylor + 0.5 path, seed 1",
        ]
        assert names(found, "mean") == [
            "fair_taylor, taylor: mean of 2 runs",
            "fair_taylor, taylor + 0.5 path: mean of 2 runs",
        ]

    def test_the_weight_times_the_mean_log_probability_is_added(self, run: RunStore) -> None:
        without, within = compare([run], [TRUTH], bonuses=[0, 3.0])[0].scores
        probability = 2 / (2 + 11**-0.1)
        pattern = np.delete(np.array(KEYS), REDUCTIONS, axis=1) != 0
        bonus = np.where(pattern, math.log(probability), math.log(1 - probability)).mean(axis=1)
        truth = TRUTH

        np.testing.assert_allclose(within, without + 3 * truth.merged(bonus))

    def test_without_a_weight_it_is_the_recorded_one(self, run: RunStore, tmp_path: Path) -> None:
        settings = Settings(method="fair_taylor", search=SearchSettings(path_bonus=3.0))
        store = RunStore.create(str(tmp_path / "recorded"))
        row = run.rows("runs")[0] | {"run": "recorded"}
        told = replace(settings, search=replace(settings.search, score="taylor")).to_json()
        store.append("runs", [row | {"settings": told}], "run")
        store.append("indicators", run.rows("indicators"), "000")
        given = compare([run], [TRUTH], bonuses=[3.0])[0]
        found = compare([store], [TRUTH])[0]

        np.testing.assert_array_equal(found.scores[0], given.scores[0])
        assert names(found, "run") == ["recorded: fair_taylor, taylor + 3 path, seed 0"]

    def test_a_run_without_gates_or_without_a_sum_is_refused(self, tmp_path: Path) -> None:
        bare = build_run(tmp_path / "bare", TABLE)
        single = build_run(tmp_path / "single", score="naswot", scored={KEYS[0]: 1.0})

        with pytest.raises(UserError, match="no layer has both an identity to choose and"):
            compare([bare], [TRUTH], bonuses=[0.5])
        with pytest.raises(UserError, match=r"run single: .* its score is naswot; give --score"):
            compare([single], [TRUTH], bonuses=[0.5])
        assert compare([bare], [TRUTH], bonuses=[0.0])[0].left_out == 0


SHALLOW = build_table()[:4]
"""What candidates of a space of four layers add to a score."""
LAYERS = [Architecture(choices) for choices in itertools.product(range(3), repeat=4)]


def plain_truth(name: str, columns: Mapping[str, Sequence[Any]]) -> Truth:
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), sink)
    return parse_truths(sink.getvalue(), name)


def shallow_truth(**more: Sequence[Any]) -> Truth:
    """Return a plain truth of a space of four layers."""
    accuracy = 0.5 + 0.02 * AdditiveScorer(list(SHALLOW))(LAYERS)
    texts = list(map(str, LAYERS))
    return plain_truth("shallow.parquet", {"architecture": texts, "accuracy": accuracy} | more)


class TestSeveralTruths:
    def test_each_run_is_compared_on_the_truths_of_its_space(self, tmp_path: Path) -> None:
        deep = build_run(tmp_path / "deep", TABLE)
        shallow = build_run(tmp_path / "shallow", SHALLOW, space="small_mobile")
        first, second = compare([shallow, deep], [TRUTH, shallow_truth()])

        assert names(first, "run") == ["deep: fair_taylor, taylor, seed 0"]
        assert names(second, "run") == ["shallow: fair_taylor, taylor, seed 0"]
        assert (first.space, second.space) == ("nas_bench_macro", "small_mobile")
        for found in (first, second):
            assert found.rows[0].estimate.mean["tau"] == pytest.approx(1.0)

    def test_a_truth_of_no_runs_space_and_a_run_of_no_truths_space_are_refused(
        self, tmp_path: Path
    ) -> None:
        deep = build_run(tmp_path / "deep", TABLE)
        shallow = build_run(tmp_path / "shallow", SHALLOW, space="small_mobile")

        with pytest.raises(UserError, match=r"deep: the truth file shallow\.parquet does not desc"):
            compare([deep], [TRUTH, shallow_truth()])
        with pytest.raises(UserError, match=r"shallow: .* choices, those of the file 8; give a"):
            compare([deep, shallow], [TRUTH])

    def test_an_architecture_that_the_space_has_not_is_named(self, tmp_path: Path) -> None:
        keys = [*map(str, LAYERS), "0-3-0-0"]
        unknown = plain_truth("own.csv", {"architecture": keys, "accuracy": [0.5] * len(keys)})

        with pytest.raises(UserError, match="0-3-0-0 has candidate 3 in layer 1 of 3"):
            compare([build_run(tmp_path, SHALLOW)], [unknown])


class TestPlainTruth:
    def test_depth_costs_and_relu_inputs_come_from_the_run(self, tmp_path: Path) -> None:
        run = build_run(tmp_path / "run-a", SHALLOW)
        run.append("architectures", [cost_row(key) for key in LAYERS[::2]], "costs")
        rows = [
            row | {"kind": "relu_inputs", "step": 0, "value": 10.0 * row["candidate"]}
            for row in indicator_rows(SHALLOW)
        ]
        run.append("indicators", rows, "relu")
        (found,) = compare([run], [shallow_truth()])

        truth = found.truth
        assert truth.skips == (None, 0, None, 0)  # as its layers reduce and have identities
        assert truth.macs is not None
        assert truth.relu_inputs is not None
        assert truth.macs.tolist() == [cost_row(key)["macs"] for key in truth.architectures]
        assert truth.relu_inputs.tolist() == [10 * sum(key) for key in truth.architectures]
        assert "ReLU inputs" in names(found, "yardstick")
        assert found.notes[0] == "MACs are those that run run-a has counted"

    def test_costs_of_the_file_come_first(self, tmp_path: Path) -> None:
        run = build_run(tmp_path / "run-a", SHALLOW)
        run.append("architectures", [cost_row(key) for key in LAYERS], "costs")
        (found,) = compare([run], [shallow_truth(macs=range(1, 82))])

        assert found.truth.macs is not None
        assert found.truth.macs.tolist() == list(range(1, 82))
        assert found.notes == ["parameters are those that run run-a has counted"]

    def test_without_costs_there_is_still_a_comparison(self, tmp_path: Path) -> None:
        (found,) = compare([build_run(tmp_path, SHALLOW)], [shallow_truth()])

        assert found.limits == {"any": math.inf}
        assert names(found, "yardstick") == ["depth", "random positive scores"]


def cost_row(key: Architecture) -> dict[str, Any]:
    """Return a row of a scored architecture, with costs that add up over layers."""
    return {"architecture": str(key), "macs": 1000 + 10 * sum(key) + key[0], "params": 5 + key[2]}


def test_cells_are_compared_by_what_was_scored_whether_keys_or_genotypes_name_them(
    tmp_path: Path,
) -> None:
    space = shipped_cells("darts_cells")
    rng = np.random.default_rng(0)
    keys = [
        Architecture(int(rng.integers(block.size)) for block in space.blocks) for _ in range(30)
    ]
    scored = {key: float(score) for score, key in enumerate(keys)}
    run = build_run(tmp_path, score="naswot", space="darts_cells", scored=scored)
    rows = [
        {"architecture": str(key), "score": score, "macs": 9 + int(score), "params": 7}
        for key, score in scored.items()
    ]
    run.append("architectures", rows, "000")
    texts = [str(key) if key[0] % 2 else space.genotype_text(key) for key in keys]
    truth = plain_truth("cells.csv", {"architecture": texts, "accuracy": np.linspace(90, 97, 30)})
    (found,) = compare([run], [truth])

    assert found.left_out == 0
    assert found.rows[0].estimate.mean["tau"] == pytest.approx(1.0)
    assert names(found, "yardstick") == [
        *("MACs", "params", "log params + log MACs", "random positive scores")
    ]
    other = plain_truth("other.csv", {"architecture": ["0-1"] * 12, "accuracy": [0.5] * 12})
    with pytest.raises(UserError, match=r"other\.csv: got 1 networks"):
        compare([run], [other])
    assert misfit(other, run) == "its architectures have 8 choices, those of the file 2"
