"""Networks of a space begun from the weights of one that is a member of it.

Both are chains: a stem, a module for each layer (``nn.Identity`` where it is skipped), a head.
``remapping.py`` has what happens to a layer.
"""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.remapping import begin_as_identity_, can_remap, is_alike, remap_block_
from raynas.nets.supernet import Supernet


@dataclass(frozen=True)
class Inheritance:
    """What a network has of its source.

    Attributes:
        names: The parameters that hold the source's values or what was made of them, by their
            names in ``named_parameters()``. All others are new: the classifier of other classes,
            and layers that the source does not have, though they begin with a neighbour's weights.
        changed: The layers, from 0, whose operation is not the source's.
    """

    names: frozenset[str]
    changed: tuple[int, ...]


def inherit_(network: nn.Sequential, source: nn.Sequential) -> Inheritance:
    """Fill a network, in place, with the weights of another one of its space.

    The same architecture is an exact copy, running statistics included. Layers that the source
    skips add nothing at first, and a stem for images of another number of channels gets the
    source's weights summed over colours and divided evenly. The classifier is new where the number
    of classes differs. A layer of another operation that is no inverted residual keeps its own.

    Args:
        network: Of any architecture of the space, channels of images and classes.
        source: A network of the space, on the same device.

    Raises:
        UserError: The networks are of two spaces.
    """
    _refuse_other_chain(len(network) - 2, len(source) - 2)
    origins = list(source[1:-1])
    inherited = {"0": _copy_stem_(network[0], source[0])}
    changed = []
    for layer, target in enumerate(network[1:-1]):
        if not is_alike(target, origins[layer]):
            changed.append(layer)
        if _fill_layer_(target, origins, layer):
            inherited[str(layer + 1)] = _names(target)
    inherited[str(len(network) - 1)] = copy_head_(network[-1], source[-1])
    names = (f"{place}.{name}" for place, found in inherited.items() for name in found)
    return Inheritance(frozenset(names), tuple(changed))


def inherit_supernet_(supernet: Supernet, source: nn.Sequential) -> None:
    """Fill every candidate of a supernet, in place, from the source's block of its layer.

    A supernet's batch norms use the statistics of the batch, so only scales and shifts are taken.
    Those that stand for chosen identities, or beside candidates, keep what they have, until
    ``refitting.refit_supernet_`` sets the former by images.

    Args:
        supernet: Of the source's space, for any channels of images and classes.
        source: A network of the space, on the same device.

    Raises:
        UserError: The supernet is of another space.
    """
    _refuse_other_chain(len(supernet.layers), len(source) - 2)
    _copy_stem_(supernet.stem, source[0])
    origins = list(source[1:-1])
    for layer, _, candidate in supernet.candidates():
        if not isinstance(candidate, nn.BatchNorm2d):
            _fill_layer_(candidate, origins, layer)
    copy_head_(supernet.head, source[-1])


def _fill_layer_(target: nn.Module, origins: Sequence[nn.Module], layer: int) -> bool:
    """Fill one layer, and return whether it has the source's weights."""
    origin = origins[layer]
    if can_remap(target, origin):
        remap_block_(target, origin)
        return True
    if isinstance(origin, nn.Identity):
        begin_as_identity_(target, _nearest(target, origins[:layer]))
    return False


def _nearest(target: nn.Module, earlier: Sequence[nn.Module]) -> nn.Module | None:
    """Return the last block before a layer, if it lies in its stage and has its shape outside."""
    blocks = [block for block in earlier if not isinstance(block, nn.Identity)]
    return blocks[-1] if blocks and can_remap(target, blocks[-1]) else None


def stem_for_channels(stem: nn.Module, channels: int) -> nn.Module:
    """Return a copy of a stem for images of so many channels.

    With w_d the first convolution's weights for colour d and n the channels, each of these gets
    sum over d of w_d / n: equal channels give what equal colours gave.
    """
    stem = copy.deepcopy(stem)
    first = next(part for part in stem.modules() if isinstance(part, nn.Conv2d))
    if first.in_channels != channels:
        weight = first.weight.detach().sum(dim=1, keepdim=True) / channels
        first.weight = nn.Parameter(weight.repeat(1, channels, 1, 1))
        first.in_channels = channels
    return stem


@torch.no_grad()
def copy_head_(target: nn.Module, source: nn.Module) -> set[str]:
    """Copy a head without its classifier where classes differ, and return the parameters' names."""
    name, new = _classifier(target)
    _, old = _classifier(source)
    is_new = new.out_features != old.out_features
    left_out = {f"{name}.{part}" for part in _names(new)} if is_new else set()
    _copy_(target, source, "head", left_out)
    return _names(target) - left_out


@torch.no_grad()
def _copy_stem_(target: nn.Module, source: nn.Module) -> set[str]:
    first = next(part for part in target.modules() if isinstance(part, nn.Conv2d))
    _copy_(target, stem_for_channels(source, first.in_channels), "stem")
    return _names(target)


def _copy_(target: nn.Module, source: nn.Module, part: str, left_out: Collection[str] = ()) -> None:
    """Copy what the target has, but for the tensors that are left out by name."""
    values = source.state_dict()
    for name, tensor in target.state_dict().items():
        if name in left_out:
            continue
        if name not in values or values[name].shape != tensor.shape:
            found = tuple(values[name].shape) if name in values else "nothing"
            raise UserError(
                f"inheriting weights: the source has {found} for {name} of the {part}, wanted "
                f"{tuple(tensor.shape)}; take the space that was made around the source"
            )
        tensor.copy_(values[name])


def _classifier(head: nn.Module) -> tuple[str, nn.Linear]:
    return [(name, part) for name, part in head.named_modules() if isinstance(part, nn.Linear)][-1]


def _names(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters()}


def _refuse_other_chain(layers: int, found: int) -> None:
    if layers != found:
        raise UserError(
            f"inheriting weights: got a source of {found} layers for a network of {layers}, wanted "
            "networks of one space; take the space that was made around the source"
        )
