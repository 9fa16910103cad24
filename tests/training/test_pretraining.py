"""Pretraining: what moves, how it is added up, and that nothing depends on who computes it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from raynas.errors import StageError
from raynas.nets.cost import cost_table
from raynas.nets.supernet import batch_norms
from raynas.search.sampling import fairness_cycle
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.chain import SearchSpace
from raynas.spaces.parameter_layout import indices_on
from raynas.training import pretraining
from raynas.training.exact_sums import ExactSum
from raynas.training.gradients import (
    Computed,
    Gradient,
    Piece,
    Vector,
    build_supernet,
    count_trained,
)
from raynas.training.pretraining import Pretraining, StepReport, learned_nothing, num_steps
from tests.builders import build_space
from tests.data.samples import (
    InProcess,
    Pretended,
    begin_pretraining,
    build_dataset,
    computed,
    small_pretraining,
    tiny_space,
)

OPTIMISERS = ["adam", "sgd"]


def train(state: Pretraining, compute: Any = None, steps: int | None = None) -> list[StepReport]:
    """Train to the end, or for so many steps."""
    compute = compute or Pretended(state.segments)
    reports = []
    for report in state.run(compute):
        reports.append(report)
        if len(reports) == steps:
            break
    return reports


def sizes_of(space: SearchSpace) -> list[int]:
    """Return the number of candidates of each layer."""
    return [block.size for block in space.blocks]


class TestWhatLearns:
    @pytest.mark.slow
    @pytest.mark.parametrize("trainable", ["all_bn", "last_bn"])
    @pytest.mark.parametrize("classifier_rate", [0.0, 0.01])
    def test_batch_norms_learn_and_frozen_weights_keep_every_bit(
        self, trainable: Literal["all_bn", "last_bn"], classifier_rate: float
    ) -> None:
        settings = small_pretraining(trainable=trainable, classifier_rate=classifier_rate)
        space, dataset = tiny_space(), build_dataset()
        state = begin_pretraining(settings, space, dataset, num_steps=3)
        compute = InProcess(space, dataset, settings)
        train(state, compute)
        compute(state.vector.numpy(), 0, [Piece(state.paths(0)[0], 0)])  # hands the vector in
        trained = compute.paths._frozen.supernet
        fresh = build_supernet(space, settings, dataset, 0).supernet

        before = dict(fresh.named_parameters())
        changed = {
            name for name, now in trained.named_parameters() if not torch.equal(now, before[name])
        }
        assert changed == self.names_that_may_learn(fresh, trainable, classifier_rate)

    def names_that_may_learn(
        self, supernet: Any, trainable: str, classifier_rate: float
    ) -> set[str]:
        """Return the parameters of the trained batch norms, and of the classifier if it learns."""
        kept = [norm for _, _, module in supernet.candidates() for norm in batch_norms(module)[-1:]]
        norms = batch_norms(supernet) if trainable == "all_bn" else kept
        learning: list[nn.Module] = list(norms)
        if classifier_rate > 0:
            learning += [part for part in supernet.head.modules() if isinstance(part, nn.Linear)]
        ids = {id(parameter) for part in learning for parameter in part.parameters()}
        return {name for name, part in supernet.named_parameters() if id(part) in ids}

    @pytest.mark.parametrize("optimiser", OPTIMISERS)
    def test_candidates_that_were_not_drawn_stay_where_they_are_despite_momentum(
        self, optimiser: str
    ) -> None:
        settings = small_pretraining(
            optimiser=optimiser, sampling="uniform", momentum=0.9, schedule="constant"
        )
        state = begin_pretraining(settings, num_steps=30)
        before = state.vector.clone()
        rested = 0
        for report in state.run(Pretended(state.segments)):
            (path,) = state.paths(report.step)
            drawn = np.zeros(len(before), dtype=bool)
            drawn[indices_on(state.segments, path)] = True
            moved = (state.vector != before).numpy()
            before = state.vector.clone()

            assert not moved[~drawn].any()
            assert moved[drawn].all()
            rested += int((~drawn).sum())
        assert rested > 0

    def test_the_classifier_learns_at_a_rate_of_its_own(self) -> None:
        settings = small_pretraining(
            optimiser="sgd",
            momentum=0.0,
            schedule="constant",
            learning_rate=0.5,
            classifier_rate=0.125,
            clip=0.0,
        )
        state = begin_pretraining(settings, build_space("NN"))
        before = state.vector.clone()
        train(state, ones(state), 1)
        moved = (before - state.vector).numpy()

        for part in state.segments:
            uses = 3 if part.layer is None else 1  # three paths, all through stem and head
            rate = 0.125 if part.role == "classifier" else 0.5
            assert moved[part.start : part.stop] == pytest.approx(uses * rate)

    def test_a_small_supernet_learns_easy_images_in_a_few_steps(self) -> None:
        space, dataset = tiny_space(), build_dataset()
        settings = small_pretraining(learning_rate=0.05, classifier_rate=0.02, batch=24)
        state = begin_pretraining(settings, space, dataset, num_steps=45)
        losses = [report.loss for report in train(state, InProcess(space, dataset, settings))]

        assert np.mean(losses[-5:]) < 0.95 * math.log(3)
        assert learned_nothing(losses, 3) is None


def ones(state: Pretraining) -> Callable[[Vector, int, Sequence[Piece]], Computed]:
    """Return what computes gradients of one everywhere, on whole batches."""

    def compute(vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        del vector, step
        counts = [len(indices_on(state.segments, piece.path)) for piece in pieces]
        values = [np.ones(count, dtype=np.float32) for count in counts]
        return computed(state.segments, values, [1.0] * len(pieces), [1.0] * len(pieces))

    return compute


class TestSums:
    @pytest.mark.parametrize("batch", [12, 14])  # shards of 4, 4, 4 and of 5, 5, 4 images
    def test_a_step_is_the_sum_over_paths_of_the_mean_over_images(self, batch: int) -> None:
        settings = small_pretraining(
            optimiser="sgd",
            momentum=0.0,
            schedule="constant",
            learning_rate=0.25,
            classifier_rate=0.25,
            clip=0.0,
            batch=batch,
        )
        state = begin_pretraining(settings, num_steps=1, num_shards=3)
        images = [len(np.arange(batch)[shard::3]) for shard in range(3)]
        before, pretended = (
            state.vector.numpy().copy(),
            Pretended(state.segments, batch=batch, shards=3),
        )
        summed = np.zeros(len(before))
        for path in state.paths(0):
            values = [pretended.values(before, 0, Piece(path, shard)) for shard in range(3)]
            mean = np.average(values, axis=0, weights=images)
            summed[indices_on(state.segments, path)] += mean
        train(state, pretended)

        assert state.vector.numpy() == pytest.approx(before - 0.25 * summed, abs=1e-6)

    def test_gradients_are_clipped_by_value_after_they_are_summed(self) -> None:
        settings = small_pretraining(
            optimiser="sgd",
            momentum=0.0,
            schedule="constant",
            learning_rate=1.0,
            classifier_rate=1.0,
            clip=2.5,
        )
        state = begin_pretraining(settings, build_space("NN"), num_steps=1)
        before = state.vector.clone()
        train(state, ones(state))

        assert set((before - state.vector).tolist()) == {1.0, 2.5}  # own numbers, shared ones

    def test_weight_decay_pulls_at_weights_and_not_at_batch_norms(self) -> None:
        settings = {"trainable": "all", "optimiser": "sgd", "classifier_rate": 0.1}
        plain, decayed = (
            begin_pretraining(small_pretraining(**settings, weight_decay=decay), num_steps=1)
            for decay in (0.0, 0.5)
        )
        before = plain.vector.clone()
        rates = [train(state)[0].learning_rate for state in (plain, decayed)]
        moved = plain.vector - decayed.vector

        for part in plain.segments:
            decays = part.role in {"weight", "classifier"}
            rate = 0.1 if part.role == "classifier" else rates[0]
            expected = rate * 0.5 * before[part.start : part.stop] * decays
            torch.testing.assert_close(moved[part.start : part.stop], expected)

    @pytest.mark.parametrize(("batch", "mean"), [(12, 0.5), (5, 0.4)])
    def test_the_loss_of_a_step_is_the_mean_over_its_images(self, batch: int, mean: float) -> None:
        state = begin_pretraining(small_pretraining(batch=batch), num_steps=2, num_shards=2)
        reports = train(state, Pretended(state.segments, lambda step: 10.0 * step, batch, 2))

        assert [report.loss for report in reports] == pytest.approx([mean, 10 + mean])
        assert [report.step for report in reports] == [0, 1]
        assert {report.num_paths for report in reports} == {4}

    def test_pieces_are_asked_for_shard_by_shard_with_all_paths(self) -> None:
        asked: list[Piece] = []
        state = begin_pretraining(num_steps=1, num_shards=2)
        pretended = Pretended(state.segments, shards=2)

        def compute(vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
            asked.extend(pieces)
            return pretended(vector, step, pieces)

        paths = state.paths(0)
        train(state, compute)

        assert asked == [Piece(path, shard) for shard in (0, 1) for path in paths]

    @pytest.mark.parametrize("optimiser", OPTIMISERS)
    def test_the_result_does_not_depend_on_who_computes_a_piece_or_in_which_order(
        self, optimiser: str
    ) -> None:
        settings = small_pretraining(optimiser=optimiser)
        space, dataset = tiny_space(), build_dataset()
        group = [InProcess(space, dataset, settings, shards=2) for _ in range(3)]
        rng = np.random.default_rng(0)

        def share_out(vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
            done: dict[int, Gradient] = {}
            sums: list[ExactSum] = []
            for share in np.array_split(rng.permutation(len(pieces)), rng.integers(1, 7)):
                member = group[int(rng.integers(len(group)))]
                found = member(vector, step, [pieces[index] for index in share])
                done |= zip(share.tolist(), found.gradients, strict=True)
                sums.append(found.classifier)
            return Computed(
                [done[index] for index in range(len(pieces))], reduce(ExactSum.plus_, sums)
            )

        alone, shared = (
            begin_pretraining(settings, space, dataset, num_steps=3, num_shards=2) for _ in range(2)
        )
        train(alone, InProcess(space, dataset, settings, shards=2))
        train(shared, share_out)

        assert torch.equal(alone.vector, shared.vector)
        assert alone.to_bytes() == shared.to_bytes()

    @pytest.mark.parametrize("optimiser", OPTIMISERS)
    @pytest.mark.parametrize("sampling", ["fair_identity", "uniform"])
    def test_units_updated_all_at_once_have_the_bits_of_one_after_another(
        self, optimiser: str, sampling: str
    ) -> None:
        settings = small_pretraining(optimiser=optimiser, sampling=sampling)
        together, single = (begin_pretraining(settings, num_steps=9) for _ in range(2))
        for group in single._optimiser.param_groups:
            group["foreach"] = False
        train(together)
        train(single)

        assert together.to_bytes() == single.to_bytes()

    @pytest.mark.parametrize("weight_decay", [0.0, 0.3])
    def test_the_classifier_is_the_same_in_blocks_and_as_a_whole(
        self, monkeypatch: pytest.MonkeyPatch, weight_decay: float
    ) -> None:
        settings = small_pretraining(weight_decay=weight_decay, clip=1.5)
        whole, blocks = (begin_pretraining(settings) for _ in range(2))
        train(whole)
        monkeypatch.setattr(pretraining, "_BLOCK", 7)
        train(blocks)

        assert whole.to_bytes() == blocks.to_bytes()


class TestSchedule:
    @pytest.mark.parametrize(
        ("schedule", "wanted"),
        [
            ("cosine", [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
            ("linear", [1.0, 0.75, 0.5, 0.25]),
            ("constant", [1.0] * 4),
        ],
    )
    def test_the_learning_rate_falls_as_the_schedule_says(
        self, schedule: str, wanted: list[float]
    ) -> None:
        settings = small_pretraining(schedule=schedule, learning_rate=0.5)
        reports = train(begin_pretraining(settings, num_steps=4))

        rates = [report.learning_rate for report in reports]
        assert rates == pytest.approx([0.5 * share for share in wanted])

    @given(
        first=st.floats(1e-3, 1),
        share=st.floats(0, 0.9),
        steps=st.integers(1, 50),
    )
    def test_bn_nas_s_linear_schedule_is_published_as_a_fall_to_zero_that_is_cut_off(
        self, first: float, share: float, steps: int
    ) -> None:
        last = first * share
        settings = small_pretraining(schedule="linear", learning_rate=first, last_rate=last)
        reports = train(begin_pretraining(settings, num_steps=steps))
        whole = steps / (1 - last / first)

        rates = [report.learning_rate for report in reports]
        assert rates == pytest.approx([first * (1 - step / whole) for step in range(steps)])

    @pytest.mark.parametrize("schedule", ["linear", "cosine"])
    def test_rates_end_at_the_last_one_and_the_classifier_s_at_the_same_share(
        self, schedule: str
    ) -> None:
        settings = small_pretraining(
            schedule=schedule, learning_rate=0.5, last_rate=0.1, classifier_rate=0.05
        )
        state = begin_pretraining(settings, num_steps=1000)

        assert state._decay(1000) == pytest.approx(0.2)
        assert state._decay(500) == pytest.approx(0.6)
        assert state._decay(0) == 1.0
        train(state, Pretended(state.segments), 501)
        rates = [group["lr"] for group in state._optimiser.param_groups]
        assert rates == pytest.approx([0.3, 0.03])


class TestDropout:
    def test_masks_belong_to_step_path_and_shard_whoever_computes_what(self) -> None:
        settings, space = small_pretraining(dropout=0.5), tiny_space()
        dataset = build_dataset()
        state = begin_pretraining(settings, space, dataset, num_shards=2)
        vector, paths = state.vector.numpy(), state.paths(0)
        pieces = [Piece(path, shard) for shard in (0, 1) for path in paths]
        torch.manual_seed(1)
        together = InProcess(space, dataset, settings, shards=2)(vector, 0, pieces)
        torch.manual_seed(2)  # whatever was drawn before
        worker = InProcess(space, dataset, settings, shards=2)
        apart = [worker(vector, 0, [piece]).gradients[0] for piece in reversed(pieces)][::-1]
        places = [(step, shard, *path) for step in (0, 1) for shard in (0, 1) for path in paths]
        drawn = set()
        for place in places:
            with worker.paths._drawing(*place):
                drawn.add(tuple(torch.rand(4).tolist()))

        for one, other in zip(together.gradients, apart, strict=True):
            assert one.loss == other.loss
            assert np.array_equal(one.values, other.values)
        assert len(drawn) == len(places)

    def test_it_leaves_out_inputs_of_the_classifier_alone_and_none_at_zero(self) -> None:
        space, dataset = tiny_space(), build_dataset()
        losses = {}
        for dropout in (0.0, 0.5, 0.9):
            settings = small_pretraining(dropout=dropout)
            state = begin_pretraining(settings, space, dataset)
            worker = InProcess(space, dataset, settings)
            (path, *_) = state.paths(0)
            (found,) = worker(state.vector.numpy(), 0, [Piece(path, 0)]).gradients
            losses[dropout] = found.loss
            head = worker.paths._frozen.supernet.head
            assert [p.p for p in head.modules() if isinstance(p, nn.Dropout)] == [dropout]

        assert len(set(losses.values())) == 3


class TestNumbersThatLearn:
    @pytest.mark.parametrize("trainable", ["last_bn", "all_bn", "all", "weights"])
    @pytest.mark.parametrize("classifier_rate", [0.0, 0.01])
    @pytest.mark.parametrize("layer_indicator", ["path", "parallel", "none"])
    def test_numbers_that_learn_are_counted_without_making_them(
        self, trainable: Any, classifier_rate: float, layer_indicator: Any
    ) -> None:
        settings = small_pretraining(
            trainable=trainable, classifier_rate=classifier_rate, layer_indicator=layer_indicator
        )
        space = build_space("RNN", identity=layer_indicator == "path")
        frozen = build_supernet(space, settings, build_dataset(), 0)

        assert count_trained(space, settings, 3, 3) == len(frozen.vector)

    def test_where_weights_alone_learn_nothing_is_indicated(self) -> None:
        state = begin_pretraining(small_pretraining(trainable="weights"), num_steps=3)
        train(state)
        found = state.indicators()

        assert all(np.isnan(row).all() for row in (*found.block, *found.taylor, *found.saliency))
        assert np.isnan(found.layer).all()


class TestLedger:
    @given(
        layers=st.text("RNI", min_size=1, max_size=4).filter(lambda text: set(text) != {"I"}),
        epochs=st.floats(0.1, 3),
    )
    def test_every_candidate_of_a_layer_is_updated_equally_often(
        self, layers: str, epochs: float
    ) -> None:
        space, settings = build_space(layers, identity=True), small_pretraining(epochs=epochs)
        steps = num_steps(48, settings, fairness_cycle(sizes_of(space)))
        state = begin_pretraining(settings, space, num_steps=steps)
        train(state)

        for counts, size in zip(state.updates, sizes_of(space), strict=True):
            assert len(set(counts[:size].tolist())) == 1
            assert not counts[size:].any()
        assert state.updates.sum() == steps * max(sizes_of(space)) * len(sizes_of(space))

    @pytest.mark.parametrize("extra", ["rotate", "random"])
    def test_no_step_leaves_a_candidate_out(self, extra: Literal["rotate", "random"]) -> None:
        state = begin_pretraining(small_pretraining(extra=extra), num_steps=7)
        for report in state.run(Pretended(state.segments)):
            for counts, size in zip(state.updates, [3, 4, 4], strict=True):
                assert counts[:size].min() >= report.step + 1

    def test_uniform_sampling_trains_one_path_a_step(self) -> None:
        state = begin_pretraining(small_pretraining(sampling="uniform"), num_steps=9)
        train(state)

        assert state.updates.sum(axis=1).tolist() == [9, 9, 9]

    @given(
        num_images=st.integers(1, 5000),
        epochs=st.floats(0.01, 50),
        batch=st.integers(2, 512),
        cycle=st.integers(1, 60),
    )
    def test_steps_are_the_epochs_rounded_up_to_whole_fairness_cycles(
        self, num_images: int, epochs: float, batch: int, cycle: int
    ) -> None:
        steps = num_steps(num_images, PretrainSettings(epochs=epochs, batch=batch), cycle)

        assert steps % cycle == 0
        assert (steps - cycle) * batch < epochs * num_images * (1 + 1e-9) <= steps * batch * 1.001


class TestIndicators:
    def test_importance_is_the_mean_of_gamma_times_its_gradient_per_update(self) -> None:
        state = begin_pretraining(small_pretraining(), num_steps=4, num_shards=2)
        pretended, cells = Pretended(state.segments, shards=2), np.zeros((3, 4))
        for step in range(4):
            vector = state.vector.numpy().copy()
            for path in state.paths(step):
                indices = indices_on(state.segments, path)
                shards = [pretended.values(vector, step, Piece(path, shard)) for shard in (0, 1)]
                change = np.zeros(len(vector))
                change[indices] = np.abs(vector[indices] * np.mean(shards, axis=0))
                for part in state.segments:
                    if part.role == "gamma" and part.layer is not None:
                        cells[part.layer, part.candidate] += change[part.start : part.stop].sum()
            train(state, pretended, 1)
        wanted = cells / np.maximum(state.updates, 1)

        for layer, taylor in enumerate(state.indicators().taylor):
            assert taylor == pytest.approx(wanted[layer, : len(taylor)], rel=1e-5)

    def test_saliency_counts_shifts_too_and_weighs_by_the_root_of_the_positions(self) -> None:
        state = begin_pretraining(small_pretraining(), num_steps=1)
        pretended, cells = Pretended(state.segments), np.zeros((3, 4))
        vector = state.vector.numpy().copy()
        vector[:] = np.linspace(-1, 1, len(vector))  # shifts start at zero and would not show
        state.vector.copy_(torch.from_numpy(vector))
        for path in state.paths(0):
            indices = indices_on(state.segments, path)
            change = np.zeros(len(vector))
            change[indices] = np.abs(vector[indices] * pretended.values(vector, 0, Piece(path, 0)))
            for part in state.segments:
                if part.role in {"gamma", "beta"} and part.layer is not None:
                    sums = change[part.start : part.stop].sum()
                    cells[part.layer, part.candidate] += math.sqrt(part.positions) * sums
        train(state, pretended)
        wanted = cells / np.maximum(state.updates, 1)

        assert len({part.positions for part in state.segments}) > 2
        for layer, saliency in enumerate(state.indicators().saliency):
            assert saliency == pytest.approx(wanted[layer, : len(saliency)], rel=1e-5)

    def test_a_candidate_that_was_never_trained_has_no_importance(self) -> None:
        state = begin_pretraining(small_pretraining(sampling="uniform"), num_steps=1)
        (path,) = state.paths(0)
        train(state)

        for layer, taylor in enumerate(state.indicators().taylor):
            assert np.flatnonzero(np.isfinite(taylor)).tolist() == [path[layer]]

    def test_block_and_layer_indicators_are_means_of_absolute_scales(self) -> None:
        state = begin_pretraining(num_steps=1)
        state.vector.uniform_(-2, 2, generator=torch.Generator().manual_seed(0))
        indicators = state.indicators()
        for part in state.segments:
            if not part.is_indicator or part.layer is None or part.candidate is None:
                continue
            value = state.vector[part.start : part.stop].abs().mean().item()
            is_identity = part.candidate == 3
            found = (
                indicators.layer[part.layer]
                if is_identity
                else indicators.block[part.layer][part.candidate]
            )
            assert found == pytest.approx(value)
        assert np.isfinite(indicators.layer).tolist() == [False, True, True]


class TestContinuing:
    @pytest.mark.parametrize("optimiser", OPTIMISERS)
    @pytest.mark.parametrize("sampling", ["fair_identity", "uniform"])
    def test_continuing_at_any_step_equals_never_having_stopped(
        self, optimiser: str, sampling: str
    ) -> None:
        settings = small_pretraining(optimiser=optimiser, sampling=sampling)
        whole = begin_pretraining(settings, num_steps=5)
        expected = train(whole)
        for stop in range(6):
            before = begin_pretraining(settings, num_steps=5)
            reports = train(before, steps=stop) if stop else []
            after = begin_pretraining(settings, num_steps=5)
            after.vector.fill_(7.0)  # whatever was there before
            after.restore(before.to_bytes())
            reports += train(after)

            assert reports == expected
            assert torch.equal(after.vector, whole.vector)
            assert np.array_equal(after.updates, whole.updates)
            assert after.to_bytes() == whole.to_bytes()

    def test_indicators_after_continuing_are_those_of_a_run_without_a_stop(self) -> None:
        whole, first, second = (begin_pretraining(num_steps=6) for _ in range(3))
        train(whole)
        train(first, steps=4)
        second.restore(first.to_bytes())
        train(second)
        found, wanted = second.indicators(), whole.indicators()

        assert all(map(np.array_equal, found.taylor, wanted.taylor))
        assert all(map(np.array_equal, found.saliency, wanted.saliency))
        assert np.array_equal(found.layer, wanted.layer, equal_nan=True)

    def test_a_finished_pretraining_has_no_step_left(self) -> None:
        state = begin_pretraining(num_steps=2)
        train(state)
        again = begin_pretraining(num_steps=2)
        again.restore(state.to_bytes())

        assert train(again) == []
        assert torch.equal(again.vector, state.vector)

    def test_the_starting_point_that_was_given_is_left_alone(self) -> None:
        settings = small_pretraining()
        frozen = build_supernet(tiny_space(), settings, build_dataset(), 0)
        before = frozen.vector.clone()
        state = Pretraining(
            tiny_space(), frozen.segments, frozen.vector, settings, 0, num_steps=2, num_shards=1
        )
        train(state)

        assert torch.equal(frozen.vector, before)
        assert not torch.equal(state.vector, before)


class TestFailures:
    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_loss_that_is_not_finite_stops_the_stage_before_it_spoils_anything(
        self, bad: float
    ) -> None:
        state = begin_pretraining(small_pretraining(learning_rate=0.75), num_steps=5)
        compute = Pretended(state.segments, lambda step: bad if step == 2 else 1.0)
        train(state, compute, 2)
        before = state.vector.clone()

        with pytest.raises(StageError, match=r"step 2.*--pretrain\.learning-rate.*0\.75"):
            train(state, compute)
        assert state.step == 2
        assert torch.equal(state.vector, before)

    def test_a_gradient_of_the_classifier_that_is_not_finite_stops_the_next_step(self) -> None:
        settings, dataset = small_pretraining(), build_dataset()
        state = begin_pretraining(settings, dataset=dataset, num_steps=5)
        compute = InProcess(tiny_space(), dataset, settings)

        def spoiling(vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
            found = compute(vector, step, pieces)
            return replace(found, classifier=replace(found.classifier, is_finite=step != 1))

        with pytest.raises(StageError, match=r"step 2: the loss is nan"):
            train(state, spoiling)

    @pytest.mark.parametrize(
        ("losses", "is_warning"),
        [
            ([2.4] * 50 + [2.35] * 50, True),  # never below chance, log 10 = 2.303
            ([2.25] * 100, True),  # just below chance and not falling
            ([2.4 - 0.01 * step for step in range(100)], False),
            ([1.0] * 50 + [2.0] * 50, True),  # below chance, but rising
            ([3.0, 1.0], False),
            ([3.0], True),
        ],
    )
    def test_a_loss_that_did_not_fall_below_chance_is_said_in_plain_words(
        self, losses: list[float], is_warning: bool
    ) -> None:
        sentence = learned_nothing(losses, 10)

        assert (sentence is not None) == is_warning
        if sentence is not None:
            assert "learned nothing" in sentence
            assert "2.303 by chance" in sentence
            assert "\n" not in sentence

    def test_spos_s_supernet_trains_by_bins_of_macs_and_leaves_batch_norms_alone(self) -> None:
        space, dataset = build_space("RNN"), build_dataset()
        costs = cost_table(space, 8, 3, 3)
        low, high = costs.smallest.macs, costs.largest.macs
        width = (high - low) // 4
        settings = small_pretraining(
            trainable="weights",
            initialisation="spos",
            sampling="macs_bins",
            layer_indicator="none",
            dropout=0.1,
            bins_from=low,
            bins_to=low + 4 * width,
            bin_width=width,
            optimiser="sgd",
            learning_rate=0.05,
            classifier_rate=0.05,
        )
        frozen = build_supernet(space, settings, dataset, 0)
        state = Pretraining(space, frozen.segments, frozen.vector, settings, 0, 4, 1, costs)
        worker = InProcess(space, dataset, settings)
        before = state.vector.clone()
        reports = train(state, worker)
        norms = [p for norm in batch_norms(worker.paths._frozen.supernet) for p in (norm.weight,)]

        assert [report.num_paths for report in reports] == [1] * 4
        assert not before.equal(state.vector)
        assert all(norm.eq(1).all() for norm in norms)
