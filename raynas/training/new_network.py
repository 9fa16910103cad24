"""The network that a training begins with: a subnet of the space, or a rival of another origin."""

from torch import nn

from raynas.costs.latency_table import Task
from raynas.nets.rivals import Rival
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space


def new_network(
    space: Space, chosen: Architecture | Rival, task: Task, dropout: float
) -> nn.Module:
    """Return a network for a task, its weights drawn from torch's generator.

    Args:
        space: In which an architecture lies.
        chosen: The architecture, or the rival.
        task: Channels and resolution of the images, and their classes.
        dropout: Of the dropout layers; a rival's that drop nothing stay so.
    """
    if isinstance(chosen, Architecture):
        return subnet(space, chosen, task.channels, task.num_classes, dropout)
    network = chosen.build(task)
    for part in network.modules():
        if isinstance(part, nn.Dropout) and part.p > 0:
            part.p = dropout
    return network
