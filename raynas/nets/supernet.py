"""The supernet: one network that holds every candidate; the path is an argument of forward.

Source: SPOS (single paths), the paper's section 3.3 (batch norms after identities);
``.docs/pages/method.md`` has the two readings of the layer indicator.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn

from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace

LayerIndicator = Literal["path", "parallel", "none"]


class Supernet(nn.Module):
    """Every candidate of every layer, between one stem and one head.

    Batch norms use the statistics of the batch at hand and keep none: a network whose paths
    change every step has no running statistics worth keeping, and workers stay stateless.
    """

    def __init__(
        self,
        space: SearchSpace,
        in_channels: int,
        num_classes: int,
        layer_indicator: LayerIndicator = "path",
    ) -> None:
        """Build all modules.

        Args:
            space: The space; under "path" with identities as candidates where they are wanted.
            in_channels: Channels of the images.
            num_classes: Classes of the task.
            layer_indicator: "path": a chosen identity is a batch norm, y = BN(x) (reading R1);
                "parallel": every normal layer adds BN(x) to its candidate (R2); or "none".
        """
        super().__init__()
        self.space = space
        self.layer_indicator = layer_indicator
        self.stem = space.stem.build(in_channels)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                nn.BatchNorm2d(block.out_channels)
                if layer_indicator == "path" and choice == block.identity and block.size > 1
                else candidate.build(block.in_channels, block.out_channels, block.stride)
                for choice, candidate in enumerate(block.candidates)
            )
            for block in space.blocks
        )
        self.parallel = nn.ModuleList(
            nn.BatchNorm2d(block.out_channels)
            if layer_indicator == "parallel" and not block.is_reduction and block.size > 1
            else nn.Module()
            for block in space.blocks
        )
        self.head = space.head.build(space.blocks[-1].out_channels, num_classes)
        _keep_no_statistics(self)

    def forward(self, images: torch.Tensor, path: Architecture) -> torch.Tensor:
        """Return logits, N x num_classes, of images, N x C x H x W, along one path."""
        return self.forward_from(self.stem(images), path)

    def forward_from(self, features: torch.Tensor, path: Architecture) -> torch.Tensor:
        """Return logits from the stem's output, which all paths of a step share."""
        x = features
        for layer, choice in enumerate(path):
            x = self.forward_layer(layer, choice, x)
        logits: torch.Tensor = self.head(x)
        return logits

    def forward_layer(self, layer: int, choice: int, x: torch.Tensor) -> torch.Tensor:
        """Return the output of one layer's candidate, with its parallel identity if any."""
        y: torch.Tensor = self.candidate(layer, choice)(x)
        beside = self.parallel[layer]
        if not isinstance(beside, nn.BatchNorm2d):
            return y
        skipped: torch.Tensor = beside(x)
        return skipped if choice == self.space.blocks[layer].identity else y + skipped

    def candidate(self, layer: int, choice: int) -> nn.Module:
        """Return the module of one candidate."""
        candidates = self.layers[layer]
        assert isinstance(candidates, nn.ModuleList)
        return candidates[choice]

    def candidates(self) -> Iterator[tuple[int, int, nn.Module]]:
        """Yield layer, index and module of every candidate."""
        for layer, block in enumerate(self.space.blocks):
            for choice in range(block.size):
                yield layer, choice, self.candidate(layer, choice)


def batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    """Return a module's batch norms in the order of registration; the last is the indicator's."""
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def _keep_no_statistics(module: nn.Module) -> None:
    for norm in batch_norms(module):
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
