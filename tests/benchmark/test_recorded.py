"""Scores of recorded runs: they are those of the run itself, or what its search recorded."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from raynas.benchmark import recorded, recorded_spaces
from raynas.benchmark.recorded import recorded_scores
from raynas.errors import UserError
from raynas.recording import rows as table_rows
from raynas.search.indicators import Indicators, score_table
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.scores import IndicatorScore
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from tests.builders import build_indicators, build_space, shipped_space
from tests.macro import EVERY, bare_truth, build_run, build_table, indicator_rows, sampled

FORMULAS: tuple[IndicatorScore, ...] = get_args(IndicatorScore)
SPACES = {
    "nas_bench_macro": shipped_space("nas_bench_macro"),
    "identity added": build_space("RNNRN", identity=True),
    "fixed identity": build_space("NRINN", identity=True),
}


def ledger(space: SearchSpace) -> list[dict[str, Any]]:
    sizes = max(block.size for block in space.blocks)
    return table_rows.ledger_rows(space, np.ones((space.num_layers, sizes), dtype=np.int64))


def score_again(
    space: SearchSpace, indicators: Indicators, score: IndicatorScore, bonus: float = 0.0
) -> tuple[Any, Any]:
    """Return the score table of a run, and that which its tables give."""
    rows = table_rows.indicator_rows(space, indicators, 3)
    found = recorded_spaces.recorded_space(space.name, [*rows, *ledger(space)])
    settings = SearchSettings(score=score, layer_weight_sign=-1, path_bonus=bonus)
    told = recorded.recorded_indicators(rows, found)
    return score_table(indicators, space, settings), score_table(told, found, settings)


@pytest.mark.parametrize("score", FORMULAS)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_recorded_run_gives_the_scores_that_the_run_gave(
    space: SearchSpace, score: IndicatorScore
) -> None:
    for bonus in (0.0, 0.7):
        given, found = score_again(space, build_indicators(space), score, bonus)
        for row, again in zip(given, found, strict=True):
            np.testing.assert_array_equal(again, row)


@pytest.mark.parametrize("score", ["bnnas", "taylor"])
def test_identity_keeps_its_index_where_there_is_no_layer_indicator(score: IndicatorScore) -> None:
    space = SPACES["nas_bench_macro"]
    indicators = replace(build_indicators(space), layer=np.full(8, np.nan))
    given, found = score_again(space, indicators, score)

    for row, again in zip(given, found, strict=True):
        np.testing.assert_array_equal(again, row)


def test_the_recorded_space_has_the_candidates_and_stages_of_the_run() -> None:
    for space in SPACES.values():
        found = recorded_spaces.recorded_space(space.name, ledger(space))
        assert found.stages == space.stages
        assert [[each.name for each in block.candidates] for block in found.blocks] == [
            [each.name for each in block.candidates] for block in space.blocks
        ]


def test_a_candidate_of_a_normal_layer_without_rows_is_its_identity() -> None:
    space = SPACES["nas_bench_macro"]
    rows = table_rows.indicator_rows(space, build_indicators(space), 3)
    blocks = [row for row in rows if row["kind"] != "taylor"]

    found = recorded_spaces.recorded_space(space.name, blocks)
    assert [block.identity for block in found.blocks] == [None, 0, None, 0, 0, None, 0, 0]


def test_a_candidate_of_a_reduction_layer_without_rows_is_refused() -> None:
    rows = [
        row for row in indicator_rows(build_table()) if (row["layer"], row["candidate"]) != (2, 1)
    ]

    with pytest.raises(UserError, match="layer 2: no rows of candidate 1 in the run's tables yet"):
        recorded_spaces.recorded_space("nas_bench_macro", rows)


def test_a_space_without_any_rows_is_refused() -> None:
    with pytest.raises(UserError, match="no candidates in the run's tables yet"):
        recorded_spaces.recorded_space("nas_bench_macro", [])


def test_a_recorded_operation_cannot_be_built() -> None:
    with pytest.raises(TypeError, match="k3e3 was read from a table"):
        recorded_spaces.Recorded("k3e3").build(3, 4, 1)


def test_the_last_step_counts(tmp_path: Path) -> None:
    store = build_run(tmp_path, build_table(1))
    store.append("indicators", indicator_rows(build_table(2), step=10), "001")
    keys = bare_truth(sampled())

    newest = build_run(tmp_path / "newest", build_table(2))
    settings = SearchSettings(score="taylor")
    np.testing.assert_array_equal(
        recorded_scores(store, settings, keys), recorded_scores(newest, settings, keys)
    )


def test_a_score_of_a_key_is_the_sum_of_what_its_digits_choose(tmp_path: Path) -> None:
    table = build_table()
    settings = SearchSettings(score="taylor")
    scores = recorded_scores(build_run(tmp_path, table), settings, bare_truth(EVERY))

    key = Architecture([0, 2, 0, 1, 2, 1, 0, 0])
    assert scores[EVERY.index(key)] == pytest.approx(table[range(8), key].sum())


def test_a_score_that_is_no_formula_is_known_of_what_the_search_scored(tmp_path: Path) -> None:
    one, two, three, four = sampled(4)
    store = build_run(tmp_path, build_table(), score="naswot", scored={three: 7.5, one: None})

    settings = recorded.recorded_settings(store.rows("runs")[0])
    assert settings.score == "naswot"
    found = recorded_scores(store, settings, bare_truth([one, two, three, four]))
    np.testing.assert_array_equal(found, [np.nan, np.nan, 7.5, np.nan])


def test_settings_that_were_not_recorded_have_their_default_and_unknown_ones_are_ignored() -> None:
    run = {"settings": '{"search": {"score": "zscore", "moons": 3}}'}

    assert recorded.recorded_settings(run) == SearchSettings(score="zscore")
    assert recorded.recorded_settings({"settings": None}) == SearchSettings()
    assert recorded.recorded_settings(run, "bnnas") == SearchSettings(score="bnnas")


def test_a_score_of_indicators_is_refused_of_a_run_whose_batch_norms_did_not_learn() -> None:
    pretrain, search = PretrainSettings(trainable="weights"), SearchSettings(score="accuracy")
    run = {"run": "mine", "settings": Settings(pretrain=pretrain, search=search).to_json()}

    assert recorded.recorded_settings(run) == search
    with pytest.raises(UserError, match=r"run mine: --score bnnas .* none of its own learnt"):
        recorded.recorded_settings(run, "bnnas")


def test_a_run_without_indicators_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows in table indicators yet; pretraining writes"):
        recorded_scores(build_run(tmp_path), SearchSettings(), bare_truth(EVERY))


def test_a_differentiable_search_has_no_scores_and_says_who_shows_what_it_has(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=r"has no score that ranks .* analysis/gates.py"):
        recorded_scores(
            build_run(tmp_path), SearchSettings(strategy="differentiable"), bare_truth(EVERY)
        )


@pytest.mark.parametrize(
    ("space", "keys", "why"),
    [
        ("nas_bench_macro", ["0-2-1"], "its architectures have 8 choices, those of the file 3"),
        ("nas_bench_macro", ["0-2-1-0-3-0-0-0"], "those of the file 1 3 2 1 4 1 1 1"),
        ("nas_bench_macro", ["0-1-1-0-1-0-0-0"], "those of the file 1 2 2 1 2 1 1 1"),
        ("identity added", ["0-2-1-0-3"], "identity is not candidate 0 of layer 1"),
    ],
)
def test_keys_of_another_space_are_refused(space: str, keys: list[str], why: str) -> None:
    architectures = [Architecture.parse(key) for key in keys]
    wanted = f"^here: the truth file .* its space .*{why}; give a run on the file's space$"

    with pytest.raises(UserError, match=wanted):
        recorded_spaces.refuse_misfit(bare_truth(architectures), SPACES[space], "here")
