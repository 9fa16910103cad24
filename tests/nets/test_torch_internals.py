"""That the torch which is installed still has what raynas takes from it without a promise."""

import math
from unittest import mock

import pytest
import torch
from torch import nn

from raynas.nets.torch_internals import (
    NO_CEILING,
    TRIED_WITH,
    compute_dtype,
    convolve_back,
    draw_shares,
    forward_derivative,
    gate,
    hard_swish_back,
    normalise,
    normalise_again,
    normalise_back,
    silu_back,
)
from tests.versions import changed, found, is_oldest, missing_parameters

TAKES = {  # operators and what they take
    "native_batch_norm.default": "Tensor input, Tensor? weight, Tensor? bias, "
    "Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps",
    "native_batch_norm_backward.default": "Tensor grad_out, Tensor input, Tensor? weight, "
    "Tensor? running_mean, Tensor? running_var, Tensor? save_mean, Tensor? save_invstd, "
    "bool train, float eps, bool[3] output_mask",
    "convolution_backward.default": "Tensor grad_output, Tensor input, Tensor weight, "
    "SymInt[]? bias_sizes, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, "
    "SymInt[] output_padding, SymInt groups, bool[3] output_mask",
    "_sample_dirichlet.default": "Tensor self, Generator? generator=None",
    "threshold_backward.grad_input": "Tensor grad_output, Tensor self, Scalar threshold, *, "
    "Tensor(a!) grad_input",
    "hardtanh_backward.grad_input": "Tensor grad_output, Tensor self, Scalar min_val, "
    "Scalar max_val, *, Tensor(a!) grad_input",
    "hardswish_backward.default": "Tensor grad_output, Tensor self",
    "silu_backward.default": "Tensor grad_output, Tensor self",
}
PARAMETERS = {  # of what torch documents in its source alone, or calls experimental
    "torch.utils.flop_counter.FlopCounterMode": ("display",),
    "torch.utils.flop_counter.FlopCounterMode.get_total_flops": (),
    "torch.nn.utils.fusion.fuse_conv_bn_eval": ("conv", "bn"),
    "torch.fx.Tracer.is_leaf_module": ("m", "module_qualified_name"),
    "torch.fx.Graph.python_code": ("root_module",),
    "torch.func.functional_call": ("module", "parameter_and_buffer_dicts", "args"),
    "torch.func.jvp": ("func", "primals", "tangents"),
    "torch.func.vjp": ("func",),
    "torch.onnx.export": ("dynamo", "verbose", "input_names", "output_names", "dynamic_shapes"),
    "torch.onnx.ONNXProgram.model_proto.fget": (),
    "torch.optim.swa_utils.AveragedModel": ("multi_avg_fn", "use_buffers"),
    "torch.optim.swa_utils.get_ema_multi_avg_fn": ("decay",),
    "torch.random.fork_rng": ("devices",),
}


def test_beta_draws_by_what_takes_a_generator() -> None:
    with mock.patch.object(torch, "_sample_dirichlet", wraps=draw_shares) as drawn:
        torch.distributions.Beta(0.5, 0.5).sample(())

    assert drawn.call_count == 1
    assert draw_shares(torch.ones(2), generator=torch.Generator().manual_seed(0)).shape == (2,)


def test_the_oldest_version_that_was_tried_is_the_oldest_that_is_accepted() -> None:
    assert is_oldest(TRIED_WITH[0], "torch")


@pytest.mark.parametrize("operator", TAKES)
def test_an_operator_takes_what_raynas_gives(operator: str) -> None:
    name, _, overload = operator.partition(".")
    schema = str(getattr(found(f"torch.ops.aten.{name}"), overload)._schema)

    words = changed(f"torch.ops.aten.{operator}", "torch", TRIED_WITH)
    assert schema.startswith(f"aten::{operator.removesuffix('.default')}({TAKES[operator]}) -> "), (
        f"{words}: {schema}"
    )


@pytest.mark.parametrize("interface", PARAMETERS)
def test_what_torch_promises_half_heartedly_takes_what_raynas_gives(interface: str) -> None:
    missing = missing_parameters(interface, PARAMETERS[interface])
    assert not missing, f"{changed(interface, 'torch', TRIED_WITH)}: no {', '.join(missing)}"


@pytest.mark.parametrize(
    ("optimiser", "names"),
    [
        (torch.optim.SGD, {"momentum_buffer"}),
        (torch.optim.Adam, {"step", "exp_avg", "exp_avg_sq"}),
    ],
)
def test_an_optimiser_keeps_what_checkpoints_of_runs_hold(
    optimiser: type[torch.optim.Optimizer], names: set[str]
) -> None:
    weight = nn.Parameter(torch.ones(2))
    options = {"momentum": 0.9} if optimiser is torch.optim.SGD else {}
    stepping = optimiser([weight], lr=0.1, **options)
    weight.grad = torch.ones(2)
    stepping.step()

    assert set(stepping.state_dict()["state"][0]) == names


def test_a_batch_norm_and_its_gradients_are_those_of_its_definition() -> None:
    """For u = (z - mean) / std: dz = gamma / std (g - mean(g) - u mean(g u))."""
    torch.manual_seed(0)
    z, grad = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    gamma, beta = torch.rand(2, 3, dtype=torch.float64)
    y, mean, invstd = normalise(z, gamma, beta, 1e-5)
    per_channel = (1, -1, 1, 1)
    u = (z - z.mean((0, 2, 3)).view(per_channel)) * invstd.view(per_channel)
    dz, dgamma, dbeta = normalise_back(grad, z, gamma, mean, invstd, 1e-5)
    means = [each.mean((0, 2, 3)).view(per_channel) for each in (grad, grad * u)]
    wanted = (gamma * invstd).view(per_channel) * (grad - means[0] - u * means[1])

    torch.testing.assert_close(invstd, 1 / (z.var((0, 2, 3), correction=0) + 1e-5).sqrt())
    torch.testing.assert_close(y, u * gamma.view(per_channel) + beta.view(per_channel))
    torch.testing.assert_close(normalise_again(z, gamma, beta, mean, invstd, 1e-5), y)
    torch.testing.assert_close(dz, wanted)
    torch.testing.assert_close(dgamma, (grad * u).sum((0, 2, 3)))
    torch.testing.assert_close(dbeta, grad.sum((0, 2, 3)))


def test_the_way_back_through_a_convolution_is_its_transpose() -> None:
    """<conv(x), dz> = <x, conv^T(dz)>."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False).double()
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    dz = torch.randn_like(conv(x))
    dx = convolve_back(dz, conv.weight, x.shape, stride=2, padding=1, groups=2)

    torch.testing.assert_close((x * dx).sum(), (conv(x) * dz).sum())


@pytest.mark.parametrize("ceiling", [NO_CEILING, 6.0])
def test_a_gradient_passes_between_nothing_and_the_ceiling_alone(ceiling: float) -> None:
    p = torch.tensor([-1.0, 0.0, 3.0, 6.0, 9.0])
    high = 1.0 if ceiling == math.inf else 0.0

    assert gate(torch.ones(5), p, ceiling).tolist() == [0.0, 0.0, 1.0, high, high]


def test_gradients_of_smooth_activations_are_those_of_their_definitions() -> None:
    p = torch.linspace(-5, 5, 41, dtype=torch.float64, requires_grad=True)
    grad = torch.linspace(1, 2, 41, dtype=torch.float64)
    swish = p * (p + 3).clamp(0, 6) / 6

    inside = p.detach().abs() != 3  # where it has a bend, either slope is right
    for defined, back in ((swish, hard_swish_back), (p * torch.sigmoid(p), silu_back)):
        (wanted,) = torch.autograd.grad(defined, p, grad)
        torch.testing.assert_close(back(grad, p.detach())[inside], wanted[inside])


def test_autocast_says_in_which_numbers_to_compute() -> None:
    x = torch.ones(1)
    assert compute_dtype(x) == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert compute_dtype(x) == torch.bfloat16


def test_a_derivative_along_a_direction_is_found_without_a_warning() -> None:
    """Torch's rules for batch norms are those that are written in torch.jit."""
    norm = nn.BatchNorm2d(2).double().eval()
    at, along = torch.randn(2, 3, 2, 4, 4, dtype=torch.float64)

    derivative = forward_derivative(norm, at, along)
    torch.testing.assert_close(derivative, along / math.sqrt(1 + norm.eps))
