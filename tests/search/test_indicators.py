"""Scores F0 to F5 from block and layer indicators: golden values, degenerate values, sums."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import StageError
from raynas.nets.operations import Identity
from raynas.search.indicators import AdditiveScorer, Indicators, read_indicators, score_table
from raynas.settings.scores import ScoreName
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock, SearchSpace
from raynas.spaces.parameter_layout import Segment
from tests.builders import (
    Named,
    build_block,
    build_indicators,
    build_space,
    indicators_of,
    score_of,
)

NAN = math.nan
FORMULAS: tuple[ScoreName, ...] = (
    "bnnas",
    "identity_ratio",
    "layer_weighted",
    "log_ratio",
    "zscore",
    "additive",
)
EVERY: tuple[ScoreName, ...] = (*FORMULAS, "taylor", "saliency")


def golden() -> tuple[Indicators, SearchSpace]:
    """Return a stage of a reduction layer and two normal ones, which hold identity at index 3.

    The layer indicators are 2 and 6, so their mean in the stage is 4 and the weights for s = 1
    are 1/2 and 3/2. Each layer's mean block indicator is 2.
    """
    block = (
        np.array([1.0, 2.0, 3.0]),
        np.array([1.0, 2.0, 3.0, NAN]),
        np.array([4.0, 1.0, 1.0, NAN]),
    )
    space = build_space("RNN", identity=True)
    return indicators_of(block, np.array([NAN, 2.0, 6.0])), space


SD1, SD2 = math.sqrt(2 / 3), math.sqrt(2)  # of (1, 2, 3) and of (4, 1, 1), over the population

GOLDEN: dict[ScoreName, list[list[float]]] = {
    "bnnas": [[1, 2, 3], [1, 2, 3, 0], [4, 1, 1, 0]],
    "identity_ratio": [[0.5, 1, 1.5], [0.5, 1, 1.5, 1], [4 / 6, 1 / 6, 1 / 6, 1]],
    "layer_weighted": [
        [0.5, 1, 1.5],
        [0.25, 0.5, 0.75, 0.5 * 2 / 2],
        [3, 0.75, 0.75, 1.5 * 6 / 2],
    ],
    "log_ratio": [
        [math.log(0.5), 0, math.log(1.5)],
        [math.log(0.5), 0, math.log(1.5), 0],
        [math.log(4 / 6), math.log(1 / 6), math.log(1 / 6), 0],
    ],
    "zscore": [
        [-1 / SD1, 0, 1 / SD1],
        [-0.5 / SD1, 0, 0.5 / SD1, 0.5 * (2 - 2) / SD1],
        [1.5 * 2 / SD2, -1.5 / SD2, -1.5 / SD2, 1.5 * (6 - 2) / SD2],
    ],
    "additive": [[1, 2, 3], [1, 2, 3, 2], [4, 1, 1, 6]],
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_score_table_holds_what_the_formula_says(formula: ScoreName) -> None:
    indicators, space = golden()
    table = score_table(indicators, space, SearchSettings(score=formula))

    for row, expected in zip(table, GOLDEN[formula], strict=True):
        np.testing.assert_allclose(row, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("sign", "weights"), [(1, (0.5, 1.5)), (0, (1, 1)), (-1, (2, 2 / 3))])
@pytest.mark.parametrize("formula", ["layer_weighted", "zscore"])
def test_the_sign_is_the_exponent_of_the_layer_weight(
    formula: ScoreName, sign: int, weights: tuple[float, float]
) -> None:
    indicators, space = golden()
    settings = SearchSettings(score=formula, layer_weight_sign=sign)  # type: ignore[arg-type] # -1, 0, 1
    first, second = score_table(indicators, space, settings)[1:]
    plain = {"layer_weighted": (0.5, 2.0), "zscore": (-1 / SD1, 2 / SD2)}[formula]

    assert first[0] == pytest.approx(weights[0] * plain[0])
    assert second[0] == pytest.approx(weights[1] * plain[1])


def test_lambda_weighs_the_layer_indicator_of_a_chosen_identity() -> None:
    indicators, space = golden()
    settings = SearchSettings(score="additive", identity_weight=0.5)

    assert [row[-1] for row in score_table(indicators, space, settings)[1:]] == [1, 3]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_reduction_layer_scores_the_same_whatever_its_stages_layer_indicators(
    formula: ScoreName,
) -> None:
    indicators, space = golden()
    settings = SearchSettings(score=formula)
    larger = indicators_of(indicators.block, indicators.layer * np.array([1, 10, 3]))

    np.testing.assert_allclose(
        score_table(larger, space, settings)[0], score_table(indicators, space, settings)[0]
    )


def test_a_layer_indicator_near_zero_counts_as_a_thousandth_of_its_stages_mean() -> None:
    block = tuple(np.ones(4) for _ in range(2))
    space = build_space("NN", identity=True)
    table = score_table(
        indicators_of(block, np.array([0.0, 4.0])), space, SearchSettings(score="identity_ratio")
    )

    np.testing.assert_allclose(table[0][:3], 1 / (1e-3 * 2))  # mean of 0 and 4 is 2
    np.testing.assert_allclose(table[1][:3], 1 / 4)


def test_the_clamp_is_the_mean_of_the_layers_own_stage() -> None:
    space = build_space("NRN", identity=True)
    block = (np.ones(4), np.ones(3), np.ones(4))
    lone = score_table(
        indicators_of(block, np.array([1e-6, NAN, 4.0])),
        space,
        SearchSettings(score="identity_ratio"),
    )

    assert lone[0][0] == pytest.approx(1e6)  # alone in its stage, it is its own mean


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_a_candidate_without_a_finite_indicator_is_never_taken_and_spoils_no_other(
    formula: ScoreName, bad: float
) -> None:
    space = build_space("RN", identity=True)
    block = (np.array([1.0, bad, 3.0]), np.array([1.0, bad, 3.0, NAN]))
    table = score_table(
        indicators_of(block, np.array([NAN, 2.0])), space, SearchSettings(score=formula)
    )

    for row in table:
        assert row[1] == -math.inf
        assert np.isfinite(np.delete(row, 1)).all()
        assert row[2] > row[0]
    assert score_of(table, (0, 1)) == -math.inf
    assert math.isfinite(score_of(table, (0, 3)))


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_layer_whose_candidates_are_all_equal_prefers_none(formula: ScoreName) -> None:
    table = score_table(
        indicators_of((np.full(3, 0.7),), np.array([NAN])),
        build_space("R"),
        SearchSettings(score=formula),
    )

    assert np.isfinite(table[0]).all()
    assert len(set(table[0])) == 1


def test_without_any_layer_indicator_f1_divides_by_the_layers_mean() -> None:
    block = (np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    table = score_table(
        indicators_of(block, np.full(2, NAN)),
        build_space("RN"),
        SearchSettings(score="identity_ratio"),
    )

    np.testing.assert_allclose(table, [[0.5, 1, 1.5], [0.5, 1, 1.5]])


def test_f6_adds_the_first_order_importance_of_each_candidate_identities_included() -> None:
    space = build_space("RN", identity=True)
    taylor = (np.array([3.0, 1.0, 2.0]), np.array([0.5, NAN, 0.1, 0.7]))
    block, layer = (np.full(3, NAN), np.full(4, NAN)), np.full(2, NAN)
    indicators = Indicators(block, layer, taylor, block, block)
    table = score_table(indicators, space, SearchSettings(score="taylor"))

    assert table[0].tolist() == [3, 1, 2]
    assert table[1].tolist() == [0.5, -math.inf, 0.1, 0.7]


def test_f7_adds_the_root_of_the_saliency_of_each_candidate_identities_included() -> None:
    space = build_space("RN", identity=True)
    saliency = (np.array([4.0, 1.0, 9.0]), np.array([0.25, NAN, 0.0, 0.16]))
    block, layer = (np.full(3, NAN), np.full(4, NAN)), np.full(2, NAN)
    indicators = Indicators(block, layer, block, saliency, block)
    table = score_table(indicators, space, SearchSettings(score="saliency"))

    assert table[0].tolist() == [2, 1, 3]
    assert table[1].tolist() == [0.5, -math.inf, 0, 0.4]


def test_scoring_leaves_the_indicators_as_they_were() -> None:
    space = build_space("RN", identity=True)
    indicators, same = build_indicators(space), build_indicators(space)
    for formula in EVERY:
        table = score_table(indicators, space, SearchSettings(score=formula))
        for row in table:
            row.fill(0)

    for mine, other in zip(indicators.block, same.block, strict=True):
        np.testing.assert_array_equal(mine, other)
    for mine, other in zip(indicators.taylor, same.taylor, strict=True):
        np.testing.assert_array_equal(mine, other)
    for mine, other in zip(indicators.saliency, same.saliency, strict=True):
        np.testing.assert_array_equal(mine, other)
    np.testing.assert_array_equal(indicators.layer, same.layer)


def test_a_fixed_identity_adds_nothing() -> None:
    block = (np.array([1.0, 2.0, 3.0]), np.array([NAN]), np.array([1.0, 2.0, 3.0]))
    table = score_table(
        indicators_of(block, np.full(3, NAN)), build_space("RIN"), SearchSettings(score="bnnas")
    )

    assert table[1].tolist() == [0.0]


@given(st.integers(0, 1000), st.sampled_from(EVERY), st.booleans())
def test_a_score_is_the_sum_of_one_entry_of_each_layer(
    seed: int, formula: ScoreName, identity: bool
) -> None:
    space = build_space("RNNRN", identity=identity)
    table = score_table(build_indicators(space, seed), space, SearchSettings(score=formula))
    rng = np.random.default_rng(seed)
    sizes = [block.size for block in space.blocks]
    architectures = [Architecture(map(int, rng.integers(sizes))) for _ in range(7)]
    sums = [sum(row[i] for row, i in zip(table, a, strict=True)) for a in architectures]

    np.testing.assert_allclose(AdditiveScorer(table)(architectures), sums, rtol=1e-12)


def test_a_generator_of_architectures_scores_like_a_list() -> None:
    scorer = AdditiveScorer([np.array([1.0, 2.0]), np.array([10.0])])

    assert scorer(a for a in [Architecture((1, 0))]).tolist() == [12.0]


def test_no_architectures_have_no_scores() -> None:
    assert AdditiveScorer([np.array([1.0, 2.0]), np.array([10.0])])([]).tolist() == []


def build_read_space() -> SearchSpace:
    """Return a reduction layer of two candidates and a normal one whose identity is at 1."""
    return SearchSpace(
        name="read",
        stem=build_space().stem,
        blocks=(
            build_block(2, 4, 4, stride=2),
            ChoiceBlock((Named("op"), Identity()), 4, 4, 1),
        ),
        head=build_space().head,
        resolution=8,
    )


READ_SEGMENTS = [
    Segment(0, 2, "gamma"),
    Segment(2, 4, "gamma", 0, 0, is_indicator=True),
    Segment(4, 6, "beta", 0, 0),
    Segment(6, 8, "gamma", 0, 1),
    Segment(8, 10, "gamma", 0, 1, is_indicator=True),
    Segment(10, 12, "gamma", 1, 0, is_indicator=True),
    Segment(12, 14, "gamma", 1, 1, is_indicator=True),
    Segment(14, 20, "classifier"),
]
IMPORTANCE = np.array([[0.1, 0.2], [0.3, 0.4]])


def test_indicators_are_means_of_absolute_scales_of_the_marked_batch_norms() -> None:
    vector = np.zeros(20, dtype=np.float32)
    vector[2:4] = (1, -3)
    vector[4:8] = 9  # a shift and an inner batch norm
    vector[8:10] = (-0.5, -0.5)
    vector[10:12] = (0, 3)
    vector[12:14] = (-4, 4)
    space = build_read_space()
    indicators = read_indicators(READ_SEGMENTS, vector, space, IMPORTANCE, 2 * IMPORTANCE)

    np.testing.assert_array_equal(indicators.block[0], [2, 0.5])
    np.testing.assert_array_equal(indicators.block[1], [1.5, NAN])
    np.testing.assert_array_equal(indicators.layer, [NAN, 4])
    np.testing.assert_array_equal(indicators.taylor, IMPORTANCE)
    np.testing.assert_array_equal(indicators.saliency, 2 * IMPORTANCE)


def test_the_batch_norm_beside_a_layers_candidates_is_its_layer_indicator() -> None:
    beside = [
        Segment(0, 2, "gamma", 1, 0, is_indicator=True),
        Segment(2, 4, "gamma", 1, None, is_indicator=True),
    ]
    vector = np.array([1, 1, 5, 7], dtype=np.float32)

    np.testing.assert_array_equal(
        read_indicators(beside, vector, build_read_space(), IMPORTANCE, IMPORTANCE).layer, [NAN, 6]
    )


@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_an_indicator_that_is_not_finite_stops_the_stage_with_its_layer_named(bad: float) -> None:
    vector = np.ones(20, dtype=np.float32)
    vector[11] = bad

    with pytest.raises(StageError, match="layer 1"):
        read_indicators(READ_SEGMENTS, vector, build_read_space(), IMPORTANCE, IMPORTANCE)
