"""Retraining: learning, averaging, continuing, and weights that work elsewhere."""

import json
import math
import os
import shutil
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from raynas.data.batches import Batches, normalise
from raynas.data.dataset import Dataset
from raynas.data.whole_training_part import with_whole_training_part
from raynas.errors import StageError
from raynas.nets.cells import Cell
from raynas.nets.stems_heads import TwoStateStem
from raynas.nets.subnet import subnet
from raynas.seeds import Stream
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space
from raynas.training.evaluation import evaluate
from raynas.training.retraining import Retraining
from tests.builders import shipped_cells, shipped_space
from tests.data.samples import MIRRORED, build_dataset, digits, tiny_space
from tests.training.reads import Reads

PATH = Architecture((0, 1, 2))
CPU = torch.device("cpu")


def begin(
    dataset: Dataset | None = None,
    path: Architecture = PATH,
    seed: int = 0,
    **settings: Any,
) -> Retraining:
    """Return a retraining at epoch 0, with everything random switched on."""
    usual = RetrainSettings(epochs=4, batch=16, dropout=0.3, ema_decay=0.9)
    return Retraining(
        tiny_space(),
        path,
        dataset or build_dataset(crops=MIRRORED),
        replace(usual, **settings),
        seed,
    )


def of_cells(images: Dataset, **settings: Any) -> Retraining:
    """Return a retraining of cells that read the last cell before them, not the one before it."""
    space, usual = shipped_cells(), RetrainSettings(batch=16, learning_rate=0.1)
    cell = "sep3(1) skip_connect(1) | sep3(1) sep3(2) | dil3(1) sep3(2) | sep3(1) dil3(4)"
    path = space.parse(f"normal: {cell}; reduction: {cell}")
    return Retraining(space, path, images, replace(usual, **settings), 0)


def on_two_states(images: Dataset, **settings: Any) -> Retraining:
    """Return a retraining of DARTS' genotype in its network for ImageNet, narrow and short."""
    shipped = shipped_cells("darts_cells_imagenet")
    space = replace(shipped, stem=TwoStateStem(8), channels=8, cells=3)
    chosen = RetrainSettings(batch=16, learning_rate=0.1, **settings)
    return Retraining(space, space.parse("DARTS_V2"), images, chosen, 0)


def train(retraining: Retraining, epochs: int) -> Retraining:
    """Train for so many epochs."""
    for _ in range(epochs):
        retraining.run_epoch()
    return retraining


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of a network's weights and statistics."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def rows_of(retraining: Retraining) -> list[tuple[float, ...]]:
    """Return what the epochs did, but for how long they took."""
    return [
        (e.epoch, e.train_loss, e.val_loss, e.val_accuracy, e.learning_rate)
        for e in retraining.history
    ]


class TestAllImages:
    def test_what_is_trained_on_the_validation_images_too_has_no_accuracy_there(self) -> None:
        dataset = build_dataset(crops=MIRRORED)
        retraining = begin(with_whole_training_part(dataset))
        epoch = retraining.run_epoch()

        assert epoch.val_loss is epoch.val_accuracy is epoch.val_balanced_accuracy is None
        assert math.isfinite(epoch.train_loss)
        assert retraining.steps_per_epoch == math.ceil((48 + 24) / 16)
        assert 0 <= retraining.evaluate("test").accuracy <= 1
        again = begin(with_whole_training_part(dataset))
        again.restore(retraining.to_bytes())
        assert again.history == retraining.history

    def test_it_begins_with_the_weights_of_the_first_training(self) -> None:
        first, final = begin(), begin(with_whole_training_part(build_dataset(crops=MIRRORED)))

        assert first.weights() == final.weights()


class TestLearning:
    @pytest.mark.slow
    def test_a_subnet_learns_the_digits_far_beyond_chance(self) -> None:
        settings = RetrainSettings(epochs=3, batch=16, learning_rate=0.1)
        retraining = Retraining(
            shipped_space("small_mobile"),
            Architecture([0] * 6),
            digits(train=320, held_out=100),
            settings,
            0,
        )
        train(retraining, settings.epochs)
        losses = [epoch.train_loss for epoch in retraining.history]

        assert retraining.history[-1].val_accuracy > 0.6  # ten classes: chance is 0.1
        assert retraining.evaluate("test").accuracy > 0.6
        assert losses[-1] < losses[0]

    @pytest.mark.slow
    def test_a_network_of_cells_learns_the_digits_far_beyond_chance(self) -> None:
        retraining = of_cells(digits(train=320, held_out=100), epochs=3, ema_decay=0.0)
        train(retraining, 3)

        assert retraining.history[-1].val_accuracy > 0.6  # ten classes: chance is 0.1

    @pytest.mark.slow
    def test_a_network_of_cells_for_imagenet_learns_images_of_64_pixels(self) -> None:
        images = build_dataset(count=48, side=64)
        retraining = train(on_two_states(images, epochs=3, drop_path=0.1, ema_decay=0.0), 3)

        assert retraining.history[-1].train_loss < retraining.history[0].train_loss
        assert math.isfinite(retraining.history[-1].val_accuracy)

    def test_a_network_of_cells_continues_as_if_it_had_not_been_interrupted(self) -> None:
        """Its cells read no state but the last: some weights never have a gradient."""
        images = digits(train=64, held_out=20)
        settings = {"epochs": 2, "ema_decay": 0.9, "drop_path": 0.3}
        whole, first, second = (of_cells(images, **settings) for _ in range(3))
        train(whole, 2)
        train(first, 1)
        second.restore(first.to_bytes())
        train(second, 1)

        assert rows_of(second) == rows_of(whole)

    def test_drop_path_rises_from_nothing_to_its_probability(self) -> None:
        retraining = of_cells(digits(train=64, held_out=20), epochs=2, drop_path=0.4)
        cells = [part for part in retraining._network.modules() if isinstance(part, Cell)]
        found = []
        for step in range(2 * retraining.steps_per_epoch):
            retraining.train_step(step)
            found.append([cell.drop_path for cell in cells])

        assert np.allclose(found, [[0.4 * step / 8] * 5 for step in range(8)])

    def test_an_epoch_looks_at_every_training_image(self) -> None:
        assert begin(build_dataset(count=33)).steps_per_epoch == 3
        assert begin(build_dataset(count=32)).steps_per_epoch == 2

    def test_the_learning_rate_is_a_cosine_to_zero_over_all_epochs(self) -> None:
        retraining = train(begin(learning_rate=0.5, epochs=4), 4)
        steps = [4 * retraining.steps_per_epoch, retraining.steps_per_epoch]
        wanted = [
            0.25 * (1 + math.cos(math.pi * (epoch * steps[1] - 1) / steps[0]))
            for epoch in (1, 2, 3, 4)
        ]

        assert [epoch.learning_rate for epoch in retraining.history] == pytest.approx(wanted)
        assert [epoch.epoch for epoch in retraining.history] == [1, 2, 3, 4]

    def test_weights_decay_in_convolutions_and_the_classifier_alone(self) -> None:
        retraining = begin(weight_decay=0.25, ema_decay=0.0)
        decays = {
            id(parameter): group["weight_decay"]
            for group in retraining._optimiser.param_groups
            for parameter in group["params"]
        }
        for part in retraining.evaluated.modules():
            for name, parameter in part.named_parameters(recurse=False):
                decays_here = isinstance(part, nn.Conv2d | nn.Linear) and name == "weight"
                assert decays[id(parameter)] == (0.25 if decays_here else 0.0)

    def test_dropout_is_at_work_while_training_and_off_while_evaluating(self) -> None:
        retraining = begin(dropout=0.3)
        dropouts = [p for p in retraining.evaluated.modules() if isinstance(p, nn.Dropout)]
        train(retraining, 1)

        assert [part.p for part in dropouts] == [0.3]
        assert retraining.evaluate("val") == retraining.evaluate("val")

    @pytest.mark.parametrize("clip", [0.0, 0.01])
    def test_gradients_are_clipped_to_a_norm_unless_it_is_zero(self, clip: float) -> None:
        retraining = begin(
            clip=clip, learning_rate=1.0, momentum=1e-9, weight_decay=0.0, ema_decay=0.0
        )
        before = weights_of(retraining.evaluated)
        retraining.train_step(0)
        moved = [
            (value - before[name]).flatten()
            for name, value in retraining.evaluated.named_parameters()
        ]

        norm = torch.cat(moved).norm().item()
        assert norm == pytest.approx(clip, rel=1e-3) if clip else norm > 0.05


class TestRandomness:
    def test_the_same_seed_gives_the_same_weights_and_another_seed_others(self) -> None:
        first, again, other = (train(begin(seed=seed), 1).weights() for seed in (3, 3, 4))

        assert first == again
        assert first != other

    def test_nobody_else_s_random_numbers_have_a_say(self) -> None:
        results = []
        for others in (0, 1):
            torch.manual_seed(others)
            results.append(train(begin(), 2).weights())

        assert results[0] == results[1]

    def test_every_epoch_drops_other_features(self) -> None:
        retraining = begin(dropout=0.5, ema_decay=0.0)
        (dropout,) = [p for p in retraining.evaluated.modules() if isinstance(p, nn.Dropout)]
        dropped, kept = [], []

        def look(_: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            if dropout.training:
                dropped.append((inputs[0] != 0) & (output == 0))
                kept.append(output != 0)

        dropout.register_forward_hook(look)
        train(retraining, 2)

        second = retraining.steps_per_epoch  # the first step of the second epoch
        assert (dropped[0] & kept[second]).any()

    def test_the_random_numbers_of_everyone_else_are_left_alone(self) -> None:
        torch.manual_seed(0)
        wanted = torch.rand(3)
        torch.manual_seed(0)
        train(begin(), 1)

        assert torch.equal(torch.rand(3), wanted)


class TestAverage:
    def test_the_averaged_weights_warm_up_from_the_first_step(self) -> None:
        retraining = begin(ema_decay=0.9)
        wanted: dict[str, torch.Tensor] = {}
        for step in range(6):
            retraining.train_step(step)
            now = weights_of(retraining._network)
            decay = min(0.9, (1 + step) / (10 + step)) if step else 0.0
            wanted = {
                name: decay * wanted.get(name, value).double() + (1 - decay) * value.double()
                for name, value in now.items()
                if value.is_floating_point()
            }

        averaged = weights_of(retraining.evaluated)
        assert averaged.keys() >= wanted.keys()
        for name, value in wanted.items():  # statistics of batch norms are averaged as well
            assert torch.allclose(averaged[name].double(), value, atol=1e-5)

    def test_without_a_decay_the_last_weights_are_evaluated(self) -> None:
        retraining = train(begin(ema_decay=0.0), 1)

        assert retraining.evaluated is retraining._network

    def test_validation_looks_at_the_averaged_weights(self) -> None:
        retraining = begin(ema_decay=0.99)
        epoch = retraining.run_epoch()
        dataset = build_dataset()
        averaged = evaluate(retraining.evaluated, dataset.val, dataset, CPU)
        last = evaluate(retraining._network, dataset.val, dataset, CPU)

        assert epoch.val_loss == averaged.loss != last.loss
        assert epoch.val_accuracy == averaged.accuracy


@cache
def uninterrupted(ema_decay: float) -> Retraining:
    """Return a retraining of three epochs that went through without a stop."""
    return train(begin(ema_decay=ema_decay, epochs=3), 3)


class TestContinuing:
    @pytest.mark.parametrize("ema_decay", [0.0, 0.9])
    @pytest.mark.parametrize("stop", [0, 1, 2, 3])
    def test_continuing_after_any_epoch_equals_never_having_stopped(
        self, stop: int, ema_decay: float
    ) -> None:
        whole = uninterrupted(ema_decay)
        first = train(begin(ema_decay=ema_decay, epochs=3), stop)
        second = begin(ema_decay=ema_decay, epochs=3, seed=0)
        second.restore(first.to_bytes())
        train(second, 3 - stop)

        assert second.epoch == 3
        assert rows_of(second) == rows_of(whole)
        assert second.weights() == whole.weights()
        assert second.evaluate("test") == whole.evaluate("test")

    def test_a_snapshot_is_of_its_moment_whatever_is_trained_before_its_file_is_made(self) -> None:
        retraining = train(begin(), 1)
        wanted, make = retraining.to_bytes(), retraining.snapshot()
        train(retraining, 1)

        assert make() == wanted != retraining.to_bytes()

    def test_the_epochs_so_far_are_part_of_a_checkpoint(self) -> None:
        first = train(begin(), 2)
        second = begin()
        second.restore(first.to_bytes())

        assert second.history == first.history
        assert second.epoch == 2

    def test_an_epoch_of_an_older_raynas_has_no_balanced_accuracy(self) -> None:
        first = train(begin(), 1)
        content = first.to_bytes()
        row = asdict(first.history[0])
        row.pop("val_balanced_accuracy")
        old = {"history": json.dumps([row])}
        second = begin()
        second.restore(safetensors.torch.save(safetensors.torch.load(content), old))

        assert second.history == [replace(first.history[0], val_balanced_accuracy=None)]


EVERYTHING: dict[str, Any] = {
    "optimiser": "adamw",
    "learning_rate": 0.01,
    "schedule": "linear",
    "warmup_epochs": 0.5,
    "decayed": "all",
    "recalibration_batches": 3,
    "mixup": 0.2,
    "cutmix": 1.0,
    "augment": "trivial",
    "random_erasing": 0.3,
    "cutout": 3,
    "class_weights": "balanced",
}


class TestInherited:
    @staticmethod
    def begin(space: Space, path: Architecture, images: Dataset, **settings: Any) -> Retraining:
        """Return a retraining that inherits all but its last part."""
        last = f"{len(subnet(space, path, images.channels, images.num_classes)) - 1}."
        names = dict(subnet(space, path, images.channels, images.num_classes).named_parameters())
        inherited = frozenset(name for name in names if not name.startswith(last))
        usual = RetrainSettings(epochs=2, batch=16, inherited_factor=0.1, ema_decay=0.0)
        chosen = replace(usual, **settings)
        return Retraining(space, path, images, chosen, 0, inherited=inherited)

    def test_it_moves_less_and_continues_to_the_same_bits(self) -> None:
        images = build_dataset(crops=MIRRORED)
        plain = {"momentum": 1e-9, "weight_decay": 0.0, "clip": 0.0, "dropout": 0.0}
        whole, first, second = (self.begin(tiny_space(), PATH, images) for _ in range(3))
        train(whole, 2)
        train(first, 1)
        second.restore(first.to_bytes())
        train(second, 1)

        assert second.weights() == whole.weights()
        assert rows_of(second) == rows_of(whole)
        moved = []
        for factor in (1.0, 0.1):
            training = self.begin(tiny_space(), PATH, images, inherited_factor=factor, **plain)
            before = weights_of(training.evaluated)
            training.train_step(0)
            now = dict(training.evaluated.named_parameters())
            moved.append({name: now[name] - before[name] for name in now})
        for name, step in moved[0].items():
            share = 1.0 if name.startswith("4.") else 0.1
            torch.testing.assert_close(moved[1][name], share * step, rtol=1e-2, atol=1e-6)

    def test_the_recorded_rate_is_that_of_what_is_new_also_where_nothing_is(self) -> None:
        images = build_dataset()
        names = dict(subnet(tiny_space(), PATH, 3, 3).named_parameters())
        usual = RetrainSettings(epochs=2, batch=16, inherited_factor=0.1)
        all_old = Retraining(tiny_space(), PATH, images, usual, 0, inherited=frozenset(names))

        assert all_old.run_epoch().learning_rate == begin(epochs=2).run_epoch().learning_rate

    def test_names_are_those_of_the_network_also_where_a_second_head_learns_beside_it(self) -> None:
        cells = shipped_cells()
        cell = "sep3(1) skip_connect(1) | sep3(1) sep3(2) | dil3(1) sep3(2) | sep3(1) dil3(4)"
        path = cells.parse(f"normal: {cell}; reduction: {cell}")
        training = self.begin(cells, path, digits(train=64, held_out=20), auxiliary=0.4)
        sizes = [len(group["params"]) for group in training._optimiser.param_groups]
        old = [len(g["params"]) for g in training._optimiser.param_groups if g["share"] == 0.1]
        classifier = [name for name, _ in training._network[-1].named_parameters()]

        assert sum(old) == len(list(training._network.parameters())) - len(classifier)
        assert sum(sizes) == len(list(training._learning.parameters()))


class TestRecipes:
    @pytest.mark.parametrize("optimiser", ["sgd", "rmsprop", "adamw"])
    def test_with_everything_switched_on_a_training_continues_to_the_same_bits(
        self, optimiser: str
    ) -> None:
        settings = EVERYTHING | {"optimiser": optimiser, "epochs": 2}
        torch.manual_seed(4)
        whole, first, second = (begin(**settings) for _ in range(3))
        before = torch.random.get_rng_state()
        train(whole, 2)
        train(first, 1)
        second.restore(first.to_bytes())
        train(second, 1)

        assert rows_of(second) == rows_of(whole)
        assert second.weights() == whole.weights()
        assert torch.equal(torch.random.get_rng_state(), before)

    @pytest.mark.parametrize("change", [{"augment": "rand"}, {"mixup": 1.0}, {"cutout": 4}])
    def test_what_is_done_to_images_is_at_work_in_steps_and_not_in_validation(
        self, change: dict[str, Any]
    ) -> None:
        plain, other = begin(epochs=1), begin(epochs=1, **change)

        assert plain.evaluate("val") == other.evaluate("val")
        assert plain.train_step(0) != other.train_step(0)

    def test_a_checkpoint_of_an_older_raynas_names_momenta_by_numbers_alone(self) -> None:
        first, second = train(begin(), 1), begin()
        tensors = safetensors.torch.load(first.to_bytes())
        older = {name.removesuffix(".momentum_buffer"): each for name, each in tensors.items()}
        history = {"history": json.dumps([asdict(epoch) for epoch in first.history])}
        second.restore(safetensors.torch.save(older, history))

        assert "optimiser.0" in older
        assert train(second, 1).weights() == train(first, 1).weights()

    @pytest.mark.parametrize("ema_decay", [0.0, 0.9])
    def test_statistics_are_averaged_anew_after_the_last_epoch_alone_before_it_is_validated(
        self, ema_decay: float
    ) -> None:
        settings = {"ema_decay": ema_decay, "epochs": 2}
        again, before = begin(recalibration_batches=4, **settings), begin(**settings)
        train(again, 1)
        train(before, 1)

        assert again.weights() == before.weights()
        train(again, 1)
        train(before, 1)
        network = subnet(tiny_space(), PATH, 3, 3)
        network.load_state_dict(before.evaluated.state_dict())
        batches = Batches(build_dataset(), 16, 0, Stream.RETRAINING, crops=MIRRORED)
        images = [normalise(batches(step)[0], build_dataset()) for step in range(6, 10)]
        update_bn(images, network)

        for name, value in network.state_dict().items():
            torch.testing.assert_close(again.evaluated.state_dict()[name], value)
        assert rows_of(again)[1][1] == rows_of(before)[1][1]  # the loss of training
        assert again.history[1].val_loss == again.evaluate("val").loss
        assert again.history[1].val_loss != before.history[1].val_loss

    def test_rare_classes_count_more_where_they_are_balanced(self) -> None:
        dataset = build_dataset(count=48)
        labels = np.where(np.arange(48) < 40, 0, np.arange(48) % 3)
        dataset = replace(dataset, train=replace(dataset.train, labels=labels))
        found = [
            train(begin(dataset, class_weights=kind, epochs=1), 1).history[0].train_loss
            for kind in ("none", "balanced")
        ]

        assert found[0] < found[1]  # classes that it has hardly seen

    def test_an_auxiliary_head_teaches_and_is_no_part_of_what_is_evaluated_and_saved(self) -> None:
        images = digits(train=64, held_out=20)
        plain, taught = (of_cells(images, epochs=1, auxiliary=weight) for weight in (0.0, 0.4))
        start = plain.weights(), taught.weights()
        losses = [each.train_step(0).item() for each in (plain, taught)]
        again = of_cells(images, epochs=1, auxiliary=0.4)
        again.restore(taught.to_bytes())
        learned = safetensors.torch.load(taught.to_bytes())
        restored = safetensors.torch.load(again.to_bytes())

        assert start[0] == start[1]
        assert losses[1] > losses[0]
        assert len(taught.weights()) == len(plain.weights())
        assert plain.weights() != taught.weights()
        assert any(name.startswith("auxiliary.") for name in learned)
        assert learned.keys() == restored.keys()
        assert all(torch.equal(value, restored[name]) for name, value in learned.items())


class TestFailures:
    def test_a_loss_that_diverges_stops_the_trial_and_names_the_setting(self) -> None:
        retraining = begin(learning_rate=1e30, clip=0.0, momentum=0.9)

        with pytest.raises(
            StageError, match=r"epoch 1: the loss is .*--retrain\.learning-rate.*1e\+30"
        ):
            train(retraining, 2)
        assert retraining.epoch == 0


class TestWeights:
    @pytest.mark.parametrize("path", [PATH, Architecture((2, 3, 3))])
    def test_saved_weights_work_in_a_plain_subnet_of_the_same_architecture(
        self, path: Architecture
    ) -> None:
        dataset = build_dataset()
        retraining = train(begin(dataset, path), 2)
        network = subnet(tiny_space(), path, dataset.channels, dataset.num_classes)
        network.load_state_dict(safetensors.torch.load(retraining.weights()))

        elsewhere = evaluate(network, dataset.test, dataset, CPU)
        assert elsewhere == retraining.evaluate("test")


def has_compiler() -> bool:
    """Return whether torch can compile for this machine's CPU."""
    return any(shutil.which(os.environ.get("CXX", name)) for name in ("g++", "clang++"))


@pytest.fixture(scope="module")
def pair() -> tuple[Retraining, Retraining]:
    """Return the same retraining as it is and compiled, after two epochs."""
    plain, fast = (begin(compile=choice, dropout=0.0, epochs=3) for choice in (False, True))
    return train(plain, 2), train(fast, 2)


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler, which torch.compile needs here")
class TestCompiled:
    def test_a_compiled_network_comes_to_the_same_but_for_rounding(
        self, pair: tuple[Retraining, Retraining]
    ) -> None:
        wanted, found = (weights_of(each.evaluated) for each in pair)

        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)
        assert np.allclose(*map(rows_of, pair), rtol=1e-3)

    def test_weights_and_checkpoints_have_the_names_of_the_network_itself(
        self, pair: tuple[Retraining, Retraining]
    ) -> None:
        for content in (Retraining.weights, Retraining.to_bytes):
            plain, fast = (safetensors.torch.load(content(each)) for each in pair)
            assert plain.keys() == fast.keys()

    def test_a_checkpoint_of_the_one_is_continued_as_one_of_the_other(
        self, pair: tuple[Retraining, Retraining]
    ) -> None:
        losses = []
        for each in pair:
            again = begin(dropout=0.0, epochs=3)
            again.restore(each.to_bytes())
            losses.append(again.run_epoch().train_loss)

        assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_step_asks_the_device_for_nothing() -> None:
    retraining = Retraining(
        tiny_space(), Architecture((0, 1, 2)), build_dataset(), RetrainSettings(), 0
    )
    retraining.train_step(0)
    with Reads() as reads:
        retraining.train_step(1)

    assert reads.found == []
