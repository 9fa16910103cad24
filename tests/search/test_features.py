"""Features that a calibration begins with and departs by."""

import itertools

import numpy as np
import pytest

from raynas.search.experts import Expert, balanced_experts
from raynas.search.features import Features, build_features
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.spaces.architecture import Architecture
from tests.builders import build_space

SPACE = build_space("RNNRN", identity=True)
EVERY = [Architecture(each) for each in itertools.product(*(range(b.size) for b in SPACE.blocks))]


def build_expert(*, lacks: bool = False) -> Expert:
    """Return an expert of random saliency, which may lack the last candidate of layer 2."""
    rng = np.random.default_rng(0)
    x, counted = ([rng.exponential(size=b.size) for b in SPACE.blocks] for _ in range(2))
    if lacks:
        x[2][1] = np.nan
    return balanced_experts(x, counted, SPACE)[0]


def group(features: Features, name: str) -> Array:
    """Return the rows of a group."""
    return features.values[[each.startswith(f"{name}:") for each in features.names]]


def test_belief_begins_as_the_experts_score() -> None:
    expert = build_expert()
    features = build_features(expert, SPACE)

    np.testing.assert_allclose(
        features.of(EVERY) @ features.prior.mean, AdditiveScorer(expert.table)(EVERY), atol=1e-12
    )


def test_a_table_of_weights_sums_to_the_weighted_features() -> None:
    features = build_features(build_expert(), SPACE)
    weights = np.random.default_rng(1).normal(size=len(features.names))

    np.testing.assert_allclose(
        AdditiveScorer(features.table(weights))(EVERY), features.of(EVERY) @ weights
    )


def test_every_feature_has_mean_0_and_each_group_but_the_first_varies_by_1() -> None:
    features = build_features(build_expert(), SPACE)
    values = features.of(EVERY)
    groups = np.array([name.split(":")[0] for name in features.names])

    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-12)
    for name in ("trend", "first", "operation", "candidate"):
        assert values[:, groups == name].var(axis=0).sum() == pytest.approx(1)


def test_names_and_spreads_are_those_of_the_five_groups() -> None:
    features = build_features(build_expert(), SPACE)
    spreads = dict(zip(features.names, features.prior.spread.tolist(), strict=True))

    assert list(spreads)[:5] == ["stage:0", "stage:1", "trend:stage", "first:0", "first:1"]
    assert sum(name.startswith("operation:") for name in spreads) == 4
    assert sum(name.startswith("candidate:") for name in spreads) == sum(features.sizes)
    assert [spreads[n] for n in ("stage:0", "trend:stage", "first:0")] == [0.4, 0.3, 0.3]
    assert [spreads[n] for n in ("operation:identity", "candidate:1:identity")] == [0.2, 0.4]


def test_the_trend_counts_the_first_stage_down_and_the_last_one_up() -> None:
    expert = build_expert()
    (trend,) = group(build_features(expert, SPACE), "trend")
    signs = np.repeat([-1.0 if stage == 0 else 1.0 for stage in SPACE.stages], SIZES)

    np.testing.assert_allclose(trend, signs * np.concatenate(expert.table))


def test_first_layers_of_all_stages_range_as_far() -> None:
    """However much more the first stage has."""
    reach = np.ptp(group(build_features(build_expert(), SPACE), "first"), axis=1)

    assert reach[0] > 0
    np.testing.assert_allclose(reach, reach[0])


def test_a_candidate_that_was_never_trained_has_no_features() -> None:
    features = build_features(build_expert(lacks=True), SPACE)
    column = sum(SIZES[:2]) + 1

    assert not features.values[:, column].any()
    assert np.isfinite(features.values).all()


SIZES = [block.size for block in SPACE.blocks]
