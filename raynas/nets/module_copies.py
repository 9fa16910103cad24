"""Copies of modules to take measurements on, so that the modules themselves stay as they are."""

import copy

from torch import nn

from raynas.nets.activations import RECTIFIERS
from raynas.nets.supernet import batch_norms


def working_copy(module: nn.Module, batch_norm: bool = True) -> nn.Module:
    """Return a copy whose activations leave their inputs as they are.

    Args:
        module: What to copy; it may be a batch norm itself.
        batch_norm: Whether batch norms stay; otherwise each becomes an identity.
    """
    copied = copy.deepcopy(module)
    for part in copied.modules():
        if isinstance(part, RECTIFIERS) and "inplace" in vars(part):
            part.inplace = False
    return copied if batch_norm else _without_batch_norms(copied)


def scored_copy(module: nn.Module) -> nn.Module:
    """Return a copy that learns, in eval mode but for its batch norms: they read the batch."""
    copied = working_copy(module).eval().requires_grad_()
    for norm in batch_norms(copied):
        norm.train()
    return copied


def _without_batch_norms(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.BatchNorm2d):
        return nn.Identity()
    norms = set(batch_norms(module))
    for parent in list(module.modules()):
        for name, part in parent.named_children():
            if part in norms:
                setattr(parent, name, nn.Identity())
    return module
