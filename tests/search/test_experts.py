"""Saliency and ReLU inputs as readings that the default score is mixed of."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import UserError
from raynas.search.experts import Expert, balanced_experts, mixed, single_expert
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.search.stage_balance import balanced
from tests.builders import build_space

SPACE = build_space("RNNRN", identity=True)
EVERY = list(itertools.product(*(range(block.size) for block in SPACE.blocks)))


def amounts(seed: int = 0) -> list[Array]:
    """Return what the candidates of the space have."""
    rng = np.random.default_rng(seed)
    return [rng.exponential(size=block.size) for block in SPACE.blocks]


def score(saliency: list[Array], counted: list[Array] | None = None) -> list[Array]:
    """Return the table of the score before any training."""
    return mixed(balanced_experts(saliency, amounts(1) if counted is None else counted, SPACE))


def test_the_score_is_four_fifths_saliency_and_one_fifth_relu_inputs() -> None:
    parts = [balanced(amounts(seed), SPACE.stages) for seed in (0, 1)]

    for row, one, two in zip(score(amounts()), *parts, strict=True):
        np.testing.assert_allclose(row, 0.8 * one + 0.2 * two)


@given(st.integers(0, 10**6), st.sampled_from([0, 1]), st.floats(1e-3, 1e3))
def test_multiplying_either_reading_in_a_stage_changes_no_score(
    seed: int, stage: int, factor: float
) -> None:
    """So neither the width of a stage nor the pixels of the images decide."""
    factors = [factor if each == stage else 1.0 for each in SPACE.stages]
    tables = [
        score(
            [row * each for row, each in zip(amounts(seed), by, strict=True)],
            [row * each for row, each in zip(amounts(seed + 1), also, strict=True)],
        )
        for by, also in (([1.0] * 5, [1.0] * 5), (factors, [1.0] * 5), ([1.0] * 5, factors))
    ]
    scores = [AdditiveScorer(table)(EVERY) for table in tables]  # type: ignore[arg-type] # tuples

    np.testing.assert_allclose(scores[1], scores[0], atol=1e-9)
    np.testing.assert_allclose(scores[2], scores[0], atol=1e-9)


def test_an_identity_without_a_batch_norm_counts_as_0() -> None:
    unknown, nothing = amounts(), amounts()
    for row, other, block in zip(unknown, nothing, SPACE.blocks, strict=True):
        if block.identity is not None:
            row[block.identity], other[block.identity] = np.nan, 0.0

    for one, two in zip(score(unknown), score(nothing), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_candidate_that_was_never_trained_is_never_taken() -> None:
    saliency = amounts()
    saliency[3][1] = np.nan
    table = score(saliency)

    assert table[3][1] == -np.inf
    assert np.isfinite(np.delete(np.concatenate(table), sum(map(len, table[:3])) + 1)).all()


def test_a_layer_without_a_choice_needs_no_saliency() -> None:
    space = build_space("RNI", identity=True)
    rows = [np.arange(1.0, block.size + 1) for block in space.blocks]
    table = mixed(balanced_experts([*rows[:2], np.array([np.nan])], rows, space))

    assert table[2].tolist() == [0]


def test_indicators_without_counts_are_refused_with_a_way_out() -> None:
    with pytest.raises(UserError, match=r"no ReLU inputs.*--score saliency, or pretrain again"):
        balanced_experts(amounts(), [row * np.nan for row in amounts()], SPACE)


def test_any_table_is_an_expert_of_the_same_ranking() -> None:
    table = amounts()
    table[1][2] = -np.inf
    (expert,) = single_expert(table)
    assert isinstance(expert, Expert)
    before, after = (AdditiveScorer(each)(EVERY) for each in (table, mixed([expert])))  # type: ignore[arg-type] # tuples
    finite = np.isfinite(before)

    np.testing.assert_array_equal(finite, np.isfinite(after))
    assert after[finite].mean() == pytest.approx(0, abs=1e-9)
    assert after[finite].var() == pytest.approx(1)
    assert np.corrcoef(before[finite], after[finite])[0, 1] == pytest.approx(1)
