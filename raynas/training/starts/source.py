"""Trained weights as they were found: tensors in a network's order, and what they expect."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import torch
from torch import nn

from raynas.errors import UserError
from raynas.storage.uris import shown

Tensors = Mapping[str, torch.Tensor]
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, of pixels in [0, 1]."""

IMAGENET: Normalisation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What images of most networks are normalised by that were trained on ImageNet."""
_COUNTERS = "num_batches_tracked"


@dataclass(frozen=True, eq=False)
class Source:
    """Trained weights.

    Attributes:
        text: As a person named them.
        name: Of the network, as spaces list their published ones; empty: not known.
        origin: Where they come from, for people, such as "package NAME".
        tensors: Weights and statistics in the order of the network's layers, where that is known.
        normalisation: By which its images are normalised; None: by their own mean and deviation.
        module: The network as its library builds it, with these weights; None: nothing builds it.
        architecture: The text of one of a space of raynas; None: the source tells none.
        space: The name of that space.
        space_digest: Its digest; None: the source tells none.
        said_classes: Classes that it is said to tell apart; None: nothing is said.
        is_ordered: Whether the order of the tensors is that of the layers.
    """

    text: str
    name: str
    origin: str
    tensors: Tensors
    normalisation: Normalisation | None = None
    module: nn.Module | None = None
    architecture: str | None = None
    space: str | None = None
    space_digest: str | None = None
    said_classes: int | None = None
    is_ordered: bool = True

    @property
    def num_classes(self) -> int:
        """Classes that its last layer tells apart."""
        return next(len(each) for each in reversed(list(self.tensors.values())) if each.dim())

    @property
    def channels(self) -> int:
        """Channels of its images, which its first convolution takes; 0: it has none."""
        return next((each.shape[1] for each in self.tensors.values() if each.dim() == 4), 0)

    @property
    def usual_normalisation(self) -> Normalisation | None:
        """By which its images are normalised; ImageNet's where nothing is known of colour ones."""
        if self.normalisation is None and self.channels == 3:
            return IMAGENET
        return self.normalisation

    def refuse(self, why: str) -> NoReturn:
        """Say why these weights cannot be used.

        Raises:
            UserError: Always.
        """
        refuse(self.text, why)

    def built_as(self, module: nn.Module) -> "Source":
        """Return the same with a library's network, whose tensors have its order.

        Args:
            module: Has a tensor for each of these, by name, or by order where the names differ.
        """
        own, names = self.tensors, list(without_counters(module.state_dict()))
        found = own if set(own) == set(names) else dict(zip(names, own.values(), strict=True))
        module.load_state_dict(found, strict=False)
        return replace(self.in_order_of(names, found), module=module.eval())

    def in_order_of(self, names: Iterable[str], tensors: Tensors | None = None) -> "Source":
        """Return the same in the order of a network's layers.

        Args:
            names: Of all its tensors, in that order.
            tensors: By these names; None: its own have them.
        """
        found = self.tensors if tensors is None else tensors
        return replace(self, tensors={name: found[name] for name in names}, is_ordered=True)


def refuse(text: str, why: str) -> NoReturn:
    """Say why a source of weights cannot be used.

    Args:
        text: As a person named it.
        why: With what was wanted, and what to do.

    Raises:
        UserError: Always.
    """
    raise UserError(f"--start {shown(text)}: {why}")


def without_counters(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Return the tensors that decide what a network computes: batch norms count batches as well."""
    return {name: each for name, each in tensors.items() if not name.endswith(_COUNTERS)}


def refuse_without_classifier(text: str, tensors: Tensors) -> None:
    """Refuse tensors that are none of a network of convolutions that ends in a classifier.

    Raises:
        UserError: Names what there is.
    """
    shapes = [tuple(each.shape) for each in tensors.values()]
    if not any(len(shape) == 4 for shape in shapes) or not any(len(shape) == 2 for shape in shapes):
        refuse(
            text,
            f"its {len(shapes)} tensors are not those of a network that classifies images, of "
            "which one belongs to a convolution and one to a classifier; choose another file",
        )


def as_normalisation(mean: Sequence[float], std: Sequence[float]) -> Normalisation:
    """Return mean and deviation of each channel as values."""
    return tuple(map(float, mean)), tuple(map(float, std))
