"""The claims that can be checked, with the section of the algorithms' specification.

The paper is arXiv 2307.02263. Where raynas departs from it, the docstring says so.
"""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from raynas.costs.costs import Cost, Limits
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.initialisation import (
    Initialisation,
    initialise_,
    orthogonal_,
    shift_,
)
from raynas.nets.isometry import Isometry, measure
from raynas.nets.operations import MBConv, Residual, conv
from raynas.nets.supernet import LayerIndicator, Supernet, batch_norms
from raynas.search.constrained_sampling import LegalSampler, all_legal
from raynas.search.exact import best
from raynas.search.indicators import AdditiveScorer, Indicators, score_table
from raynas.search.sampling import count_updates, fair_paths, fairness_cycle
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.scores import ScoreName
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from tests.builders import (
    SHARED_DATA,
    build_exact_supernet,
    build_generator,
    build_images,
    build_indicators,
    build_space,
    indicators_of,
    shipped,
    shipped_costs,
    shipped_space,
)

LINEAR_CONVENTION = 1_727_000  # what BN-NAS counts on top of pure MACs: (2*1728 - 1)*1000 - 1728000
BN_NAS = "3 -1 0 4 0 -1 -1 0 4 -1 4 4 1 4 2 0 0 4 0 2 2"
SPOS = "0 -1 0 0 4 -1 -1 2 0 -1 4 4 3 0 2 1 0 4 2 5 2"
SPOS_SHUFFLE = "2-1-0-1-2-0-2-0-2-0-2-3-0-0-0-0-3-2-3-3"
ADDITIVE: tuple[ScoreName, ...] = (
    "bnnas",
    "identity_ratio",
    "layer_weighted",
    "log_ratio",
    "zscore",
)


# --- spaces and costs (sections 3, 4 and 12) ---


def test_the_paper_space_has_20_layers_of_6_candidates() -> None:
    space = shipped_space("mobilenet_v2")

    assert (space.num_layers, {block.size for block in space.blocks}) == (20, {6})
    assert space.size == 6**20
    assert [c.name for c in space.blocks[0].candidates] == [
        "k3e3",
        "k3e6",
        "k5e3",
        "k5e6",
        "k7e3",
        "k7e6",
    ]


def test_the_paper_space_has_15_normal_layers_and_its_widths_change_at_0_4_8_12_16() -> None:
    blocks = shipped_space("mobilenet_v2").blocks
    strides = [block.stride for block in blocks]

    assert [i for i, block in enumerate(blocks) if block.is_reduction] == [0, 4, 8, 12, 16]
    assert [i for i, stride in enumerate(strides) if stride == 2] == [0, 4, 8, 16]
    assert shipped_space("mobilenet_v2").stages == tuple(layer // 4 for layer in range(20))


def test_the_bn_nas_space_has_21_rows_with_identity_fixed_at_1_5_6_9() -> None:
    space = shipped_space("mobilenet_v2_bnnas")

    assert space.num_layers == 21
    assert space.size == 6**17
    assert [i for i, block in enumerate(space.blocks) if block.size == 1] == [1, 5, 6, 9]
    assert [i for i, b in enumerate(space.blocks) if b.is_reduction] == [0, 4, 8, 12, 16, 20]


def test_the_shuffle_space_has_20_layers_of_4_candidates_of_which_4_reduce() -> None:
    space = shipped_space("shufflenet_v2")

    assert space.size == 4**20
    assert [i for i, b in enumerate(space.blocks) if b.is_reduction] == [0, 4, 8, 16]


@pytest.mark.parametrize(
    ("text", "counted", "pure", "params"),
    [(BN_NAS, 473.549, 471.822, 5.2285), (SPOS, 468.808, 467.081, 5.7806)],
    ids=["bn-nas", "spos"],
)
def test_published_mobile_architectures_cost_what_was_published(
    text: str, counted: float, pure: float, params: float
) -> None:
    architecture = shipped_space("mobilenet_v2_bnnas").parse(text)
    cost = shipped_costs("mobilenet_v2_bnnas").of(architecture)

    assert round(cost.macs / 1e6, 3) == pure
    assert round((cost.macs + LINEAR_CONVENTION) / 1e6, 3) == counted
    assert round(cost.params / 1e6, 4) == params


@pytest.mark.parametrize(("choice", "expected"), [(0, 391.7), (5, 847.9)])
def test_the_cheapest_and_the_dearest_bn_nas_architecture(choice: int, expected: float) -> None:
    space = shipped_space("mobilenet_v2_bnnas")
    costs = shipped_costs("mobilenet_v2_bnnas")
    architecture = [choice if block.size > 1 else -1 for block in space.blocks]
    macs = costs.of(space.check(architecture)).macs

    assert round(macs / 1e6, 1) == expected
    assert macs == (costs.smallest.macs if choice == 0 else costs.largest.macs)


def test_the_fixed_parts_cost_what_bn_nas_counts_for_them() -> None:
    fixed = shipped_costs("mobilenet_v2_bnnas").fixed

    assert fixed.macs + LINEAR_CONVENTION == 30_105_600 + 40_033_304


@pytest.mark.parametrize(
    ("space", "name", "macs", "params"),
    [
        ("mobilenet_v2_bnnas", "BNNAS", 471_822_240, 5_228_536),  # printed 473.5M, 5.2M
        ("mobilenet_v2_bnnas", "SPOS", 467_080_608, 5_780_560),  # printed 468.8M, 5.8M
        ("shufflenet_v2", "SPOS", 322_918_720, 3_558_464),  # printed 323M, 3.5M without scales
        ("darts_cells", "DARTS_V2", 528_359_040, 3_349_342),  # printed 3.3M
        ("darts_cells", "PC_DARTS_CIFAR", 556_670_592, 3_634_678),  # printed 3.6M
        ("darts_cells", "PR_DARTS", 529_769_088, 3_444_814),  # printed 3.4M
        ("darts_cells_imagenet", "DARTS_V2", 529_911_552, 4_718_752),  # printed 4.7M
        ("darts_cells_imagenet", "PC_DARTS_IMAGENET", 581_627_328, 5_342_464),  # printed 5.3M
        ("darts_cells_imagenet", "PR_DARTS", 543_374_400, 4_981_312),  # printed 543M, 4.98M
    ],
)
def test_published_networks_are_there_by_name_and_cost_what_was_published(
    space: str, name: str, macs: int, params: int
) -> None:
    found = shipped(space)
    costs = cost_table(found, found.resolution, found.in_channels, found.num_classes)

    assert costs.of(found.parse(name)) == Cost(macs, params)


def test_the_published_shuffle_architecture_costs_what_was_published() -> None:
    architecture = shipped_space("shufflenet_v2").parse(SPOS_SHUFFLE)
    cost = shipped_costs("shufflenet_v2").of(architecture)

    assert round(cost.macs / 1e6, 3) == 322.919
    assert round(cost.params / 1e6, 3) == 3.558  # with scales and shifts, unlike SPOS


@pytest.mark.parametrize(
    ("choice", "expected"), [(0, 295.84), (1, 313.65), (2, 340.37), (3, 358.83)]
)
def test_uniform_shuffle_architectures_cost_what_was_measured(choice: int, expected: float) -> None:
    macs = shipped_costs("shufflenet_v2").of([choice] * 20).macs

    assert round(macs / 1e6, 2) == expected


def test_the_shuffle_space_reaches_from_270_to_399_million() -> None:
    costs = shipped_costs("shufflenet_v2")

    assert round(costs.smallest.macs / 1e6, 2) == 270.36
    assert round(costs.largest.macs / 1e6, 2) == 398.61


@pytest.mark.parametrize(
    ("key", "params", "macs"),
    [
        ("00000000", 387_882, 7_713_280),
        ("11111111", 1_588_874, 53_246_464),
        ("22222222", 2_932_586, 105_660_928),
        ("02012100", 890_666, 47_327_744),
        ("22212220", 1_985_514, 85_164_544),
    ],
)
def test_nas_bench_macro_costs_equal_its_table(key: str, params: int, macs: int) -> None:
    architecture = shipped_space("nas_bench_macro").parse(key)
    cost = shipped_costs("nas_bench_macro").of(architecture)

    assert (cost.params, cost.macs) == (params, macs)


def macro_table() -> dict[str, dict[str, Any]]:
    """Return the development part of NAS-Bench-Macro."""
    file = SHARED_DATA / "nas_bench_macro" / "development.json"
    if not file.is_file():
        pytest.skip("no ../shared/data/nas_bench_macro: the data is not beside this checkout")
    table: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return table


@pytest.mark.data
def test_every_row_of_the_nas_bench_macro_table_costs_what_it_says() -> None:
    space, costs = shipped_space("nas_bench_macro"), shipped_costs("nas_bench_macro")
    table = macro_table()
    wrong = [
        key
        for key, row in table.items()
        if (cost := costs.of(space.parse(key))).params != row["params"] or cost.macs != row["flops"]
    ]

    assert len(table) == 1500
    assert wrong == []


def canonical(space: SearchSpace, architecture: Architecture) -> tuple[int, ...]:
    """Return the architecture with the identities of each stage moved to the stage's end."""
    stages: dict[int, list[int]] = {stage: [] for stage in space.stages}
    for choice, stage, block in zip(architecture, space.stages, space.blocks, strict=True):
        if choice != block.identity:
            stages[stage].append(choice)
    lengths = {stage: space.stages.count(stage) for stage in stages}
    padded = [[*stages[stage], *[0] * (lengths[stage] - len(stages[stage]))] for stage in stages]
    return tuple(itertools.chain.from_iterable(padded))


def test_nas_bench_macro_has_6561_keys_and_3969_networks() -> None:
    space = shipped_space("nas_bench_macro")
    every = list(all_legal(shipped_costs("nas_bench_macro"), Limits()))

    assert [i for i, block in enumerate(space.blocks) if block.is_reduction] == [0, 2, 5]
    assert len(every) == space.size == 6561
    assert len({canonical(space, architecture) for architecture in every}) == 3969


@pytest.mark.data
def test_keys_of_one_network_share_a_record() -> None:
    space = shipped_space("nas_bench_macro")
    records: dict[tuple[int, ...], set[str]] = {}
    for key, row in macro_table().items():
        form = canonical(space, space.parse(key))
        records.setdefault(form, set()).add(json.dumps(row, sort_keys=True))

    assert len(records) < 1500
    assert all(len(rows) == 1 for rows in records.values())


# --- limits (1.2) ---


def test_without_identity_475_million_is_refused_and_the_minimum_named() -> None:
    costs = shipped_costs("mobilenet_v2")

    assert round(costs.smallest.macs / 1e6, 1) == 487.1
    with pytest.raises(UserError, match=rf"needs 487\.138M \({costs.smallest.macs}\)"):
        LegalSampler(costs, Limits(max_macs=475_000_000))


def test_with_identity_the_same_limit_is_feasible() -> None:
    """The minimum of 210.4M is BN-NAS's way of counting."""
    costs = shipped_costs("mobilenet_v2", identity=True)
    rng = np.random.default_rng(0)
    sampler = LegalSampler(costs, Limits(max_macs=475_000_000))
    drawn = [sampler.draw(rng) for _ in range(20)]

    assert round((costs.smallest.macs + LINEAR_CONVENTION) / 1e6, 1) == 210.4
    assert None not in drawn
    assert all(costs.of(a).macs <= 475_000_000 for a in drawn if a is not None)


@pytest.mark.parametrize(
    ("name", "identity", "share"),
    [("mobilenet_v2_bnnas", False, 0.0021), ("mobilenet_v2", True, 0.0014)],
)
def test_the_counted_share_of_legal_architectures_is_the_sampled_one(
    name: str, identity: bool, share: float
) -> None:
    limit = 475_000_000 - LINEAR_CONVENTION
    sampler = LegalSampler(shipped_costs(name, identity=identity), Limits(max_macs=limit))
    counted = float(sampler._counts[0].flat[-1]) / shipped_space(name, identity=identity).size

    assert counted == pytest.approx(share, rel=0.05)


def test_the_first_row_s_cost_is_out_of_reach_without_identity_and_within_it_with() -> None:
    """The row without layer indicator: 468M MACs and 4.9M parameters."""
    band = Limits(min_macs=467_500_000, max_macs=468_500_000)

    def fewest(name: str, *, identity: bool = False) -> int:
        costs = shipped_costs(name, identity=identity)
        fewest_first = [-np.array(row, dtype=float) for row in costs.params]
        architecture, _ = best(fewest_first, costs, band)
        assert band.allow(costs.of(architecture))
        return costs.of(architecture).params

    assert fewest("mobilenet_v2_bnnas") == 5_041_672
    assert fewest("mobilenet_v2", identity=True) == 3_930_480
    with pytest.raises(UserError, match=r"the smallest .* needs 487\.138M"):
        fewest("mobilenet_v2")
    near = replace(band, min_params=4_850_000, max_params=4_949_999)
    LegalSampler(shipped_costs("mobilenet_v2", identity=True), near)  # refuses what nothing keeps


# --- strict fairness (7.3 and 9.3) ---


@given(st.integers(1, 8), st.integers(1, 20), st.integers(0, 1000))
def test_after_every_fair_step_all_counts_are_equal(size: int, layers: int, seed: int) -> None:
    sizes = [size] * layers
    counts = np.zeros((layers, size), dtype=int)
    for step in range(4):
        counts += count_updates(sizes, fair_paths(sizes, seed, step))

        assert np.all(counts == step + 1)


@given(st.integers(2, 7), st.integers(0, 1000), st.integers(0, 50))
def test_rotating_reduction_layers_are_equal_after_every_m_steps(
    m: int, seed: int, first_cycle: int
) -> None:
    """A normal layer has m candidates and identity, a reduction layer m and one extra turn."""
    sizes = [m, m + 1, m + 1, m]
    counts = np.zeros((4, m + 1), dtype=int)
    for step in range(first_cycle * m, (first_cycle + 1) * m):
        counts += count_updates(sizes, fair_paths(sizes, seed, step, "rotate"))

    assert fairness_cycle(sizes) == m
    assert np.all(counts[[1, 2]] == m)
    assert np.all(counts[[0, 3], :m] == m + 1)


def test_each_candidate_of_a_reduction_layer_has_the_same_expectation() -> None:
    m, steps = 6, 3000
    counts = np.zeros((2, m + 1))
    for step in range(steps):
        counts += count_updates([m, m + 1], fair_paths([m, m + 1], 0, step, "random"))

    assert counts[0, :m] / steps == pytest.approx((m + 1) / m, rel=0.03)


# --- gauge freedom and its consequences (1.4, 9.5 and 10) ---

GAUGE_SPACE = "RNNRNN"
FIRST_STAGE = (0, 1, 2)


def scale_stage(supernet: Supernet, layers: tuple[int, ...], factor: float) -> None:
    """Multiply scale and shift of the last batch norms of all candidates of some layers."""
    for layer, _, module in supernet.candidates():
        if layer in layers:
            scale(batch_norms(module)[-1], factor)


def scale_identities(supernet: Supernet, layers: tuple[int, ...], factor: float) -> None:
    """Multiply scale and shift of the batch norms beside the candidates of some layers."""
    for layer in layers:
        for norm in batch_norms(supernet.parallel[layer]):
            scale(norm, factor)


def scale(norm: nn.BatchNorm2d, factor: float) -> None:
    norm.weight.data.mul_(factor)
    norm.bias.data.mul_(factor)


def gauge_space(reading: LayerIndicator) -> SearchSpace:
    return build_space(GAUGE_SPACE, identity=reading == "path")


def gauge_paths(reading: LayerIndicator) -> list[Architecture]:
    """Return paths through all candidates, with identities where they can be chosen."""
    sizes = [block.size for block in gauge_space(reading).blocks]
    return fair_paths(sizes, seed=0, step=0)


def logits_of(supernet: Supernet, paths: list[Architecture]) -> torch.Tensor:
    images = build_images(8, 3, 8, torch.float64)
    with torch.no_grad():
        return torch.stack([supernet(images, path) for path in paths])


READINGS: tuple[LayerIndicator, ...] = ("none", "path", "parallel")


@pytest.mark.parametrize("reading", READINGS)
def test_scaling_a_stages_last_batch_norms_changes_no_logit(reading: LayerIndicator) -> None:
    """The set includes the batch norms after identities; in double, with a tiny epsilon."""
    supernet = build_exact_supernet(gauge_space(reading), reading)
    paths = gauge_paths(reading)
    before = logits_of(supernet, paths)
    scale_stage(supernet, FIRST_STAGE, 3.7)
    scale_identities(supernet, FIRST_STAGE, 3.7)

    assert float((logits_of(supernet, paths) - before).abs().max()) < 1e-11


@pytest.mark.parametrize("reading", READINGS)
def test_scaling_one_normal_layer_alone_changes_the_logits(reading: LayerIndicator) -> None:
    supernet = build_exact_supernet(gauge_space(reading), reading)
    paths = gauge_paths(reading)
    before = logits_of(supernet, paths)
    scale_stage(supernet, (1,), 3.7)
    scale_identities(supernet, (1,), 3.7)

    assert float((logits_of(supernet, paths) - before).abs().max()) > 1e-3


def test_leaving_the_batch_norms_of_identities_out_breaks_the_symmetry() -> None:
    parallel = build_exact_supernet(gauge_space("parallel"), "parallel")
    paths = gauge_paths("parallel")
    before = logits_of(parallel, paths)
    scale_stage(parallel, FIRST_STAGE, 3.7)
    assert float((logits_of(parallel, paths) - before).abs().max()) > 1e-3

    path = build_exact_supernet(gauge_space("path"), "path")
    skipping = [Architecture((0, 3, 1, 0, 0, 0))]
    before = logits_of(path, skipping)
    scale_stage(path, FIRST_STAGE, 3.7)
    identity = batch_norms(path.candidate(1, 3))[-1]
    scale(identity, 1 / 3.7)
    assert float((logits_of(path, skipping) - before).abs().max()) > 1e-3


def read_from(supernet: Supernet) -> Indicators:
    """Return the mean absolute scales of a supernet under the path reading."""
    space = supernet.space
    block = tuple(np.full(choices.size, np.nan) for choices in space.blocks)
    layer = np.full(space.num_layers, np.nan)
    for position, choice, module in supernet.candidates():
        value = float(batch_norms(module)[-1].weight.detach().abs().mean())
        if choice == space.blocks[position].identity:
            layer[position] = value
        else:
            block[position][choice] = value
    return indicators_of(block, layer)


def all_scores(indicators: Indicators, space: SearchSpace, formula: ScoreName) -> np.ndarray:
    """Return the scores of all architectures of a small space."""
    table = score_table(indicators, space, SearchSettings(score=formula))
    every = itertools.product(*(range(block.size) for block in space.blocks))
    return AdditiveScorer(table)(map(Architecture, every))


@pytest.mark.parametrize("formula", ["identity_ratio", "layer_weighted", "log_ratio", "zscore"])
def test_scores_within_a_layer_do_not_see_the_scale_of_a_stage(formula: ScoreName) -> None:
    supernet = build_exact_supernet(gauge_space("path"), "path")
    before = all_scores(read_from(supernet), supernet.space, formula)
    scale_stage(supernet, FIRST_STAGE, 3.7)
    after = all_scores(read_from(supernet), supernet.space, formula)

    np.testing.assert_allclose(after, before, rtol=1e-10, atol=1e-10)


@given(st.integers(0, 1000), st.floats(0.05, 20))
def test_f1_ranks_alike_whatever_the_scale_of_a_stage(seed: int, factor: float) -> None:
    space = build_space("RNRN", identity=True)
    indicators = build_indicators(space, seed)
    factors = np.array([factor if stage == 0 else 1.0 for stage in space.stages])
    scaled = indicators_of(
        tuple(row * f for row, f in zip(indicators.block, factors, strict=True)),
        indicators.layer * factors,
    )
    first = all_scores(indicators, space, "identity_ratio")
    second = all_scores(scaled, space, "identity_ratio")

    np.testing.assert_allclose(second, first, rtol=1e-9)


@pytest.mark.parametrize("formula", ["bnnas", "additive"])
def test_sums_of_raw_scales_rank_by_the_scale_of_a_stage(formula: ScoreName) -> None:
    """The logits are the same, the ranking is not: such sums are not identified by data."""
    supernet = build_exact_supernet(gauge_space("path"), "path")
    before = all_scores(read_from(supernet), supernet.space, formula)
    scale_stage(supernet, FIRST_STAGE, 3.7)
    after = all_scores(read_from(supernet), supernet.space, formula)

    assert not np.array_equal(np.argsort(before), np.argsort(after))


def pull(parameter: nn.Parameter) -> float:
    """Return the sum of p dL/dp."""
    assert parameter.grad is not None
    return float((parameter.detach() * parameter.grad).sum())


@pytest.mark.parametrize("reading", READINGS)
def test_the_loss_does_not_pull_at_the_scale_of_a_stage(reading: LayerIndicator) -> None:
    """Euler: the sum of gamma dL/dgamma + beta dL/dbeta over a stage is 0."""
    supernet = build_exact_supernet(gauge_space(reading), reading)
    images, labels = build_images(8, 3, 8, torch.float64), torch.arange(8) % 3
    for path in gauge_paths(reading):
        torch.autograd.backward(functional.cross_entropy(supernet(images, path), labels))
    pulls = []
    for layer in range(supernet.space.num_layers):
        norms = [
            batch_norms(module)[-1] for place, _, module in supernet.candidates() if place == layer
        ]
        norms += batch_norms(supernet.parallel[layer])
        pulls.append(sum(pull(p) for norm in norms for p in norm.parameters()))

    assert abs(sum(pulls[:3])) < 1e-10
    assert abs(sum(pulls[3:])) < 1e-10
    assert max(map(abs, pulls)) > 1e-4  # single layers are pulled at


def test_first_order_importance_does_not_see_the_scale_of_a_stage() -> None:
    """Gamma dL/dgamma of a last batch norm: gradients fall as scales grow."""

    def importance(factor: float) -> torch.Tensor:
        supernet = build_exact_supernet(gauge_space("path"), "path")
        scale_stage(supernet, FIRST_STAGE, factor)
        images, labels = build_images(8, 3, 8, torch.float64), torch.arange(8) % 3
        for path in gauge_paths("path"):
            torch.autograd.backward(functional.cross_entropy(supernet(images, path), labels))
        norms = [batch_norms(module)[-1] for _, _, module in supernet.candidates()]
        return torch.cat(
            [norm.weight * norm.weight.grad for norm in norms if norm.weight.grad is not None]
        )

    torch.testing.assert_close(importance(3.7), importance(1.0), atol=1e-12, rtol=1e-9)


# --- scores (1.5 and 10.5) ---


@given(st.integers(0, 1000))
def test_a_layer_indicator_that_is_always_added_changes_no_ranking(seed: int) -> None:
    space = build_space("RNNR")
    table = score_table(build_indicators(space, seed), space, SearchSettings(score="bnnas"))
    always = np.random.default_rng(seed).uniform(0.5, 1.5, space.num_layers)
    added = [row + g for row, g in zip(table, always, strict=True)]
    every = [Architecture(a) for a in itertools.product(range(3), repeat=4)]
    first, second = AdditiveScorer(table)(every), AdditiveScorer(added)(every)

    np.testing.assert_allclose(second - first, always.sum())


@given(st.integers(0, 1000), st.sampled_from(ADDITIVE), st.booleans())
def test_without_limit_and_identity_the_best_takes_the_largest_of_every_layer(
    seed: int, formula: ScoreName, parallel: bool
) -> None:
    """With layer indicators beside the candidates (reading R2) or without any."""
    space = build_space("RNNRN")
    indicators = build_indicators(space, seed)
    if parallel:
        normal = [not block.is_reduction for block in space.blocks]
        g = np.where(normal, np.random.default_rng(seed).uniform(0.5, 1.5, 5), np.nan)
        indicators = indicators_of(indicators.block, g)
    scores = all_scores(indicators, space, formula)
    best = np.unravel_index(int(scores.argmax()), [3] * 5)

    assert best == tuple(row.argmax() for row in indicators.block)


# --- dynamical isometry (8) ---


def circular(channels: int, kernel: int, groups: int = 1) -> nn.Conv2d:
    """Return a convolution without bias on a torus."""
    return nn.Conv2d(
        channels,
        channels,
        kernel,
        1,
        kernel // 2,
        groups=groups,
        bias=False,
        padding_mode="circular",
    )


def isometry_of(module: nn.Module, channels: int = 8, side: int = 4) -> Isometry:
    images = build_images(16, channels, side, torch.float64)
    return measure(module.double(), images, build_generator())


def test_a_square_orthogonal_pointwise_convolution_is_exactly_isometric() -> None:
    module = conv(8, 8).double()
    orthogonal_(module.weight.data, build_generator())
    found = isometry_of(module)

    assert abs(found.phi - 1) < 1e-10
    assert abs(found.varphi) < 1e-10
    assert abs(found.largest_singular_value - 1) < 1e-10


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_a_depthwise_convolution_with_one_tap_is_exactly_isometric_on_a_torus(
    kernel: int,
) -> None:
    module = circular(8, kernel, groups=8)
    shift_(module.weight.data, build_generator())
    found = isometry_of(module, side=8)

    assert abs(found.phi - 1) < 1e-10
    assert abs(found.varphi) < 1e-10


def test_an_orthogonal_depthwise_convolution_is_isometric_in_the_mean_only() -> None:
    """Its filters have unit norm, so phi = 1; its spectrum is that of the filters, |DFT|."""
    module = circular(8, 3, groups=8)
    initialise_(module, "qr", seed=0)
    found = isometry_of(module, side=8)

    assert found.phi == pytest.approx(1, abs=1e-6)
    assert found.varphi > 0.1


def without_norms(kernel: int, expansion: int) -> nn.Sequential:
    """Return a linear MobileNetV2 branch of 8 channels on a torus, without norms or residual."""
    width = 8 * expansion
    middle = nn.Conv2d(
        width, width, kernel, padding=kernel // 2, groups=width, bias=False, padding_mode="circular"
    )
    return nn.Sequential(conv(8, width), middle, conv(width, 8))


def candidate_phis(initialisation: Initialisation) -> list[float]:
    """Return phi of the six candidates."""
    phis = []
    for kernel, expansion in itertools.product((3, 5, 7), (3, 6)):
        module = without_norms(kernel, expansion)
        initialise_(module, initialisation, seed=kernel + expansion)
        phis.append(isometry_of(module, side=5).phi)
    return phis


def test_orthogonal_weights_make_candidates_alike_where_no_norm_does() -> None:
    """The coefficient of variation of phi over the candidates falls about tenfold."""
    orthogonal, gaussian = candidate_phis("qr"), candidate_phis("gaussian")

    assert np.std(orthogonal) / np.mean(orthogonal) < 0.1
    assert np.std(gaussian) / np.mean(gaussian) > 0.2
    assert orthogonal == pytest.approx([1.0] * 6, abs=0.15)


def test_a_block_is_not_isometric_even_if_all_of_its_convolutions_are_orthogonal() -> None:
    """Expansion and projection through independent frames leave a spread near 1 - 1/t."""
    for expansion in (3, 6):
        module = without_norms(3, expansion)
        initialise_(module, "shift", seed=0)
        found = isometry_of(module, side=5)

        assert found.varphi / found.phi**2 == pytest.approx(1 - 1 / expansion, abs=0.25)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("expansion", [3, 6])
def test_delta_makes_all_kernel_sizes_one_function(
    padding: Literal["zeros", "circular"], expansion: int
) -> None:
    images = build_images(4, 8)
    outputs = []
    for kernel in (3, 5, 7):
        module = MBConv(kernel, expansion).build(8, 8, 1)
        assert isinstance(module, Residual)
        for part in module.modules():
            if isinstance(part, nn.Conv2d) and part.groups > 1:
                part.padding_mode = padding
        initialise_(module, "delta", seed=0)
        outputs.append(module(images))

    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_delta_is_no_initialisation_of_a_search() -> None:
    assert get_args(get_type_hints(PretrainSettings)["initialisation"]) == (
        *("qr", "shift", "gaussian", "spos", "start"),
    )


@pytest.mark.parametrize("kind", ["qr", "shift", "gaussian", "spos"])
def test_other_initialisations_keep_kernel_sizes_distinct(kind: Initialisation) -> None:
    images = build_images(4, 8)
    outputs = []
    for kernel in (3, 5, 7):
        module = MBConv(kernel, 3).build(8, 8, 1)
        initialise_(module, kind, seed=0)
        outputs.append(module(images))

    assert all(not torch.allclose(a, b) for a, b in itertools.combinations(outputs, 2))


def test_batch_norm_gives_unit_variance_whatever_the_weights() -> None:
    """So the variance is kept by the last batch norm (gamma = 1), not by orthogonality."""
    variances = []
    for kind in ("qr", "gaussian"):
        module = MBConv(3, 6).build(8, 12, 1)
        initialise_(module, kind, seed=0)
        variances.append(isometry_of(module).output_variance)

    assert variances == pytest.approx([1, 1], rel=0.02)


def relative_variances(depth: int, orthogonal: bool) -> Iterator[float]:
    """Yield varphi / phi^2 of deep ReLU networks of width 300, for a few draws."""
    for seed in range(3):
        generator = build_generator(seed)
        layers: list[nn.Module] = []
        for _ in range(depth):
            layer = conv(300, 300)
            if orthogonal:
                orthogonal_(layer.weight.data, generator)
            else:
                layer.weight.data.normal_(0, 300**-0.5, generator=generator)
            layer.weight.data.mul_(math.sqrt(2))
            layers += [layer, nn.ReLU()]
        found = measure(nn.Sequential(*layers), build_images(2, 300, 1), generator)
        yield found.varphi / found.phi**2


@pytest.mark.parametrize("depth", [1, 4])
def test_each_relu_adds_one_to_the_variance_of_orthogonal_networks_and_two_else(
    depth: int,
) -> None:
    """So networks with ReLU cannot be isometric (1.7)."""
    assert np.mean(list(relative_variances(depth, True))) == pytest.approx(depth, rel=0.3)
    assert np.mean(list(relative_variances(depth, False))) == pytest.approx(2 * depth, rel=0.3)
