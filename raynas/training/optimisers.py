"""The optimiser of a retraining, and what a checkpoint keeps of it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from raynas.settings.retrain import RetrainSettings

_FIRST_STATE = "momentum_buffer"  # all that checkpoints held once, under the number alone
_SHARE = "share"  # of the rate, in a group of parameters
_LEAST_DIMENSIONS = {"all": 0, "weights": 2, "convolutions": 3}


def make_optimiser(
    network: nn.Module, settings: RetrainSettings, inherited: frozenset[str] = frozenset()
) -> torch.optim.Optimizer:
    """Return the optimiser, with weight decay on what is to decay.

    On a GPU one kernel updates all weights of a group, where torch has one. On a CPU torch's usual
    loop stays, whose last bits are those of earlier runs.

    Args:
        network: What learns.
        settings: Which optimiser, what decays, and how fast.
        inherited: Names of the parameters that do not begin at random numbers.
    """
    parameters = list(network.parameters())
    groups = _groups(network, settings, inherited)
    rate, momentum = settings.learning_rate, settings.momentum
    is_fused = all(parameter.is_cuda for parameter in parameters) or None
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999), fused=is_fused)
    if settings.optimiser == "rmsprop":  # as torchvision's references train MobileNetV3
        return torch.optim.RMSprop(groups, lr=rate, momentum=momentum, alpha=0.9, eps=0.0316)
    return torch.optim.SGD(
        groups, lr=rate, momentum=momentum, nesterov=settings.nesterov, fused=is_fused
    )


def set_rates(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give each group of parameters its share of a rate.

    Args:
        optimiser: As ``make_optimiser`` returns it.
        rate: Of parameters that begin at random numbers.
    """
    for group in optimiser.param_groups:
        group["lr"] = rate * group[_SHARE]


def _groups(
    network: nn.Module, settings: RetrainSettings, inherited: frozenset[str]
) -> list[dict[str, Any]]:
    """Return what is new and decays, is new and does not, is inherited and decays, and does not.

    Norms and biases have one dimension, classifiers two. Where all learn at the same rate, nothing
    counts as inherited, so the order of the parameters is that of other trainings.
    """
    named, factor = dict(network.named_parameters()), settings.inherited_factor
    assert inherited <= named.keys(), "names of parameters"
    apart = inherited if factor != 1 else frozenset()
    least = _LEAST_DIMENSIONS[settings.decayed]
    groups: list[dict[str, Any]] = [
        {
            "params": [
                parameter
                for name, parameter in named.items()
                if (name in apart) == is_inherited and (parameter.ndim >= least) == decays
            ],
            "weight_decay": settings.weight_decay if decays else 0.0,
            _SHARE: factor if is_inherited else 1.0,
        }
        for is_inherited in (False, True)
        for decays in (True, False)
    ]
    return [group for group in groups if group["params"]]


def state_of(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return all that an optimiser remembers, by ``parameter.name``, such as 3.exp_avg."""
    return {
        f"{number}.{name}": value
        for number, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def restore_state(optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Let an optimiser remember what ``state_of`` returned, or an older raynas saved."""
    whole = optimiser.state_dict()
    whole["state"] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        whole["state"].setdefault(int(number), {})[name or _FIRST_STATE] = value
    optimiser.load_state_dict(whole)
