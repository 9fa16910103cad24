"""Squeeze-excitation and inverted residuals by width: torchvision's modules are the oracle."""

import copy

import pytest
import torch
from torch import nn
from torchvision.ops import SqueezeExcitation as TorchvisionSqueezeExcitation

from raynas.nets.cost import cost_table, module_cost
from raynas.nets.frozen import FrozenSupernet
from raynas.nets.fused_conv_bn import FusedConvNorm
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.isometry import measure_supernet
from raynas.nets.module_copies import working_copy
from raynas.nets.operations import MBConv
from raynas.nets.proxies import PROXIES
from raynas.nets.squeeze_excitation import SqueezeExcitation
from raynas.nets.subnet import subnet
from raynas.nets.supernet import batch_norms
from tests.builders import build_images, build_supernet
from tests.exported import SQUEEZED

PATH = SQUEEZED.check((0, 1, 0))


@pytest.mark.parametrize(
    ("squeeze", "kinds"),
    [
        (SqueezeExcitation(4, "relu", "hard_sigmoid"), (nn.ReLU, nn.Hardsigmoid)),
        (SqueezeExcitation(5, "silu", "sigmoid"), (nn.SiLU, nn.Sigmoid)),
    ],
)
def test_a_squeeze_excitation_computes_what_torchvision_s_does(
    squeeze: SqueezeExcitation, kinds: tuple[type[nn.Module], type[nn.Module]]
) -> None:
    mine, theirs = squeeze.build(7), TorchvisionSqueezeExcitation(7, squeeze.width, *kinds)
    own = list(mine.state_dict())
    mine.load_state_dict(dict(zip(own, theirs.state_dict().values(), strict=True)))
    x = 10 * build_images(3, 7, 5)

    torch.testing.assert_close(mine(x), theirs(x), rtol=0, atol=1e-6)
    assert not torch.equal(mine(x), x)


@pytest.mark.parametrize(("out_channels", "stride"), [(8, 1), (10, 2)])
@pytest.mark.parametrize("expansion", [1, 3])
def test_an_inverted_residual_of_a_multiple_of_the_input_s_width_is_an_mbconv(
    expansion: int, out_channels: int, stride: int
) -> None:
    rest = "relu6", "same", 1e-3
    block = MBConv(5, expansion, *rest).build(8, out_channels, stride)
    by_width = InvertedResidual(5, 8 * expansion, "relu6", None, "same", 1e-3)
    twin = by_width.build(8, out_channels, stride)
    twin.load_state_dict(block.state_dict())
    x = build_images(2, 8)

    assert torch.equal(twin(x), block(x))
    assert repr(twin) == repr(block)


def test_tensors_are_in_the_order_expand_depthwise_squeeze_project() -> None:
    squeezed = InvertedResidual(5, 12, "silu", SqueezeExcitation(3)).build(4, 6, 2)
    shapes = [tuple(each.shape) for each in squeezed.parameters() if each.dim() == 4]

    assert shapes == [(12, 4, 1, 1), (12, 1, 5, 5), (3, 12, 1, 1), (12, 3, 1, 1), (6, 12, 1, 1)]
    assert [norm.num_features for norm in batch_norms(squeezed)] == [12, 12, 6]


def test_costs_add_up_with_squeeze_excitations() -> None:
    network = subnet(SQUEEZED, PATH, 3, 3)

    assert cost_table(SQUEEZED, 33, 3, 3).of(PATH) == module_cost(
        network, torch.empty(1, 3, 33, 33)
    )


@pytest.mark.parametrize("path", [(0, 0, 0), (1, 1, 1), (0, 1, 2)])
def test_a_frozen_supernet_with_squeeze_excitations_has_the_plain_one_s_gradients(
    path: tuple[int, ...],
) -> None:
    architecture = SQUEEZED.check(path)
    plain = build_supernet(SQUEEZED).double().requires_grad_(False)
    fused = FrozenSupernet(copy.deepcopy(plain), "all_bn", train_classifier=True)
    images = build_images(4, 3, 33, torch.float64)
    norms = [p for norm in batch_norms(plain) for p in (norm.weight, norm.bias)]
    linear = [p for m in plain.modules() if isinstance(m, nn.Linear) for p in m.parameters()]
    for parameter in (*norms, *linear):
        parameter.requires_grad_()
    plain(images, architecture).square().sum().backward()
    wanted = [p.grad for p in (*norms, *linear) if p.grad is not None]
    got = torch.autograd.grad(
        fused.supernet(images, architecture).square().sum(), fused.parameters_on(architecture)
    )
    joined = [part for part in fused.supernet.modules() if isinstance(part, FusedConvNorm)]

    assert {type(part.activation) for part in joined} >= {nn.Hardswish, nn.SiLU}
    assert len(got) == len(wanted)
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)


def test_the_isometry_of_every_squeezed_candidate_is_measured() -> None:
    for batch_norm in (True, False):
        measured = measure_supernet(build_supernet(SQUEEZED), seed=0, batch_norm=batch_norm)

        assert len(measured) == sum(block.size for block in SQUEEZED.blocks)
        assert all(0 < isometry.phi < 10 for _, _, isometry in measured)


def test_activations_of_a_working_copy_leave_their_inputs_as_they_are() -> None:
    network = subnet(SQUEEZED, PATH, 3, 3)
    kinds = nn.Hardswish, nn.SiLU, nn.ReLU
    copied = [part for part in working_copy(network).modules() if isinstance(part, kinds)]

    assert {part.inplace for part in copied} == {False}
    assert all(part.inplace for part in network.modules() if isinstance(part, kinds))


@pytest.mark.parametrize("name", PROXIES)
def test_a_network_without_any_relu_has_every_score(name: str) -> None:
    network = subnet(SQUEEZED, SQUEEZED.check((1, 1, 1)), 3, 3).train()
    score = PROXIES[name](network, build_images(6, 3, 33), torch.arange(6) % 3)

    assert torch.isfinite(torch.tensor(score))
