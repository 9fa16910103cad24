"""Differentiable search: what learns from what, the schedules, learning, and continuing."""

import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import safetensors.torch
import torch

from raynas.data.batches import Batches
from raynas.data.dataset import Dataset
from raynas.data.prefetch import Batch
from raynas.data.search_split import halves
from raynas.differentiable.epochs import SearchEpoch, from_json, gate_rows, to_json
from raynas.differentiable.mixed_network import Mixture
from raynas.differentiable.search import GateSearch
from raynas.errors import StageError
from raynas.seeds import Stream
from raynas.spaces.genotype import Genotype
from tests.builders import shipped_cells
from tests.data.samples import MIRRORED, build_dataset, digits
from tests.settings.published import DARTS, PCDARTS, PRDARTS

PRESETS = {"prdarts": PRDARTS, "darts": DARTS, "pcdarts": PCDARTS}
SPACE = replace(shipped_cells(), nodes=2)  # edges: 0-0, 1-0; 0-1, 1-1, 2-1


def begin(
    preset: str = "prdarts", dataset: Dataset | None = None, seed: int = 0, **changes: Any
) -> GateSearch:
    """Return a search of three small cells at epoch 0: two steps in each of three epochs."""
    small = {"cells": 3, "channels": 8, "epochs": 3, "batch": 6, "warmup": 0}
    settings = replace(PRESETS[preset], **small | changes)
    return GateSearch(SPACE, dataset or build_dataset(count=24, crops=MIRRORED), settings, seed)


def run(search: GateSearch, epochs: int) -> GateSearch:
    """Run so many epochs."""
    for _ in range(epochs):
        search.run_epoch()
    return search


def learnt(search: GateSearch) -> dict[str, torch.Tensor]:
    """Return copies of what the gates are."""
    return {name: value.detach().clone() for name, value in search.parameters.items()}


def weights(search: GateSearch) -> list[torch.Tensor]:
    """Return copies of what the weights are."""
    return [value.detach().clone() for value in search._network.parameters()]


def flat(search: GateSearch) -> torch.Tensor:
    """Return all weights as one vector."""
    return torch.cat([value.flatten() for value in weights(search)])


def moved(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    """Return whether any of them has changed."""
    return any(not torch.equal(*pair) for pair in zip(before, after, strict=True))


def rows(search: GateSearch) -> list[SearchEpoch]:
    """Return what the epochs did, but for how long they took."""
    return [replace(epoch, seconds=0.0) for epoch in search.history]


class TestSteps:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_both_the_weights_and_the_gates_move(self, preset: str) -> None:
        search = begin(preset)
        before, alphas = weights(search), learnt(search)
        search.step(0)

        assert moved(before, weights(search))
        assert all(moved([alphas[name]], [after]) for name, after in learnt(search).items())

    @pytest.mark.slow
    def test_the_step_of_the_weights_leaves_the_gates_and_theirs_the_weights(self) -> None:
        search = begin()
        before, alphas = weights(search), learnt(search)
        search._train_weights(search._part(0, 0), 0, 0)
        between = weights(search)

        assert moved(before, between)
        assert not moved(list(alphas.values()), list(learnt(search).values()))
        search._train_gates(search._part(1, 0), 0, 0)
        assert not moved(between, weights(search))
        assert moved(list(alphas.values()), list(learnt(search).values()))

    def test_weights_see_one_half_and_gates_the_other(self) -> None:
        dataset = build_dataset(count=24)
        search = begin(dataset=dataset)
        streams = Stream.SEARCH_WEIGHTS, Stream.SEARCH_GATES
        for loader, half, stream in zip(search._loaders, halves(dataset, 0), streams, strict=True):
            images, labels = loader(1)
            wanted = Batches(half, 6, 0, stream)(1)

            assert torch.equal(labels, wanted[1])
            assert torch.equal(images, wanted[0])

    def test_every_batch_has_gates_of_its_own_draw(self, monkeypatch: pytest.MonkeyPatch) -> None:
        search, seen = begin(gate_rate=1e-12), []
        look = search._look

        def spy(batch: Batch, mixtures: list[Mixture]) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(tuple(mixtures[0].operations.detach().flatten().tolist()))
            return look(batch, mixtures)

        monkeypatch.setattr(search, "_look", spy)
        run(search, 2)

        assert len(set(seen)) == len(seen) == 8  # two epochs of two steps with two batches

    def test_during_warmup_weights_move_and_gates_do_not(self) -> None:
        search = begin("pcdarts", warmup=1)
        before, alphas = weights(search), learnt(search)
        first = search.run_epoch()

        assert moved(before, weights(search))
        assert not moved(list(alphas.values()), list(learnt(search).values()))
        assert first.val_loss > 0
        search.run_epoch()
        assert moved(list(alphas.values()), list(learnt(search).values()))

    def test_the_path_pulls_the_gates_of_operations_with_weights_along_it_open(self) -> None:
        """Adam moves alphas by the sign of what the terms ask, far beyond what images do."""
        changes = {"skip_weight": 0, "group_weight": 0, "path_weight": 1e6, "gate_decay": 0}
        search = begin(**changes)
        before = learnt(search)["normal"]
        run(search, 3)
        rise = learnt(search)["normal"] - before

        along = rise[[1, 4], 2:6]
        assert (along >= -1e-5).all()
        assert (along > 1e-4).any()

    def test_the_groups_push_the_gates_of_skip_connections_shut(self) -> None:
        search = begin(skip_weight=1e6, group_weight=0, path_weight=0, gate_decay=0)
        before = learnt(search)["normal"]
        run(search, 3)
        rise = learnt(search)["normal"] - before

        assert (rise[:, 1] <= 1e-5).all()
        assert (rise[:, 1] < -1e-4).any()


class TestSchedules:
    def test_the_temperature_and_the_learning_rate_fall_epoch_by_epoch(self) -> None:
        search = run(begin(), 3)
        rates = [0.001 + 0.024 * 0.5 * (1 + math.cos(math.pi * step / 6)) for step in (1, 3, 5)]

        assert [epoch.temperature for epoch in search.history] == pytest.approx([1, 0.55, 0.1])
        assert [epoch.learning_rate for epoch in search.history] == pytest.approx(rates)

    def test_an_epoch_looks_at_a_half_once(self) -> None:
        assert begin(dataset=build_dataset(count=24)).steps_per_epoch == 2
        assert begin(dataset=build_dataset(count=25)).steps_per_epoch == 3

    @pytest.mark.parametrize("clip", [0.0, 1e-3])
    def test_gradients_of_weights_are_clipped_to_a_norm_unless_it_is_zero(
        self, clip: float
    ) -> None:
        search = begin(
            clip=clip, learning_rate=1.0, momentum=1e-9, weight_decay=0.0, nesterov=False
        )
        before = flat(search)
        search._train_weights(search._part(0, 0), 0, 0)
        norm = (flat(search) - before).norm().item()

        assert norm == pytest.approx(clip, rel=1e-2) if clip else norm > 0.1


class TestReports:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_an_epoch_tells_its_genotype_and_how_deep_it_is(self, preset: str) -> None:
        search = begin(preset)
        epoch = search.run_epoch()

        assert epoch.genotype == str(search.genotype)
        assert SPACE.genotype(SPACE.architecture(search.genotype)) == search.genotype
        assert 0 <= epoch.normal.skip_share <= 1
        assert 0 <= epoch.reduction.path_depth <= 2
        assert 0 <= epoch.val_accuracy <= 1

    def test_probabilities_are_those_of_open_gates_and_a_softmax_has_none(self) -> None:
        epoch = begin().run_epoch()
        alpha, tau = torch.tensor(epoch.normal.alpha), epoch.temperature or 0.0

        assert epoch.normal.probabilities is not None
        wanted = (alpha - tau * math.log(1 / 11)).sigmoid()
        assert torch.allclose(torch.tensor(epoch.normal.probabilities), wanted)
        assert begin("darts").run_epoch().normal.probabilities is None

    def test_weights_of_a_genotype_are_softmaxes_over_operations_and_edges(self) -> None:
        plain, weighed = (
            torch.tensor(begin(name).run_epoch().normal.weights) for name in ("darts", "pcdarts")
        )

        assert torch.allclose(plain.sum(dim=1), torch.ones(5))
        assert torch.allclose(weighed[:2].sum(), torch.ones(()))
        assert torch.allclose(weighed.sum(), torch.tensor(2.0))

    def test_every_gate_of_an_epoch_is_a_row(self) -> None:
        epoch = begin().run_epoch()
        rows = gate_rows(epoch, SPACE)
        row = next(
            row
            for row in rows
            if (row["cell"], row["source"], row["node"], row["operation"])
            == ("reduction", 2, 1, "dil3")
        )

        assert len(rows) == 2 * 5 * 8
        assert row["epoch"] == 1
        assert row["alpha"] == epoch.reduction.alpha[4][4]
        assert row["weight"] == epoch.reduction.weights[4][4]
        assert epoch.reduction.probabilities is not None
        assert row["probability"] == epoch.reduction.probabilities[4][4]
        assert {row["probability"] for row in gate_rows(begin("darts").run_epoch(), SPACE)} == {
            None
        }

    def test_epochs_come_back_from_text_as_they_were(self) -> None:
        history = [begin(preset).run_epoch() for preset in ("prdarts", "darts")]

        assert from_json(to_json(history)) == history

    def test_a_loss_that_diverges_stops_the_search_and_names_the_setting(self) -> None:
        search = begin("darts", learning_rate=1e30, clip=0.0)

        with pytest.raises(StageError, match=r"epoch 1.*--differentiable\.learning-rate.*1e\+30"):
            run(search, 3)
        assert search.epoch == 0


@pytest.mark.slow
class TestLearning:
    @pytest.mark.parametrize(
        ("preset", "rate", "channels", "least"), [("prdarts", 0.2, 8, 0.2), ("darts", 0.1, 4, 0.5)]
    )
    def test_the_losses_on_both_halves_of_the_digits_fall(
        self, preset: str, rate: float, channels: int, least: float
    ) -> None:
        small = {"cells": 3, "channels": channels, "epochs": 4, "batch": 16, "learning_rate": rate}
        images = digits(train=320, held_out=20)
        search = GateSearch(SPACE, images, replace(PRESETS[preset], **small), 0)
        first, *_, last = run(search, 4 if preset == "prdarts" else 2).history

        assert last.train_loss < first.train_loss - 0.3
        assert last.val_loss < first.val_loss - 0.3
        assert last.val_accuracy > least  # ten classes: chance is 0.1


class TestRandomness:
    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_search_and_another_seed_another(self) -> None:
        first, again, other = (rows(run(begin(seed=seed), 1)) for seed in (3, 3, 4))

        assert first == again
        assert first != other

    def test_nobody_else_s_random_numbers_have_a_say_or_are_used_up(self) -> None:
        results = []
        for others in (0, 1):
            torch.manual_seed(others)
            wanted = torch.rand(3)
            torch.manual_seed(others)
            results.append(rows(run(begin(), 1)))

            assert torch.equal(torch.rand(3), wanted)
        assert results[0] == results[1]


@cache
def uninterrupted(preset: str) -> GateSearch:
    """Return a search of three epochs that went through without a stop."""
    return run(begin(preset, warmup=1), 3)


class TestContinuing:
    @pytest.mark.slow
    @pytest.mark.parametrize("preset", ["prdarts", "pcdarts"])
    @pytest.mark.parametrize("stop", [1, 2])
    def test_continuing_after_an_epoch_equals_never_having_stopped_to_the_bit(
        self, stop: int, preset: str
    ) -> None:
        whole = uninterrupted(preset)
        second = begin(preset, warmup=1)
        second.restore(run(begin(preset, warmup=1), stop).to_bytes())
        run(second, 3 - stop)

        assert rows(second) == rows(whole)
        found, wanted = (safetensors.torch.load(each.to_bytes()) for each in (second, whole))
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)

    @pytest.mark.slow
    def test_the_epochs_so_far_are_part_of_a_checkpoint(self) -> None:
        first = run(begin(), 2)
        second = begin()
        second.restore(first.to_bytes())

        assert second.history == first.history
        assert second.genotype == first.genotype == Genotype.parse(first.history[-1].genotype)
