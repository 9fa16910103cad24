"""Frozen weights: what they are, and that any machine rebuilds them from the seed."""

import hashlib
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.initialisation import (
    Initialisation,
    delta_depthwise_,
    frozen_supernet,
    gaussian_,
    initialise_,
    orthogonal_,
    orthogonal_depthwise_,
    shift_,
)
from raynas.nets.operations import MBConv, conv, depthwise
from raynas.settings.settings import Settings
from tests.builders import (
    build_generator,
    build_space,
    build_supernet,
    run_python,
    shipped_space,
)

KINDS: tuple[Initialisation, ...] = ("qr", "shift", "gaussian", "spos", "delta")


def fingerprint(module: nn.Module) -> str:
    """Return a hash of all parameters by name."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's parameters by name."""
    return dict(module.named_parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(kind: Initialisation) -> None:
    first = fingerprint(build_supernet(initialisation=kind, seed=3))

    assert fingerprint(build_supernet(initialisation=kind, seed=3)) == first
    assert fingerprint(build_supernet(initialisation=kind, seed=4)) != first


def test_another_process_rebuilds_the_same_weights() -> None:
    program = (
        "import hashlib, torch\n"
        "from pathlib import Path\n"
        "from raynas.nets.initialisation import frozen_supernet\n"
        "from raynas.spaces.loading import load_space\n"
        "torch.rand(3)\n"
        "space = load_space('small_mobile', Path('search_spaces'))\n"
        "supernet = frozen_supernet(space, 1, 10, 'path', 'qr', 5)\n"
        "digest = hashlib.sha256()\n"
        "for name, value in supernet.state_dict().items():\n"
        "    digest.update(name.encode() + value.numpy().tobytes())\n"
        "print(digest.hexdigest())"
    )
    here = frozen_supernet(shipped_space("small_mobile"), 1, 10, "path", "qr", 5)

    assert run_python(program) == fingerprint(here)


def test_rebuilding_neither_reads_nor_moves_torchs_global_generator() -> None:
    torch.manual_seed(0)
    first = fingerprint(build_supernet())
    after = torch.rand(1)
    torch.manual_seed(0)

    assert torch.equal(after, torch.rand(1))
    assert fingerprint(build_supernet()) == first


def test_a_candidates_weights_do_not_depend_on_what_else_is_in_the_supernet() -> None:
    space = build_space("RNN")
    short = weights(build_supernet(space, "none"))
    long = weights(build_supernet(build_space("RNNRN", identity=True), "path"))
    shared = [name for name in short if name.startswith("layers.") and "conv" not in name]

    assert shared
    assert all(torch.equal(short[name], long[name]) for name in shared)


def test_no_two_modules_get_the_same_weights() -> None:
    """Each draws from its own stream: equal candidates of different layers differ."""
    supernet = build_supernet(build_space("NN"))
    first, second = (weights(supernet.candidate(layer, 2)) for layer in (0, 1))
    convs = [name for name, value in first.items() if value.dim() == 4]

    assert len(convs) == 3
    assert not any(torch.equal(first[name], second[name]) for name in convs)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "spos"])
def test_batch_norms_start_at_one_and_zero_and_the_classifier_is_orthogonal_without_shift(
    kind: Initialisation,
) -> None:
    supernet = build_supernet(initialisation=kind)
    for part in supernet.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert torch.equal(part.weight, torch.ones_like(part.weight))
            assert torch.equal(part.bias, torch.zeros_like(part.bias))
        if isinstance(part, nn.Linear):
            gram = part.weight @ part.weight.T  # 3 classes x 6 features: rows are orthonormal
            torch.testing.assert_close(gram, torch.eye(3), atol=1e-5, rtol=0)
            assert torch.count_nonzero(part.bias) == 0


class OffsetModule(nn.Module):
    """Adds a weight that is neither a convolution's nor a batch norm's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.randn(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input, shifted."""
        return x + self.offset


@dataclass(frozen=True)
class Offset:
    """A person's own operation."""

    name: str = "offset"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:  # noqa: ARG002
        """Build the shift."""
        return OffsetModule(in_channels)


def test_weights_of_a_persons_own_kind_come_from_the_seed_too() -> None:
    def offset(seed: int) -> torch.Tensor:
        module = build_supernet(build_space("N", (Offset(),)), seed=seed).candidate(0, 0)
        assert isinstance(module, OffsetModule)
        return module.offset

    assert torch.equal(offset(1), offset(1))
    assert not torch.equal(offset(1), offset(2))


@pytest.mark.parametrize(
    ("out_channels", "in_channels", "kernel"), [(8, 8, 1), (24, 8, 1), (8, 24, 1), (8, 3, 3)]
)
def test_a_dense_convolution_is_orthogonal_and_scaled_to_phi_one(
    out_channels: int, in_channels: int, kernel: int
) -> None:
    """W^T W = 1 where it expands; W W^T = (fan-in / outputs) 1 where it projects."""
    weight = torch.empty(out_channels, in_channels, kernel, kernel)
    orthogonal_(weight, build_generator())
    matrix = weight.flatten(1)
    rows, columns = matrix.shape
    gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T * rows / columns

    torch.testing.assert_close(gram, torch.eye(min(rows, columns)), atol=1e-5, rtol=0)
    # mean squared singular value over min(rows, columns) is 1 or fan-in / outputs
    assert float((matrix**2).sum()) == pytest.approx(columns, rel=1e-5)


@pytest.mark.parametrize(("channels", "kernel"), [(4, 3), (9, 3), (24, 3), (8, 7)])
def test_an_orthogonal_depthwise_convolution_has_unit_filters(channels: int, kernel: int) -> None:
    weight = torch.empty(channels, 1, kernel, kernel)
    orthogonal_depthwise_(weight, build_generator())
    matrix = weight.flatten(1)

    torch.testing.assert_close(matrix.norm(dim=1), torch.ones(channels))
    if channels <= kernel * kernel:  # then the filters are orthogonal to each other as well
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(channels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_a_shift_has_one_tap_of_one_or_minus_one_per_channel_at_places_of_its_window(
    kernel: int,
) -> None:
    weight = torch.empty(400, 1, kernel, kernel)
    shift_(weight, build_generator())
    taps = weight.flatten(1)

    assert torch.equal(taps.abs().sum(dim=1), torch.ones(400))
    assert set(taps.flatten().tolist()) == {-1.0, 0.0, 1.0}
    assert torch.all(taps.abs().sum(dim=0) > 0)  # every place of the window is used
    assert abs(float(taps.sum())) < 80  # signs are even


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_a_delta_is_one_or_minus_one_at_the_centre(kernel: int) -> None:
    weight = torch.empty(16, 1, kernel, kernel)
    delta_depthwise_(weight, build_generator())
    centre = weight[:, 0, kernel // 2, kernel // 2]

    assert torch.equal(centre.abs(), torch.ones(16))
    assert torch.count_nonzero(weight) == 16


@pytest.mark.parametrize("shape", [(64, 32, 1, 1), (32, 16, 3, 3), (256, 1, 5, 5)])
def test_gaussian_weights_have_bn_nas_standard_deviation(shape: tuple[int, ...]) -> None:
    weight = torch.empty(shape)
    gaussian_(weight, build_generator())

    expected = math.sqrt(2 / (shape[2] * shape[3] * shape[0]))
    assert float(weight.std()) == pytest.approx(expected, rel=0.06)
    assert float(weight.mean()) == pytest.approx(0, abs=0.1 * expected)


@pytest.mark.parametrize("kind", KINDS)
def test_every_initialisation_fills_weights_in_double(kind: Initialisation) -> None:
    module = MBConv(3, 2).build(4, 4, 1).double()
    initialise_(module, kind, seed=0)

    assert all(torch.isfinite(value).all() for value in module.parameters())


def test_each_kind_of_convolution_gets_what_fits_it() -> None:
    def filled(module: nn.Conv2d, kind: Initialisation) -> torch.Tensor:
        initialise_(module, kind, seed=0)
        return module.weight.detach().flatten(1)

    for kind in ("qr", "shift", "delta"):
        dense = filled(conv(8, 8), kind)
        torch.testing.assert_close(dense @ dense.T, torch.eye(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(filled(depthwise(8, 3), "qr").norm(dim=1), torch.ones(8))
    assert torch.count_nonzero(filled(depthwise(8, 3), "qr")) == 72
    assert torch.count_nonzero(filled(depthwise(8, 3), "shift")) == 8
    assert torch.count_nonzero(filled(depthwise(8, 3), "delta")[:, 4]) == 8
    gaussian = filled(conv(8, 8), "gaussian")
    assert not torch.allclose(gaussian @ gaussian.T, torch.eye(8), atol=1e-2)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 1, 2**64])
def test_a_seed_gives_weights_unless_settings_refuse_it(seed: int) -> None:
    try:
        Settings(seed=seed)
    except UserError:
        return
    weights = build_supernet(build_space("R"), seed=seed).state_dict().values()

    assert all(torch.isfinite(weight).all() for weight in weights)


def test_spos_weights_have_the_deviations_of_its_published_code() -> None:
    supernet = build_supernet(shipped_space("shufflenet_v2"), initialisation="spos")
    convs = [part for part in supernet.modules() if isinstance(part, nn.Conv2d)]
    first, *others = convs
    (classifier,) = [part for part in supernet.modules() if isinstance(part, nn.Linear)]
    norms = [part for part in supernet.modules() if isinstance(part, nn.BatchNorm2d)]

    assert first.weight.std().item() == pytest.approx(0.01, rel=0.15)
    for other in others:  # 1 / C_in of each group: 1 where it is depthwise
        wanted = 1 / other.weight.shape[1]
        assert other.weight.std().item() == pytest.approx(wanted, rel=0.15)
        assert abs(other.weight.mean().item()) < 0.15 * wanted
    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert all(norm.weight.eq(1).all() and norm.bias.eq(1e-4).all() for norm in norms)
