"""The supernet: the path is an argument, and the two readings of the layer indicator."""

import pytest
import torch
from torch import nn

from raynas.nets.supernet import LayerIndicator, batch_norms
from raynas.search.sampling import fair_paths
from raynas.spaces.architecture import Architecture
from tests.builders import build_images, build_space, build_supernet

READINGS: tuple[LayerIndicator, ...] = ("path", "parallel", "none")


@pytest.mark.parametrize("reading", READINGS)
def test_a_path_is_its_stem_candidates_and_head_one_after_the_other(
    reading: LayerIndicator,
) -> None:
    supernet = build_supernet(build_space("RNRN", identity=True), reading)
    path, images = Architecture((0, 1, 2, 1)), build_images()
    x = supernet.stem(images)
    for layer, choice in enumerate(path):
        y = supernet.candidate(layer, choice)(x)
        beside = supernet.parallel[layer]
        x = y + beside(x) if isinstance(beside, nn.BatchNorm2d) else y

    assert torch.equal(supernet(images, path), supernet.head(x))


def test_the_path_is_an_argument_and_leaves_nothing_behind() -> None:
    supernet = build_supernet()
    images = build_images()
    paths = fair_paths([block.size for block in supernet.space.blocks], seed=0, step=0)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    first = [supernet(images, path) for path in paths]
    again = [supernet(images, path) for path in reversed(paths)][::-1]

    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(before[name], v) for name, v in supernet.state_dict().items())


def test_different_paths_give_different_logits() -> None:
    supernet = build_supernet(build_space("RN", identity=True))
    images = build_images()
    paths = [Architecture((a, b)) for a in range(3) for b in range(4)]
    logits = torch.stack([supernet(images, path) for path in paths])

    assert len({tuple(row.flatten().tolist()) for row in logits}) == 12


def test_as_a_path_a_chosen_identity_is_a_batch_norm_without_a_residual() -> None:
    supernet = build_supernet(build_space("N", identity=True), "path")
    x = build_images(4, 4)
    norm = supernet.candidate(0, 3)

    assert isinstance(norm, nn.BatchNorm2d)
    assert torch.equal(supernet.forward_layer(0, 3, x), norm(x))
    assert torch.equal(supernet.forward_layer(0, 1, x), supernet.candidate(0, 1)(x))


def test_in_parallel_a_normal_layer_adds_the_batch_norm_of_its_input() -> None:
    supernet = build_supernet(build_space("RN", identity=True), "parallel")
    x = build_images(4, 6)
    norm = supernet.parallel[1]

    assert isinstance(norm, nn.BatchNorm2d)
    assert torch.equal(supernet.forward_layer(1, 0, x), supernet.candidate(1, 0)(x) + norm(x))
    assert torch.equal(supernet.forward_layer(1, 3, x), norm(x))


def test_without_a_layer_indicator_a_chosen_identity_passes_its_input_on() -> None:
    supernet = build_supernet(build_space("N", identity=True), "none")
    x = build_images(4, 4)

    assert torch.equal(supernet.forward_layer(0, 3, x), x)


@pytest.mark.parametrize("reading", READINGS)
def test_reduction_layers_and_fixed_identities_carry_no_layer_indicator(
    reading: LayerIndicator,
) -> None:
    supernet = build_supernet(build_space("RIN", identity=True), reading)
    x = build_images(4, 6)

    assert not any(isinstance(supernet.parallel[layer], nn.BatchNorm2d) for layer in (0, 1))
    assert isinstance(supernet.parallel[2], nn.BatchNorm2d) is (reading == "parallel")
    assert torch.equal(supernet.forward_layer(1, 0, x), x)


def test_batch_norms_use_the_batch_at_hand_in_every_mode() -> None:
    supernet = build_supernet()
    path, images = Architecture((0,) * supernet.space.num_layers), build_images()
    trained = supernet.train()(images, path)

    assert torch.equal(trained, supernet.eval()(images, path))
    assert not any("running" in name or "num_batches" in name for name in supernet.state_dict())


@pytest.mark.parametrize("reading", READINGS)
def test_candidates_are_listed_layer_by_layer_in_the_order_of_their_indices(
    reading: LayerIndicator,
) -> None:
    supernet = build_supernet(build_space("RIN", identity=True), reading)
    listed = list(supernet.candidates())

    assert [(layer, choice) for layer, choice, _ in listed] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
        (2, 0),
        (2, 1),
        (2, 2),
        (2, 3),
    ]
    assert all(module is supernet.candidate(layer, choice) for layer, choice, module in listed)


def test_a_backward_pass_reaches_the_candidates_on_the_path_and_no_others() -> None:
    supernet = build_supernet(build_space("RNRN", identity=True))
    path = Architecture((0, 3, 2, 1))
    torch.autograd.backward(supernet(build_images(), path).square().sum())

    for layer, choice, module in supernet.candidates():
        on_path = path[layer] == choice
        assert all((p.grad is not None) is on_path for p in module.parameters())


def test_candidates_share_no_parameters() -> None:
    supernet = build_supernet(build_space("RNN", identity=True))
    owned = [id(p) for _, _, module in supernet.candidates() for p in module.parameters()]

    assert len(owned) == len(set(owned))


def test_batch_norms_are_listed_in_the_order_of_registration() -> None:
    module = nn.Sequential(nn.BatchNorm2d(1), nn.Sequential(nn.BatchNorm2d(2)), nn.BatchNorm2d(3))

    assert [norm.num_features for norm in batch_norms(module)] == [1, 2, 3]
    assert batch_norms(nn.Identity()) == []
