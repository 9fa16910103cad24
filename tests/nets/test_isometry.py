"""Moments of input-output Jacobians: exact cases, the estimator, and what is left untouched."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from raynas.nets.initialisation import initialise_, orthogonal_
from raynas.nets.isometry import Isometry, measure, measure_supernet
from raynas.nets.operations import MBConv, conv
from tests.builders import build_generator, build_images, build_space, build_supernet


def measured(module: nn.Module, channels: int = 4, side: int = 4, **options: int) -> Isometry:
    """Return a module's isometry in double."""
    images = build_images(16, channels, side, torch.float64)
    return measure(module.double(), images, build_generator(), **options)


def pointwise(matrix: list[list[float]]) -> nn.Conv2d:
    """Return the 1x1 convolution of a matrix."""
    weight = torch.tensor(matrix)
    layer = conv(weight.shape[1], weight.shape[0])
    layer.weight.data.copy_(weight[:, :, None, None])
    return layer


@pytest.mark.parametrize("exact_size", [10_000, 0])
def test_the_moments_of_a_known_map_are_its_squared_singular_values(exact_size: int) -> None:
    """diag(1, 2, 3) has squares 1, 4, 9: their mean is 14/3, of their squares 98/3."""
    module = pointwise([[1, 0, 0], [0, 2, 0], [0, 0, 3]])
    found = measured(module, 3, exact_size=exact_size)

    assert found.phi == pytest.approx(14 / 3)
    assert found.varphi == pytest.approx(98 / 3 - (14 / 3) ** 2)
    assert found.largest_singular_value == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize(
    "matrix", [[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
)
@pytest.mark.parametrize("exact_size", [10_000, 0])
def test_traces_are_divided_by_the_smaller_of_inputs_and_outputs(
    matrix: list[list[float]], exact_size: int
) -> None:
    """An embedding is an isometry; so is its transpose, whose other directions do not count."""
    module = pointwise(matrix)
    found = measured(module, len(matrix[0]), exact_size=exact_size)

    assert found.phi == pytest.approx(1, abs=1e-10)
    assert found.varphi == pytest.approx(0, abs=1e-10)
    assert found.largest_singular_value == pytest.approx(1, rel=1e-3)


def test_an_orthogonal_expansion_is_an_isometry() -> None:
    module = conv(4, 12)
    orthogonal_(module.weight.data, build_generator())
    found = measured(module)

    assert found.phi == pytest.approx(1, abs=1e-5)
    assert found.varphi == pytest.approx(0, abs=1e-5)


def test_an_orthogonal_projection_after_an_expansion_keeps_phi_at_one() -> None:
    """Alone it has phi = inputs / outputs, for then its trace is divided by the outputs."""
    expand, project = conv(16, 48), conv(48, 16)
    for layer in (expand, project):
        orthogonal_(layer.weight.data, build_generator(layer.in_channels))

    assert measured(project, 48, side=2).phi == pytest.approx(3, rel=1e-5)
    found = measured(nn.Sequential(expand, project), 16, side=2)
    assert found.phi == pytest.approx(1, abs=0.15)
    assert found.varphi == pytest.approx(1 - 1 / 3, abs=0.25)  # a corner of a Haar matrix (8.7)


def test_the_estimate_agrees_with_the_exact_moments() -> None:
    module = MBConv(3, 2).build(4, 4, 1)
    initialise_(module, "qr", seed=0)
    exact, estimated = measured(module, side=6), measured(module, side=6, exact_size=0)
    rel = exact.varphi / exact.phi**2
    error = math.sqrt(2 * (1 + rel) / (8 * 4 * 36))  # relative, of phi from 8 vectors

    assert exact.varphi > 0.1
    assert estimated.phi == pytest.approx(exact.phi, rel=4 * error)
    assert estimated.varphi == pytest.approx(exact.varphi, rel=0.5)
    assert estimated.largest_singular_value == pytest.approx(exact.largest_singular_value, rel=0.05)
    assert estimated.largest_singular_value <= exact.largest_singular_value * (1 + 1e-9)


def test_batch_norms_are_calibrated_with_the_whole_batch_and_then_fixed() -> None:
    """With the batch's statistics the Jacobian of y = BN(x) is a division by sigma."""
    norm = nn.BatchNorm2d(2)
    norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    images = build_images(64, 2, 4, torch.float64) * torch.tensor([1.0, 4.0])[:, None, None]
    sigma = images.transpose(0, 1).flatten(1).std(dim=1)
    found = measure(norm.double(), images, build_generator())

    assert found.phi == pytest.approx(float((sigma**-2).mean()), rel=1e-3)
    assert found.largest_singular_value == pytest.approx(1 / float(sigma.min()), rel=1e-3)
    assert found.output_variance == pytest.approx(1, rel=1e-2)


def test_measuring_leaves_the_module_as_it_was() -> None:
    supernet = build_supernet(build_space("RN", identity=True))
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    measure_supernet(supernet, seed=0)
    modes = {part.training for part in supernet.modules()}
    activations = [part.inplace for part in supernet.modules() if isinstance(part, nn.ReLU6)]

    assert supernet.state_dict().keys() == before.keys()
    assert all(torch.equal(before[name], v) for name, v in supernet.state_dict().items())
    assert modes == {True}
    assert activations
    assert all(activations)
    assert all(p.requires_grad for p in supernet.parameters())


def test_every_candidate_of_a_supernet_is_measured_and_the_same_seed_measures_the_same() -> None:
    supernet = build_supernet(build_space("RN", identity=True))
    rows = measure_supernet(supernet, seed=0)

    assert [row[:2] for row in rows] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert all(row[2].phi > 0 and math.isfinite(row[2].varphi) for row in rows)
    assert measure_supernet(supernet, seed=0) == rows
    assert measure_supernet(supernet, seed=1) != rows


def test_the_identity_of_the_layer_indicator_is_near_an_isometry_for_unit_inputs() -> None:
    rows = measure_supernet(build_supernet(build_space("N", identity=True)), seed=0)
    identity = rows[3][2]

    assert identity.phi == pytest.approx(1, abs=0.05)
    assert identity.varphi == pytest.approx(0, abs=0.01)
    assert identity.output_variance == pytest.approx(1, abs=0.02)


def test_without_batch_norms_weights_alone_are_measured_and_the_supernet_keeps_its_own() -> None:
    supernet = build_supernet(build_space("RN", identity=True))
    rows = measure_supernet(supernet, 0, batch_norm=False, brief=True)

    assert rows[6][2] == Isometry(1.0, 0.0, None, rows[6][2].output_variance)  # the identity
    assert [row[2].phi for row in rows] != [row[2].phi for row in measure_supernet(supernet, 0)]
    assert isinstance(supernet.candidate(1, 3), nn.BatchNorm2d)


def test_a_brief_measurement_has_the_same_moments_and_no_singular_value() -> None:
    supernet = build_supernet(build_space("RN", identity=True))
    pairs = zip(
        measure_supernet(supernet, 0), measure_supernet(supernet, 0, brief=True), strict=True
    )

    for (*_, full), (*_, brief) in pairs:
        assert full.largest_singular_value is not None
        assert brief == replace(full, largest_singular_value=None)
