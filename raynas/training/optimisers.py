"""The optimiser of a retraining, and what a checkpoint keeps of it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from raynas.settings.retrain import RetrainSettings

_FIRST_STATE = "momentum_buffer"  # all that checkpoints held once, under the number alone
_LEAST_DIMENSIONS = {"all": 0, "weights": 2, "convolutions": 3}


def make_optimiser(network: nn.Module, settings: RetrainSettings) -> torch.optim.Optimizer:
    """Return the optimiser, with weight decay on what is to decay.

    On a GPU one kernel updates all weights of a group, where torch has one. On a CPU torch's usual
    loop stays, whose last bits are those of earlier runs.
    """
    parameters = list(network.parameters())
    groups = _groups(parameters, settings)
    rate, momentum = settings.learning_rate, settings.momentum
    is_fused = all(parameter.is_cuda for parameter in parameters) or None
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999), fused=is_fused)
    if settings.optimiser == "rmsprop":  # as torchvision's references train MobileNetV3
        return torch.optim.RMSprop(groups, lr=rate, momentum=momentum, alpha=0.9, eps=0.0316)
    return torch.optim.SGD(
        groups, lr=rate, momentum=momentum, nesterov=settings.nesterov, fused=is_fused
    )


def _groups(parameters: list[nn.Parameter], settings: RetrainSettings) -> list[dict[str, Any]]:
    """Return what decays and what does not; norms and biases have one dimension, classifiers 2."""
    least = _LEAST_DIMENSIONS[settings.decayed]
    groups: list[dict[str, Any]] = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim >= least],
            "weight_decay": settings.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim < least],
            "weight_decay": 0.0,
        },
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
