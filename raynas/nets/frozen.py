"""Which parameters of a supernet learn, and their place in the flat vector.

Source: BN-NAS trains only the last batch norm of each candidate (``ALGORITHMS`` 1.1, 5.2); the
paper adds the batch norms after identities. Parameters are chosen by their role in the module
tree, never by their names.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.fused import fuse_
from raynas.nets.supernet import Supernet, batch_norms
from raynas.space import Architecture
from raynas.trainable import Role, Segment

TrainedSet = Literal["last_bn", "all_bn"]


class FrozenSupernet:
    """A supernet whose trained parameters are views into one flat vector.

    Attributes:
        supernet: The network.
        segments: What each part of the vector is.
        vector: All trained numbers, float32, on the supernet's device.
    """

    def __init__(
        self,
        supernet: Supernet,
        trained: TrainedSet,
        train_classifier: bool,
        recompute: bool = False,
    ) -> None:
        """Freeze everything but the trained set and lay that out as a vector.

        Args:
            supernet: The network; its convolutions are fused with their batch norms.
            trained: Which batch norms learn.
            train_classifier: Whether the classifier learns, too.
            recompute: Whether expanding convolutions are computed twice instead of kept.
        """
        self.supernet = supernet.requires_grad_(False)
        fuse_(supernet, recompute)
        self.segments: list[Segment] = []
        self._parameters: list[nn.Parameter] = []
        for parameter, place in _trained(supernet, trained, train_classifier):
            start = self.segments[-1].stop if self.segments else 0
            self.segments.append(Segment(start, start + parameter.numel(), *place))
            parameter.requires_grad_()
            self._parameters.append(parameter)
        self.vector = torch.cat([parameter.detach().flatten() for parameter in self._parameters])
        self._view()

    def to(self, device: torch.device) -> None:
        """Move network and vector to a device; channels last, which convolutions prefer."""
        self.supernet.to(device).to(memory_format=torch.channels_last)
        self.vector = self.vector.to(device)
        self._view()

    def _view(self) -> None:
        """Make every trained parameter a view into the vector."""
        for parameter, part in zip(self._parameters, self.segments, strict=True):
            parameter.data = self.vector[part.start : part.stop].view_as(parameter)

    def parameters_on(self, path: Architecture) -> list[nn.Parameter]:
        """Return the trained parameters that a path uses, in the vector's order."""
        pairs = zip(self._parameters, self.segments, strict=True)
        return [parameter for parameter, part in pairs if part.is_on(path)]


Place = tuple[Role, int | None, int | None, bool]


def _trained(
    supernet: Supernet, trained: TrainedSet, train_classifier: bool
) -> Iterator[tuple[nn.Parameter, Place]]:
    """Yield the trained parameters in order with role, layer, candidate and is_indicator."""
    everywhere = trained == "all_bn"
    if everywhere:
        yield from _norms(batch_norms(supernet.stem), None, None, None)
    for layer, block in enumerate(supernet.space.blocks):
        for choice in range(block.size):
            norms = batch_norms(supernet.candidate(layer, choice))
            if not norms and choice != block.identity:
                raise UserError(
                    f"{supernet.space.name}, layer {layer}: operation "
                    f"{block.candidates[choice].name} has no batch norm to train and to read an "
                    "indicator from; end it with nn.BatchNorm2d"
                )
            last = norms[-1:]
            yield from _norms(norms if everywhere else last, layer, choice, *last)
        beside = batch_norms(supernet.parallel[layer])
        yield from _norms(beside, layer, None, *beside)
    if everywhere:
        yield from _norms(batch_norms(supernet.head), None, None, None)
    if train_classifier:
        for part in supernet.head.modules():
            if isinstance(part, nn.Linear):
                for parameter in part.parameters(recurse=False):
                    yield parameter, ("classifier", None, None, False)


def _norms(
    norms: list[nn.BatchNorm2d],
    layer: int | None,
    candidate: int | None,
    indicator: nn.BatchNorm2d | None = None,
) -> Iterator[tuple[nn.Parameter, Place]]:
    for norm in norms:
        yield norm.weight, ("gamma", layer, candidate, norm is indicator)
        yield norm.bias, ("beta", layer, candidate, False)
