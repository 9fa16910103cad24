"""The path-depth bonus: its equation, what it adds to scores, and what it leaves as it is."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import Limits
from raynas.errors import UserError
from raynas.search.constrained_sampling import all_legal
from raynas.search.exact import best
from raynas.search.indicators import Indicators, score_table
from raynas.search.path_depth import path_table
from raynas.settings.scores import INDICATOR_SCORES, IndicatorScore
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from tests.builders import build_costs, build_indicators, build_space, score_of

NAN = math.nan
SPACE = build_space("RNNI", identity=True)  # identity is candidate 3 of layers 1 and 2
BLOCK = (
    np.array([1.0, 2.0, 3.0]),
    np.array([1.0, 2.0, 6.0, NAN]),
    np.array([0.5, 1.0, 1.5, NAN]),
    np.array([NAN]),
)
LAYER = np.array([NAN, 1.0, 4.0, NAN])  # cbar / g is 3 in layer 1, and 1/4 in layer 2

SEEDS = st.integers(0, 10**6)
SCORES = st.sampled_from(INDICATOR_SCORES)
WEIGHTS = st.sampled_from([0.1, 1.0, 30.0])


def opened(ratio: float) -> float:
    """Return P = sigmoid(log(ratio) - 0.1 ln(0.1 / 1.1)) = ratio / (ratio + 11^-0.1)."""
    return ratio / (ratio + 11**-0.1)


def both(score: str, seed: int, weight: float, space: SearchSpace) -> tuple[list[np.ndarray], ...]:
    """Return a score table without and with a bonus, and the bonus itself."""
    indicators = build_indicators(space, seed)
    plain = SearchSettings(score=score)  # type: ignore[arg-type] # one of F0 to F7
    more = SearchSettings(score=score, path_bonus=weight)  # type: ignore[arg-type]
    return (
        score_table(indicators, space, plain),
        score_table(indicators, space, more),
        path_table(indicators.block, indicators.layer, space),
    )


def test_a_layer_adds_the_log_probability_of_its_gate_over_the_number_of_gates() -> None:
    table = path_table(BLOCK, LAYER, SPACE)
    first, second = opened(3), opened(1 / 4)

    assert table[0].tolist() == [0, 0, 0]  # it reduces, so it cannot be skipped
    np.testing.assert_allclose(table[1], np.log([first] * 3 + [1 - first]) / 2)
    np.testing.assert_allclose(table[2], np.log([second] * 3 + [1 - second]) / 2)
    assert table[3].tolist() == [0]  # always skipped


def test_the_value_of_a_path_computed_by_hand() -> None:
    """P is 0.7922 = 3 / 3.7868 and 0.2411 = 0.25 / 1.0368: one block, one identity."""
    found = score_of(path_table(BLOCK, LAYER, SPACE), (2, 1, 3, 0))

    assert found == pytest.approx((math.log(0.79223) + math.log(1 - 0.24112)) / 2, abs=1e-4)


def test_all_patterns_of_gates_together_have_the_probability_one() -> None:
    """They are Bernoulli's, so what one pattern gains others lose."""
    table = path_table(BLOCK, LAYER, SPACE)
    patterns = [(0, i, j, 0) for i in (0, 3) for j in (0, 3)]

    assert sum(math.exp(2 * score_of(table, a)) for a in patterns) == pytest.approx(1)


@given(SEEDS, st.floats(0.01, 100))
def test_a_score_has_no_more_of_it_by_skipping_a_layer_exactly_if_its_gate_is_rather_open(
    seed: int, strength: float
) -> None:
    block = (*BLOCK[:2], BLOCK[2] * strength, BLOCK[3])
    table = path_table(block, LAYER, SPACE)
    architecture = [int(i) for i in np.random.default_rng(seed).integers([3, 4, 3, 1])]
    skipping = [*architecture[:2], 3, 0]

    gains = score_of(table, skipping) > score_of(table, architecture)
    assert gains == (opened(strength / 4) < 0.5)


def test_where_gates_are_rather_open_deeper_paths_never_have_less() -> None:
    space = build_space("NNN", identity=True)
    indicators = build_indicators(space)
    table = path_table(indicators.block, np.full(3, 0.4), space)
    every = list(itertools.product(range(4), repeat=3))

    for one, other in itertools.product(every, every):
        if all(a == b or b != 3 for a, b in zip(one, other, strict=True)):  # other is as deep
            assert score_of(table, one) <= score_of(table, other)


@given(SEEDS, st.floats(0.1, 10))
def test_it_does_not_see_the_scale_of_a_layer(seed: int, scale: float) -> None:
    """Gauge freedom: what scales a stage's batch norms scales blocks and identities alike."""
    indicators = build_indicators(SPACE, seed)
    scaled = tuple(row * scale for row in indicators.block)

    for row, same in zip(
        path_table(indicators.block, indicators.layer, SPACE),
        path_table(scaled, indicators.layer * scale, SPACE),
        strict=True,
    ):
        np.testing.assert_allclose(same, row, rtol=1e-9)


@given(SEEDS, SCORES, WEIGHTS)
def test_the_score_is_the_sum_of_the_plain_one_and_of_so_many_times_the_bonus(
    seed: int, score: str, weight: float
) -> None:
    plain, more, bonus = both(score, seed, weight, SPACE)
    for architecture in itertools.product(*(range(block.size) for block in SPACE.blocks)):
        wanted = score_of(plain, architecture) + weight * score_of(bonus, architecture)
        assert score_of(more, architecture) == pytest.approx(wanted, rel=1e-9)


@given(SEEDS, SCORES, WEIGHTS)
def test_it_prefers_no_block_of_a_layer_to_another(seed: int, score: str, weight: float) -> None:
    plain, more, _ = both(score, seed, weight, SPACE)
    for row, other in zip(plain, more, strict=True):
        np.testing.assert_allclose(np.diff(other[:3]), np.diff(row[:3]), atol=1e-9)


@pytest.mark.parametrize("score", INDICATOR_SCORES)
@pytest.mark.parametrize("layers", ["RNNI", "RR"])
def test_a_weight_of_zero_changes_no_bit_and_needs_no_layer_to_skip(
    score: IndicatorScore, layers: str
) -> None:
    space = build_space(layers, identity=True)
    indicators = build_indicators(space)
    plain = score_table(indicators, space, SearchSettings(score=score))
    off = score_table(indicators, space, SearchSettings(score=score, path_bonus=0.0))

    assert [row.tobytes() for row in off] == [row.tobytes() for row in plain]


def test_a_candidate_without_an_indicator_is_never_taken_whatever_the_bonus() -> None:
    saliency = tuple(np.where(np.arange(len(row)) == 1, NAN, 1.0) for row in BLOCK)
    indicators = Indicators(
        (BLOCK[0], BLOCK[1] * [1, NAN, 1, 1], *BLOCK[2:]), LAYER, BLOCK, saliency, BLOCK
    )
    table = score_table(indicators, SPACE, SearchSettings(score="saliency", path_bonus=100.0))

    assert [row[1] for row in table[:3]] == [-math.inf] * 3
    assert np.isfinite(np.delete(table[1], 1)).all()


@pytest.mark.parametrize(
    ("blocks", "layer"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (NAN, 1.0), (1e9, 1e-9)]
)
def test_batch_norms_that_died_leave_it_finite(blocks: float, layer: float) -> None:
    block = (BLOCK[0], np.full(4, blocks), *BLOCK[2:])

    assert np.isfinite(np.concatenate(path_table(block, LAYER * [1, layer, 1, 1], SPACE))).all()


@pytest.mark.parametrize(("layers", "identity"), [("RR", True), ("RN", False), ("RI", True)])
def test_it_is_refused_where_no_layer_can_be_skipped(layers: str, *, identity: bool) -> None:
    space = build_space(layers, identity=identity)

    with pytest.raises(UserError, match=r"--search.path-bonus with tiny: no layer has both"):
        score_table(build_indicators(space), space, SearchSettings(path_bonus=0.1))


def test_it_is_refused_where_identities_have_no_indicator() -> None:
    indicators = Indicators(BLOCK, np.full(4, NAN), BLOCK, BLOCK, BLOCK)

    with pytest.raises(UserError, match=r"--pretrain\.layer-indicator path, or leave it at 0"):
        score_table(indicators, SPACE, SearchSettings(score="bnnas", path_bonus=0.1))


@given(SEEDS, SCORES, WEIGHTS, st.floats(0, 1))
def test_the_exact_search_finds_the_best_score_with_the_bonus(
    seed: int, score: str, weight: float, share: float
) -> None:
    space = build_space("RNN", identity=True)
    _, table, _ = both(score, seed, weight, space)
    costs = build_costs([block.size for block in space.blocks], seed)
    every = all_legal(costs, Limits())
    limits = Limits(int(np.quantile([costs.of(a).macs for a in every], share, method="lower")))
    found, reached = best(table, costs, limits)

    assert limits.allow(costs.of(found))
    assert reached == pytest.approx(max(score_of(table, a) for a in all_legal(costs, limits)))
    assert isinstance(found, Architecture)
