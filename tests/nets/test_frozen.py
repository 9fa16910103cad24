"""Which parameters learn, and their place in the flat vector."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.frozen import FrozenSupernet, TrainedSet
from raynas.nets.operations import Identity
from raynas.nets.supernet import LayerIndicator, Supernet, batch_norms
from raynas.search.sampling import fair_paths
from raynas.spaces.architecture import Architecture
from raynas.spaces.parameter_layout import indices_on
from tests.builders import build_frozen, build_images, build_space, build_supernet

READINGS: tuple[LayerIndicator, ...] = ("path", "parallel", "none")
SETS: tuple[TrainedSet, ...] = ("last_bn", "all_bn", "all", "weights")


@dataclass(frozen=True)
class Renamed:
    """A block whose batch norms hide behind names that say nothing."""

    name: str = "renamed"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Build a convolution and two batch norms."""
        module = nn.Sequential()
        module.add_module("bn_like_conv", nn.Conv2d(in_channels, out_channels, 1, stride))
        module.add_module("x", nn.BatchNorm2d(out_channels))
        module.add_module("last", nn.BatchNorm2d(out_channels))
        return module


@dataclass(frozen=True)
class Bare:
    """A convolution without a batch norm."""

    name: str = "bare"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Build the convolution."""
        return nn.Conv2d(in_channels, out_channels, 1, stride)


def trained(frozen: FrozenSupernet) -> set[int]:
    """Return the ids of the parameters that learn."""
    return {id(p) for p in frozen.supernet.parameters() if p.requires_grad}


def norms_of(frozen: FrozenSupernet, trained_set: TrainedSet) -> list[nn.BatchNorm2d]:
    """Return the batch norms that should learn, by their role in the module tree."""
    supernet = frozen.supernet
    norms = [*batch_norms(supernet.stem), *batch_norms(supernet.head)]
    norms = norms if trained_set != "last_bn" else []
    for _, _, module in supernet.candidates():
        found = batch_norms(module)
        norms += found if trained_set != "last_bn" else found[-1:]
    return norms + [n for beside in supernet.parallel for n in batch_norms(beside)]


def classifier_of(supernet: Supernet) -> nn.Linear:
    """Return the linear layer of the head."""
    (found,) = [part for part in supernet.head.modules() if isinstance(part, nn.Linear)]
    return found


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("trained_set", ["last_bn", "all_bn"])
@pytest.mark.parametrize("train_classifier", [True, False])
def test_batch_norms_of_the_trained_set_learn_and_nothing_else(
    reading: LayerIndicator, trained_set: TrainedSet, train_classifier: bool
) -> None:
    space = build_space("RNIRN", identity=True)
    frozen = build_frozen(space, reading, trained_set, train_classifier=train_classifier)
    expected = {id(p) for norm in norms_of(frozen, trained_set) for p in norm.parameters()}
    if train_classifier:
        expected |= {id(p) for p in classifier_of(frozen.supernet).parameters()}

    assert trained(frozen) == expected


@pytest.mark.parametrize("train_classifier", [True, False])
def test_of_all_every_parameter_learns_but_a_frozen_classifier(train_classifier: bool) -> None:
    frozen = build_frozen(trained="all", train_classifier=train_classifier)
    expected = {id(p) for p in frozen.supernet.parameters()}
    if not train_classifier:
        expected -= {id(p) for p in classifier_of(frozen.supernet).parameters()}

    assert trained(frozen) == expected


@pytest.mark.parametrize("train_classifier", [True, False])
def test_of_weights_all_but_batch_norms_learn_which_have_neither_scale_nor_shift(
    train_classifier: bool,
) -> None:
    supernet = build_supernet(initialisation="spos")
    frozen = FrozenSupernet(supernet, "weights", train_classifier)
    norms = {id(p): p for norm in batch_norms(supernet) for p in norm.parameters()}
    expected = {id(p) for p in supernet.parameters()} - set(norms)
    if not train_classifier:
        expected -= {id(p) for p in classifier_of(supernet).parameters()}

    assert trained(frozen) == expected
    assert {part.role for part in frozen.segments} <= {"weight", "classifier"}
    assert {float(value) for p in norms.values() for value in p} == {0.0, 1.0}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("trained_set", SETS)
def test_segments_cover_the_vector_end_to_end(
    reading: LayerIndicator, trained_set: TrainedSet
) -> None:
    frozen = build_frozen(None, reading, trained_set, train_classifier=True)
    segments = frozen.segments

    assert segments[0].start == 0
    assert segments[-1].stop == len(frozen.vector)
    assert all(a.stop == b.start for a, b in itertools.pairwise(segments))
    assert len(frozen.vector) == sum(
        p.numel() for p in frozen.supernet.parameters() if p.requires_grad
    )


def test_a_fresh_vector_holds_ones_zeros_and_the_classifier() -> None:
    supernet = build_supernet()
    classifier = classifier_of(supernet).weight.flatten().clone()
    frozen = FrozenSupernet(supernet, "all_bn", train_classifier=True)
    by_role = {
        role: torch.cat(
            [frozen.vector[s.start : s.stop] for s in frozen.segments if s.role == role]
        )
        for role in ("gamma", "beta", "classifier")
    }

    assert frozen.vector.dtype == torch.float32
    assert torch.all(by_role["gamma"] == 1)
    assert torch.all(by_role["beta"] == 0)
    assert torch.equal(by_role["classifier"][: len(classifier)], classifier)


def test_the_parameters_are_views_into_the_vector() -> None:
    frozen = build_frozen(trained="all_bn", train_classifier=True)
    with torch.no_grad():
        frozen.vector.copy_(torch.arange(len(frozen.vector), dtype=torch.float32))
    path = Architecture((0,) * frozen.supernet.space.num_layers)
    held = torch.cat([p.detach().flatten() for p in frozen.parameters_on(path)])

    assert torch.equal(held, torch.from_numpy(indices_on(frozen.segments, path)).float())


def test_a_change_of_the_vector_changes_the_logits() -> None:
    frozen = build_frozen()
    path, images = Architecture((0,) * frozen.supernet.space.num_layers), build_images()
    before = frozen.supernet(images, path)
    frozen.vector.mul_(torch.linspace(0.5, 2, len(frozen.vector)))

    assert not torch.allclose(before, frozen.supernet(images, path))


def test_after_a_move_the_parameters_are_still_views_into_the_vector() -> None:
    frozen = build_frozen()
    path, images = Architecture((0,) * frozen.supernet.space.num_layers), build_images()
    before = frozen.supernet(images, path)
    frozen.to(torch.device("cpu"))

    torch.testing.assert_close(frozen.supernet(images, path), before)
    frozen.vector.zero_()
    assert not any(torch.count_nonzero(p) for p in frozen.parameters_on(path))


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("trained_set", SETS)
def test_the_parameters_of_a_path_are_those_that_its_gradient_reaches(
    reading: LayerIndicator, trained_set: TrainedSet
) -> None:
    frozen = build_frozen(build_space("RNIRN", identity=True), reading, trained_set)
    for path in (Architecture((0, 3, 0, 2, 1)), Architecture((1, 0, 0, 0, 3))):
        frozen.supernet.zero_grad()
        torch.autograd.backward(frozen.supernet(build_images(), path).square().sum())
        reached = {id(p) for p in frozen.supernet.parameters() if p.grad is not None}

        assert {id(p) for p in frozen.parameters_on(path)} == reached


@pytest.mark.parametrize("reading", ["path", "parallel"])
def test_each_candidate_and_each_normal_layer_has_one_indicator_scale(
    reading: LayerIndicator,
) -> None:
    space = build_space("RNIN", identity=False)
    space = space if reading == "parallel" else space.with_identity(Identity())
    frozen = build_frozen(space, reading, "all_bn")
    marked = [(s.layer, s.candidate) for s in frozen.segments if s.is_indicator]
    third = 3 if reading == "path" else None

    assert {s.role for s in frozen.segments if s.is_indicator} == {"gamma"}
    assert marked == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 2),
        (1, third),
        (3, 0),
        (3, 1),
        (3, 2),
        (3, third),
    ]


@pytest.mark.parametrize("trained_set", SETS[:3])
def test_the_indicator_is_the_batch_norm_registered_last_whatever_its_name(
    trained_set: TrainedSet,
) -> None:
    frozen = build_frozen(build_space("R", (Renamed(),)), "none", trained_set)
    inner, *_, last = batch_norms(frozen.supernet.candidate(0, 0))
    (part,) = [s for s in frozen.segments if s.is_indicator]

    assert torch.equal(frozen.vector[part.start : part.stop], last.weight)
    assert inner.weight.requires_grad is (trained_set != "last_bn")


def test_an_operation_without_a_batch_norm_is_refused_by_its_name() -> None:
    supernet = build_supernet(build_space("RN", (Renamed(), Bare())))

    with pytest.raises(UserError, match="layer 0: operation bare has no batch norm"):
        FrozenSupernet(supernet, "last_bn", train_classifier=False)


def test_after_a_fair_step_every_trained_number_has_a_gradient() -> None:
    frozen = build_frozen(trained="all_bn", train_classifier=True)
    images, labels = build_images(), torch.tensor([0, 1, 2, 0])
    for path in fair_paths([block.size for block in frozen.supernet.space.blocks], 0, 0):
        torch.autograd.backward(nn.functional.cross_entropy(frozen.supernet(images, path), labels))

    assert all((p.grad is not None) is p.requires_grad for p in frozen.supernet.parameters())


def test_training_moves_scales_and_shifts_and_leaves_all_other_weights_alone() -> None:
    frozen = build_frozen(trained="all_bn")
    supernet = frozen.supernet
    norms = {id(p) for norm in batch_norms(supernet) for p in norm.parameters()}
    before = [(p, p.detach().clone()) for p in supernet.parameters()]
    optimiser = torch.optim.SGD(supernet.parameters(), lr=0.5, weight_decay=0.1)
    images, labels = build_images(), torch.tensor([0, 1, 2, 0])
    for path in fair_paths([block.size for block in supernet.space.blocks], 0, 0):
        torch.autograd.backward(nn.functional.cross_entropy(supernet(images, path), labels))
    optimiser.step()

    assert all(torch.equal(p, old) is (id(p) not in norms) for p, old in before)


def test_candidates_that_were_not_sampled_do_not_move_even_with_momentum() -> None:
    frozen = build_frozen(build_space("RN"))
    parameters = [p for p in frozen.supernet.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(parameters, lr=0.5, momentum=0.9)
    images, labels = build_images(), torch.tensor([0, 1, 2, 0])
    for path in (Architecture((0, 0)), Architecture((1, 1))):
        before = frozen.vector.clone()
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(frozen.supernet(images, path), labels))
        optimiser.step()
        moved = torch.nonzero(before != frozen.vector).flatten()

        assert set(moved.tolist()) <= set(indices_on(frozen.segments, path).tolist())
        assert len(moved) > 0
