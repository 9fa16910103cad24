import copy

import pytest
import torch
from torch import nn

from raynas.nets.frozen import FrozenSupernet
from raynas.nets.fused_conv_bn import FusedConvNorm, fuse_
from raynas.nets.initialisation import frozen_supernet
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.operations import Identity, MBConv
from raynas.nets.supernet import batch_norms
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import Operation
from tests.builders import shipped_space

ACTIVATIONS = [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, None]


def build_row(
    activation: type[nn.Module] | None,
    in_channels: int = 4,
    out_channels: int = 6,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
) -> nn.ModuleList:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    conv.requires_grad_(False)
    norm = nn.BatchNorm2d(out_channels, track_running_stats=False)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 3.0)
        norm.bias.uniform_(-0.5, 1.5)
    return nn.ModuleList([nn.Sequential(conv, norm, *([activation()] if activation else []))])


def gradients(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    leaf = x.clone().requires_grad_()
    norms = batch_norms(module)
    wanted = [leaf, *(p for norm in norms for p in (norm.weight, norm.bias))]
    output = module(leaf)
    weights = torch.linspace(-1, 1, output.numel(), dtype=x.dtype).view_as(output)
    return [output, *torch.autograd.grad((output * weights).sum(), wanted)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "shape", [(4, 6, 3, 1, 1), (6, 6, 5, 2, 6), (2, 16, 1, 1, 1)], ids=["dense", "dw", "recomputed"]
)
def test_the_fused_step_has_the_gradients_of_the_plain_modules(
    activation: type[nn.Module] | None, shape: tuple[int, int, int, int, int]
) -> None:
    torch.manual_seed(0)
    plain = build_row(activation, *shape).double()
    fused = copy.deepcopy(plain)
    fuse_(fused)
    x = torch.randn(3, shape[0], 7, 7, dtype=torch.float64)

    assert isinstance(fused[0][0], FusedConvNorm)
    for got, wanted in zip(gradients(fused[0], x), gradients(plain[0], x), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradients_are_those_of_finite_differences(activation: type[nn.Module] | None) -> None:
    torch.manual_seed(1)
    row = build_row(activation, 2, 3).double()
    fuse_(row)
    norm = batch_norms(row)[0]

    def function(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        norms = {"0.0.norm.weight": gamma, "0.0.norm.bias": beta}
        output: torch.Tensor = torch.func.functional_call(Chain(row), norms, (x,))
        return output

    class Chain(nn.Module):
        def __init__(self, rows: nn.ModuleList) -> None:
            super().__init__()
            self.add_module("0", rows[0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.get_submodule("0")(x)
            return output

    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    inputs = (x, norm.weight.detach().requires_grad_(), norm.bias.detach().requires_grad_())

    assert torch.autograd.gradcheck(function, inputs)


def kept_bytes(module: nn.Module, x: torch.Tensor) -> int:
    owned = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held = module(x)
    del held
    return sum(kept.values())


@pytest.mark.parametrize("operation", [MBConv(3, 6), InvertedResidual(3, 192, "silu")])
def test_a_block_keeps_little_more_than_a_third_for_the_backward_pass(operation: Operation) -> None:
    block = operation.build(32, 32, 1)
    block.requires_grad_(False)
    for norm in batch_norms(block):
        norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
        norm.requires_grad_()
    fused = nn.ModuleList([copy.deepcopy(block)])
    fuse_(fused)
    x = torch.randn(4, 32, 16, 16)

    assert kept_bytes(fused[0], x) < 0.37 * kept_bytes(block, x)


def test_what_does_not_fit_stays_as_it_is() -> None:
    misfits = [
        nn.Conv2d(2, 2, 3, bias=True),
        nn.Conv2d(2, 2, 3, bias=False, dilation=2),
        nn.Conv2d(2, 2, 3, bias=False, padding=1, padding_mode="circular"),
        nn.Conv2d(2, 2, 3, bias=False, padding="same"),
        nn.Conv2d(2, 2, 3, bias=False, stride=(1, 2)),
    ]
    trained = nn.Conv2d(2, 2, 3, bias=False)
    rows = nn.ModuleList(
        nn.Sequential(conv, nn.BatchNorm2d(2))
        for conv in [*(misfit.requires_grad_(False) for misfit in misfits), trained]
    )
    fuse_(rows)

    assert not [part for part in rows.modules() if isinstance(part, FusedConvNorm)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "shufflenet_v2", "nas_bench_macro", "mobilenet_v3_small"]
)
def test_a_fused_supernet_has_the_gradients_of_the_plain_one(name: str) -> None:
    space = shipped_space(name).with_identity(Identity())
    plain = frozen_supernet(space, 3, 10, "path", "qr", 0).double()
    norms = [p for norm in batch_norms(plain) for p in (norm.weight, norm.bias)]
    path = Architecture(layer % block.size for layer, block in enumerate(space.blocks))
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    plain.requires_grad_(False)
    for parameter in norms:
        parameter.requires_grad_()
    plain(images, path).square().sum().backward()
    wanted = [parameter.grad for parameter in norms if parameter.grad is not None]

    frozen = FrozenSupernet(
        frozen_supernet(space, 3, 10, "path", "qr", 0).double(), "all_bn", False
    )
    loss = frozen.supernet(images, path).square().sum()
    got = torch.autograd.grad(loss, frozen.parameters_on(path))

    assert any(isinstance(part, FusedConvNorm) for part in frozen.supernet.modules())
    assert len(got) == len(wanted)
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(4, 6, 3, 1, 1), (6, 6, 5, 2, 6), (2, 16, 1, 1, 1)])
def test_the_fused_step_follows_autocast_to_bfloat16_and_back(
    shape: tuple[int, int, int, int, int],
) -> None:
    torch.manual_seed(0)
    plain = build_row(nn.ReLU6, *shape)
    fused = copy.deepcopy(plain)
    fuse_(fused)
    x = torch.randn(3, shape[0], 7, 7).contiguous(memory_format=torch.channels_last)

    with torch.autocast("cpu", torch.bfloat16):
        got, wanted = gradients(fused[0], x), gradients(plain[0], x)

    assert [part.dtype for part in got] == [part.dtype for part in wanted]
    assert torch.equal(got[0], wanted[0])
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(
            one, other, rtol=0, atol=0.01 * float(other.detach().abs().max())
        )


def test_the_gradient_of_the_input_has_the_layout_of_the_input() -> None:
    """Else the next backward convolution copies it first."""
    torch.manual_seed(0)
    row = build_row(nn.ReLU6)
    fuse_(row)
    for layout in (torch.channels_last, torch.contiguous_format):
        x = torch.randn(2, 4, 7, 7).contiguous(memory_format=layout).requires_grad_()
        (grad,) = torch.autograd.grad(row[0](x).square().sum(), [x])
        assert grad.is_contiguous(memory_format=layout)
