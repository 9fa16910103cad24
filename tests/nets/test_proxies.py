"""Zero-cost scores: golden values worked out by hand or numpy, and what they leave untouched."""

import io
import itertools
import json
import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from scipy.stats import kendalltau
from torch import nn
from torch.nn import functional

from raynas.nets.initialisation import initialise_
from raynas.nets.proxies import PROXIES, Proxy, grad_norm, jacob_cov, naswot, snip, synflow, zico
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space
from tests.builders import (
    SHARED_DATA,
    build_generator,
    build_images,
    build_space,
    shipped_cells,
    shipped_space,
)

Array = npt.NDArray[np.float64]
LABELS = torch.tensor([0, 2, 1, 0])


def linear(matrix: Any) -> nn.Linear:
    """Return the linear layer of a matrix, in double and without bias."""
    weight = torch.as_tensor(matrix, dtype=torch.float64)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    layer.weight.data.copy_(weight)
    return layer


def pixels(vectors: Any) -> torch.Tensor:
    """Return images of a single pixel, N x C x 1 x 1."""
    return torch.as_tensor(vectors, dtype=torch.float64)[:, :, None, None]


def random_matrices(*sizes: int) -> list[Array]:
    """Return Gaussian matrices that take a vector of the first size to one of the last."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(rows, columns)) for columns, rows in itertools.pairwise(sizes)]


def small_network(dropout: float = 0.0) -> nn.Module:
    """Return a network with depthwise convolutions, batch norms, ReLU6 in place and dropout."""
    network = subnet(build_space("RN"), Architecture((0, 2)), 3, 3, dropout)
    initialise_(network, "qr", seed=0)
    return network


@pytest.mark.parametrize("name", PROXIES)
def test_a_score_leaves_the_network_and_the_images_as_they_were(name: str) -> None:
    network, images = small_network(dropout=0.5), build_images()
    network[1].eval()
    next(network.parameters()).requires_grad_(False)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    before, pictures = traits(network), images.clone()
    PROXIES[name](network, images, LABELS)

    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    assert all(bool((p.grad == 7).all()) for p in network.parameters() if p.grad is not None)
    assert traits(network) == before
    assert torch.equal(images, pictures)
    assert not images.requires_grad


def traits(network: nn.Module) -> list[tuple[Any, ...]]:
    """Return kind, mode, place and number of hooks of all modules, and what learns."""
    modules = [
        (type(part), part.training, getattr(part, "inplace", None), len(part._forward_pre_hooks))
        for part in network.modules()
    ]
    parameters = [(p.requires_grad, p.grad is None, p.dtype) for p in network.parameters()]
    return [*modules, *parameters]


@pytest.mark.parametrize("name", PROXIES)
def test_a_score_is_finite_and_the_same_again_in_any_mode_and_with_dropout(name: str) -> None:
    score, images = PROXIES[name], build_images()
    value = score(small_network(), images, LABELS)

    assert math.isfinite(value)
    assert score(small_network(dropout=0.5), images, LABELS) == value
    assert score(small_network().eval(), images, LABELS) == value
    with torch.no_grad():
        assert score(small_network(), images, LABELS) == value


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.ReLU6(inplace=True), nn.ReLU()])
def test_naswot_counts_the_signs_that_two_images_share(activation: nn.Module) -> None:
    """Signs +++, +-- and -++ share 1, 2 and 0: det [[3, 1, 2], [1, 3, 0], [2, 0, 3]] = 12."""
    network = nn.Sequential(nn.Flatten(), linear([[1, 0], [0, 1], [1, 3]]), activation)
    images = pixels([[9, 9], [1, -2], [-1, 3]])

    assert naswot(network, images, LABELS[:3]) == pytest.approx(math.log(12))


def test_naswot_adds_the_counts_of_all_activations() -> None:
    """The first sees the signs +++, +-- and ---, the second ++, +0 and 00; 0 counts as -."""
    network = nn.Sequential(
        nn.Flatten(),
        linear([[1, 0], [0, 1], [1, 3]]),
        nn.ReLU(inplace=True),
        linear([[1, 1, 1], [0, 1, 1]]),
        nn.ReLU6(inplace=True),
    )
    images = pixels([[9, 9], [1, -2], [-1, -1]])
    signs = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0]], dtype=float)
    kernel = signs @ signs.T + (1 - signs) @ (1 - signs).T

    wanted = np.log(np.linalg.det(kernel))
    assert naswot(network, images, LABELS[:3]) == pytest.approx(wanted)


def test_naswot_of_images_that_all_relus_see_alike_is_minus_infinity() -> None:
    network = nn.Sequential(nn.Flatten(), linear([[1, 0], [0, 1]]), nn.ReLU())

    assert naswot(network, pixels([[1, 2], [2, 1]]), LABELS[:2]) == -math.inf


def test_naswot_normalises_by_the_batch_and_not_by_running_statistics() -> None:
    """Both images are positive, but one of them lies below the batch's mean."""
    norm = nn.BatchNorm2d(1, dtype=torch.float64).eval()
    network = nn.Sequential(norm, nn.ReLU(inplace=True))

    assert naswot(network, pixels([[1], [2]]), LABELS[:2]) == pytest.approx(math.log(1))
    assert naswot(network[1:], pixels([[1], [2]]), LABELS[:2]) == -math.inf


def linear_case() -> tuple[nn.Module, torch.Tensor, list[Array], list[Array]]:
    """Return a linear network, its images, its two matrices and their gradients by numpy.

    With G = (softmax(z) - onehot) / N the gradients of the mean cross-entropy at the logits
    z = W2 W1 x are dW2 = G^T (W1 x) and dW1 = (W2^T G^T) x.
    """
    first, second = random_matrices(5, 4, 3)
    images = np.random.default_rng(1).normal(size=(4, 5))
    hidden = images @ first.T
    exponentials = np.exp(hidden @ second.T)
    share = exponentials / exponentials.sum(axis=1, keepdims=True) - np.eye(3)[LABELS.numpy()]
    gradients = [(share @ second).T @ images / 4, share.T @ hidden / 4]
    network = nn.Sequential(nn.Flatten(), linear(first), linear(second))
    return network, pixels(images), [first, second], gradients


def test_grad_norm_of_a_linear_network_is_the_sum_of_its_gradients_norms() -> None:
    network, images, _, gradients = linear_case()

    wanted = sum(np.linalg.norm(gradient) for gradient in gradients)
    assert grad_norm(network, images, LABELS) == pytest.approx(wanted)


def test_snip_of_a_linear_network_is_the_sum_of_weights_times_gradients() -> None:
    network, images, matrices, gradients = linear_case()

    wanted = sum(np.abs(w * g).sum() for w, g in zip(matrices, gradients, strict=True))
    assert snip(network, images, LABELS) == pytest.approx(wanted)


@pytest.mark.parametrize("score", [grad_norm, snip])
def test_scores_by_the_loss_depend_on_the_labels(score: Proxy) -> None:
    network, images, _, _ = linear_case()

    other = score(network, images, (LABELS + 1) % 3)
    assert score(network, images, LABELS) != pytest.approx(other)


def test_scores_by_the_loss_sum_over_convolutions_and_linear_layers_alone() -> None:
    """Batch norms use the batch's statistics, and neither they nor biases are summed up."""
    network, images = small_network(), build_images()
    functional.cross_entropy(network(images), LABELS).backward()
    weights = [p for p in network.parameters() if p.dim() > 1]
    value = {
        grad_norm: sum(float(p.grad.norm()) for p in weights if p.grad is not None),
        snip: sum(float((p.detach() * p.grad).abs().sum()) for p in weights if p.grad is not None),
    }

    assert len(weights) == 8  # of the stem, two and three of blocks, and two of the head
    for score, wanted in value.items():
        assert score(small_network(), images, LABELS) == pytest.approx(wanted, rel=1e-4)


def test_synflow_of_a_linear_network_is_twice_the_product_of_sums() -> None:
    """R = 1^T |W2| |W1| 1, and the weights of each of the two layers add up to R."""
    first, second = random_matrices(5, 4, 3)
    network = nn.Sequential(nn.Flatten(), linear(first), nn.ReLU(), linear(second)).float()
    images = torch.randn(4, 5, 1, 1, generator=build_generator())
    flow = np.abs(second).sum(axis=0) @ np.abs(first).sum(axis=1)

    assert synflow(network, images, LABELS) == pytest.approx(math.log(2 * flow), rel=1e-6)


def test_synflow_sees_neither_images_nor_labels_nor_signs_nor_batch_norms() -> None:
    network, images = small_network(), build_images()
    value = synflow(network, images, LABELS)
    scaled = small_network()
    for name, parameter in scaled.named_parameters():
        is_norm = parameter.dim() == 1
        parameter.data.mul_(5.0 if is_norm and "weight" in name else -1.0)

    assert synflow(network, -3 * images[:2], LABELS[2:]) == value
    assert synflow(scaled, images, LABELS) == value


def test_synflow_counts_products_over_layers_whose_sum_no_single_can_hold() -> None:
    """40 layers that each multiply by 2e4: single ends at 3e38, and (2e4)^40 is 1e172."""
    layers = [linear(np.full((2, 2), 1e4)).float() for _ in range(40)]
    network = nn.Sequential(nn.Flatten(), *layers)
    wanted = math.log(40) + 40 * math.log(2e4) + math.log(2)

    assert synflow(network, torch.ones(1, 2, 1, 1), LABELS) == pytest.approx(wanted)


def test_synflow_takes_relu6_for_a_relu_whose_flow_has_no_limit() -> None:
    layers = nn.Sequential(nn.Flatten(), linear([[5.0, 5.0]]), nn.ReLU6(), linear([[1.0]]))

    assert synflow(layers, pixels([[1, 1]]), LABELS) == pytest.approx(math.log(2 * 10))


def test_jacob_cov_is_made_of_the_eigenvalues_of_the_gradients_correlations() -> None:
    """An image's gradient of the summed output is W1^T diag(W1 x > 0) W2^T 1."""
    first, second = random_matrices(6, 8, 3)
    images = np.random.default_rng(1).normal(size=(4, 6))
    network = nn.Sequential(nn.Flatten(), linear(first), nn.ReLU(inplace=True), linear(second))
    gradients = ((images @ first.T > 0) * second.sum(axis=0)) @ first
    values = np.linalg.eigvalsh(np.corrcoef(gradients))

    wanted = -float(np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5)))
    assert jacob_cov(network, pixels(images), LABELS) == pytest.approx(wanted)


def test_jacob_cov_is_best_where_every_image_is_treated_in_its_own_way() -> None:
    """Gradients that are not correlated at all have eigenvalues of 1: -N; alike ones are worse."""
    own = nn.Sequential(nn.Flatten(), linear(np.eye(4)), nn.ReLU(), linear([[1, 1, 1, 1]]))
    patterns = pixels([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    alike = own[:2]

    assert jacob_cov(own, patterns, LABELS[:3]) == pytest.approx(-3, abs=1e-4)
    assert jacob_cov(nn.Sequential(*alike, linear([[1, 2, 3, 4]])), patterns, LABELS[:3]) < -1000


def test_zico_adds_logarithms_over_layers_of_what_gradients_of_two_halves_share() -> None:
    """With two gradients mean |g| / deviation is (|a| + |b|) / |a - b|."""
    layers = [linear(matrix) for matrix in random_matrices(6, 5, 3)]
    network = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1])
    images = pixels(np.random.default_rng(1).normal(size=(4, 6)))
    gradients = []
    for half in (slice(0, 2), slice(2, 4)):
        loss = functional.cross_entropy(network(images[half]), LABELS[half])
        gradients.append(torch.autograd.grad(loss, [layer.weight for layer in layers]))
    wanted = 0.0
    for a, b in zip(*(map(torch.Tensor.numpy, each) for each in gradients), strict=True):
        differ = a != b
        wanted += np.log(((np.abs(a) + np.abs(b))[differ] / np.abs(a - b)[differ]).sum())

    assert zico(network, images, LABELS) == pytest.approx(wanted)


def test_zico_leaves_out_weights_whose_gradients_are_the_same_on_both_halves() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, bias=False)).double()
    pictures = torch.ones(4, 2, 1, 1, dtype=torch.float64)

    assert zico(network, pictures, torch.tensor([0, 1, 0, 1])) == 0.0


@cache
def drawn_networks(space: Space) -> list[nn.Module]:
    """Return two networks of a space."""
    rng, networks = np.random.default_rng(0), []
    for _ in range(2):
        choices = Architecture(int(rng.integers(block.size)) for block in space.blocks)
        networks.append(subnet(space, choices, space.in_channels, 3))
        initialise_(networks[-1], "qr", seed=0)
    return networks


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize(
    "space", [shipped_cells(), shipped_space("small_mobile")], ids=["cells", "layers"]
)
def test_a_score_tells_networks_apart_whether_of_cells_or_of_layers(
    space: Space, name: str
) -> None:
    images = build_images(4, space.in_channels, 16)
    one, other = (PROXIES[name](network, images, LABELS) for network in drawn_networks(space))

    assert math.isfinite(one)
    assert math.isfinite(other)
    assert one != other


def cifar_batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first test images of CIFAR-10, normalised, and their labels."""
    rows = pq.read_table(SHARED_DATA / "cifar10" / "test.parquet").slice(0, count).to_pylist()
    pictures = [np.array(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
    images = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return (images - 0.5) / 0.25, torch.tensor([row["label"] for row in rows])


@pytest.mark.data
@pytest.mark.skipif(not (SHARED_DATA / "cifar10").is_dir(), reason="no ../shared/data/cifar10")
@pytest.mark.skipif(
    not (SHARED_DATA / "nas_bench_macro").is_dir(), reason="no ../shared/data/nas_bench_macro"
)
def test_naswot_ranks_untrained_networks_better_than_chance() -> None:
    """By chance Kendall's tau of 24 networks is 0 +- 0.15."""
    file = SHARED_DATA / "nas_bench_macro" / "development.json"
    table = json.loads(file.read_text(encoding="utf-8"))
    keys = np.random.default_rng(0).choice(sorted(table), 24, replace=False).tolist()
    space, (images, labels) = shipped_space("nas_bench_macro"), cifar_batch(16)
    scores = []
    for key in keys:
        network = subnet(space, space.parse(key), 3, 10)
        initialise_(network, "qr", seed=0)
        scores.append(naswot(network, images, labels))

    assert kendalltau(scores, [table[key]["mean_acc"] for key in keys]).statistic > 0.4
