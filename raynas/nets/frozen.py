"""Which parameters of a supernet learn, and their place in the flat vector.

Source: BN-NAS trains only the last batch norm of each candidate (its published code); the
paper adds the batch norms after identities; FairNAS trains everything, and SPOS all but its batch
norms, which have neither scale nor shift. Parameters are chosen by their role in the module tree,
never by their names.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.fused_conv_bn import fuse_
from raynas.nets.positions import norm_positions
from raynas.nets.supernet import Supernet, batch_norms
from raynas.spaces.architecture import Architecture
from raynas.spaces.parameter_layout import Role, Segment

TrainedSet = Literal["last_bn", "all_bn", "all", "weights"]
_WITH_WEIGHTS = {"all", "weights"}


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
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        """Freeze everything but the trained set and lay that out as a vector.

        Args:
            supernet: The network; frozen convolutions are fused with their batch norms.
            trained: Which batch norms learn, or all parameters, or all but batch norms.
            train_classifier: Whether the classifier learns, too.
            recompute: Whether expanding convolutions are computed twice instead of kept.
            shape: Channels, height and width of an image, to tell the batch norms' positions.
        """
        positions = norm_positions(supernet, shape) if shape else {}
        self.supernet = supernet.requires_grad_(trained in _WITH_WEIGHTS)
        if trained == "weights":
            _leave_plain_(supernet)
        fuse_(supernet, recompute)
        self.segments: list[Segment] = []
        self._parameters: list[nn.Parameter] = []
        count = {id(p): n for norm, n in positions.items() for p in norm.parameters()}
        for parameter, place in _trained(supernet, trained, train_classifier):
            start = self.segments[-1].stop if self.segments else 0
            stop, at = start + parameter.numel(), count.get(id(parameter), 1)
            self.segments.append(Segment(start, stop, *place, at))
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

    @property
    def num_classifier(self) -> int:
        """How many parameters the classifier trains: the last ones on every path."""
        return sum(part.role == "classifier" for part in self.segments)

    def parameters_on(self, path: Architecture) -> list[nn.Parameter]:
        """Return the trained parameters that a path uses, in the vector's order."""
        pairs = zip(self._parameters, self.segments, strict=True)
        return [parameter for parameter, part in pairs if part.is_on(path)]


def _leave_plain_(supernet: Supernet) -> None:
    """Make batch norms what they are without scale and shift, in place: 1 and 0, frozen."""
    for norm in batch_norms(supernet):
        norm.requires_grad_(False)
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)


Place = tuple[Role, int | None, int | None, bool]


def _trained(
    supernet: Supernet, trained: TrainedSet, train_classifier: bool
) -> Iterator[tuple[nn.Parameter, Place]]:
    """Yield the trained parameters in order with role, layer, candidate and is_indicator."""
    yield from _ends(supernet.stem, trained)
    for layer, block in enumerate(supernet.space.blocks):
        for choice in range(block.size):
            module = supernet.candidate(layer, choice)
            norms = batch_norms(module)
            if not norms and choice != block.identity:
                raise UserError(
                    f"{supernet.space.name}, layer {layer}: operation "
                    f"{block.candidates[choice].name} has no batch norm to train and to read an "
                    "indicator from; end it with nn.BatchNorm2d"
                )
            last = norms[-1] if norms else None
            parts = list(module.modules()) if trained != "last_bn" else norms[-1:]
            yield from _parts(parts, trained, layer, choice, last)
        for norm in batch_norms(supernet.parallel[layer]):
            yield from _parts([norm], trained, layer, None, norm)
    yield from _ends(supernet.head, trained)
    for part in supernet.head.modules():
        for parameter in part.parameters(recurse=False) if isinstance(part, nn.Linear) else ():
            parameter.requires_grad_(train_classifier)
            if train_classifier:
                yield parameter, ("classifier", None, None, False)


def _ends(module: nn.Module, trained: TrainedSet) -> Iterator[tuple[nn.Parameter, Place]]:
    """Yield what is trained of stem or head, but for the classifier."""
    if trained != "last_bn":
        parts = [part for part in module.modules() if not isinstance(part, nn.Linear)]
        yield from _parts(parts, trained, None, None)


def _parts(
    parts: Sequence[nn.Module],
    trained: TrainedSet,
    layer: int | None,
    candidate: int | None,
    indicator: nn.Module | None = None,
) -> Iterator[tuple[nn.Parameter, Place]]:
    for part in parts:
        if isinstance(part, nn.BatchNorm2d):
            if trained != "weights":
                yield part.weight, ("gamma", layer, candidate, part is indicator)
                yield part.bias, ("beta", layer, candidate, False)
        elif trained in _WITH_WEIGHTS:
            for parameter in part.parameters(recurse=False):
                yield parameter, ("weight", layer, candidate, False)
