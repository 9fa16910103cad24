"""How many positions of a feature map each batch norm of a supernet scales at once.

Found on the meta device, so that the largest supernet costs milliseconds and no memory.
"""

import torch
from torch import nn
from torch.func import functional_call

from raynas.nets.supernet import Supernet, batch_norms
from raynas.spaces.architecture import Architecture


@torch.no_grad()
def norm_positions(supernet: Supernet, shape: tuple[int, int, int]) -> dict[nn.Module, int]:
    """Return height times width of each batch norm's input.

    Args:
        supernet: Before its convolutions are fused.
        shape: Channels, height and width of an image.
    """
    found: dict[nn.Module, int] = {}

    def note(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found[norm] = inputs[0][0, 0].numel()

    hooks = [norm.register_forward_pre_hook(note) for norm in batch_norms(supernet)]
    weights = {name: tensor.to("meta") for name, tensor in supernet.state_dict().items()}
    sizes = [block.size for block in supernet.space.blocks]
    for choice in range(max(sizes)):
        path = Architecture(min(choice, size - 1) for size in sizes)
        functional_call(supernet, weights, (torch.empty(2, *shape, device="meta"), path))
    for hook in hooks:
        hook.remove()
    return found
