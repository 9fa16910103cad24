"""Which networks to train first."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import Limits
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.design import design, design_pool
from raynas.search.experts import single_expert
from raynas.search.features import build_features
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from tests.builders import build_costs, build_space, shipped_costs, shipped_space

MACRO, MNAS = shipped_space("nas_bench_macro"), shipped_space("mnasnet")
SEEDS = st.integers(0, 10**6)


def build_table(space: SearchSpace, seed: int = 0) -> list[Array]:
    """Return a random score."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=block.size) for block in space.blocks]


def build_pool(
    table: Sequence[Array], limits: Limits | None = None, seed: int = 0, space: SearchSpace = MACRO
) -> list[Architecture]:
    """Return the networks that a design may choose."""
    costs = shipped_costs(space.name)
    sampler = LegalSampler(costs, limits or Limits())
    rng = np.random.default_rng(seed)
    return design_pool(table, space, sampler, costs, limits or Limits(), rng)


class TestDesign:
    @given(SEEDS)
    def test_each_network_is_the_one_that_is_known_least(self, seed: int) -> None:
        """So it adds most to log |X V X' + n^2 I|, found by trying all; the first varies most."""
        features = build_features(single_expert(build_table(MACRO, seed))[0], MACRO)
        rng = np.random.default_rng(seed)
        drawn = rng.integers(3, size=(12, 8))
        pool = list({Architecture(map(int, each)): None for each in drawn})
        chosen = design(features, pool, 4)
        x = features.of(pool) * 0.6 * features.prior.spread
        taken: list[int] = []
        for _ in range(4):
            left = [at for at in range(len(pool)) if at not in taken]
            gains = [
                np.linalg.slogdet(
                    x[[*taken, at]] @ x[[*taken, at]].T + 0.09 * np.eye(len(taken) + 1)
                )
                for at in left
            ]
            taken.append(left[int(np.argmax([gain.logabsdet for gain in gains]))])

        assert chosen == [pool[at] for at in taken]
        assert taken[0] == np.argmax((x**2).sum(axis=1))

    def test_it_never_repeats_and_ends_with_the_pool(self) -> None:
        features = build_features(single_expert(build_table(MACRO))[0], MACRO)
        pool = build_pool(build_table(MACRO))[:20]

        assert sorted(design(features, pool, 50)) == sorted(pool)

    def test_the_next_trainings_are_told_before_the_first_have_ended(self) -> None:
        """More trainings begin with the same ones."""
        features = build_features(single_expert(build_table(MACRO))[0], MACRO)
        pool = build_pool(build_table(MACRO))

        assert design(features, pool, 8) == design(features, pool, 32)[:8]


class TestPool:
    def test_it_keeps_the_limits_and_the_better_three_quarters_of_400(self) -> None:
        limits = Limits(max_macs=50_000_000)
        table = build_table(MACRO)
        pool = build_pool(table, limits)
        scores = AdditiveScorer(table)(pool)
        sampler, rng = LegalSampler(shipped_costs(MACRO.name), limits), np.random.default_rng(1)
        drawn = [each for each in (sampler.draw(rng) for _ in range(400)) if each]

        assert len(set(pool)) == len(pool) == 400
        assert all(limits.allow(shipped_costs(MACRO.name).of(each)) for each in pool)
        assert 0.15 < np.mean(AdditiveScorer(table)(drawn) < scores.min()) < 0.35

    def test_a_seed_decides_it(self) -> None:
        table = build_table(MACRO)

        assert build_pool(table, seed=1) == build_pool(table, seed=1)
        assert build_pool(table, seed=1) != build_pool(table, seed=2)

    def test_a_candidate_that_was_never_trained_is_in_no_network(self) -> None:
        table = build_table(MACRO)
        for layer in range(6):
            table[layer][layer % 3] = -np.inf
        pool = build_pool(table)

        assert len(pool) > 100
        assert all(each[layer] != layer % 3 for each in pool for layer in range(6))

    def test_in_long_chains_half_repeat_one_candidate_through_each_stage(self) -> None:
        """To a depth that is uniform, so that shallow stages are among them."""
        flat = [np.zeros(block.size) for block in MNAS.blocks]
        pool = build_pool(flat, space=MNAS)
        depths = np.array([depths_of(each) for each in pool if depths_of(each)])

        assert 0.4 < len(depths) / len(pool) < 0.6
        for layers, of_stage in zip((3, 3, 3, 3, 3, 4, 3), depths.T, strict=True):
            counts = np.bincount(of_stage, minlength=layers + 1)[1:]
            assert counts.min() > 0.6 * len(depths) / layers

    def test_long_chains_keep_the_limits_too(self) -> None:
        costs = shipped_costs(MNAS.name)
        limits = Limits(max_macs=(costs.smallest.macs + costs.largest.macs) // 4)
        pool = build_pool(build_table(MNAS), limits, space=MNAS)

        assert all(limits.allow(costs.of(each)) for each in pool)
        assert any(depths_of(each) for each in pool)

    def test_a_fixed_identity_in_a_long_chain_is_kept(self) -> None:
        space = build_space("RNINNNNNRNNNNN", identity=True)
        costs = build_costs([block.size for block in space.blocks])
        table = [np.zeros(block.size) for block in space.blocks]
        pool = design_pool(
            table, space, LegalSampler(costs, Limits()), costs, Limits(), np.random.default_rng(0)
        )

        assert {each[2] for each in pool} == {0}

    def test_one_network_within_limits_is_enough(self) -> None:
        costs = shipped_costs(MACRO.name)
        limits = Limits(max_macs=costs.smallest.macs)
        (only,) = build_pool(build_table(MACRO), limits)

        assert costs.of(only).macs == costs.smallest.macs


def depths_of(architecture: Architecture) -> list[int]:
    """Return the layers of each stage of mnasnet that are not skipped; none if candidates mix."""
    depths, start = [], 0
    for layers in (3, 3, 3, 3, 3, 4, 3):
        stage = architecture[start : start + layers]
        depth = sum(each != 6 for each in stage)
        if tuple(stage) != (stage[0],) * depth + (6,) * (layers - depth):
            return []
        depths.append(depth)
        start += layers
    return depths
