"""The network that a training begins with: one of the space, of a library, or made of the start."""

import safetensors.torch
import torch
from torch import nn

from raynas.costs.latency_table import Task
from raynas.nets.narrow_networks import NarrowNetwork
from raynas.nets.rivals import Rival
from raynas.nets.smaller_images import ScaledNetwork
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import chain_of
from raynas.spaces.protocol import Space

Chosen = Architecture | Rival | ScaledNetwork | NarrowNetwork
"""Which network is trained."""


def chosen_of(text: str) -> Chosen:
    """Return the network whose text that is, as tables and trials have it."""
    if text[0].isdigit():  # all others begin with a letter
        return Architecture.parse(text)
    return ScaledNetwork.parse(text) or NarrowNetwork.parse(text) or Rival.parse(text)


def new_network(space: Space, chosen: Chosen, task: Task, dropout: float) -> nn.Module:
    """Return a network for a task, its weights drawn from torch's generator.

    Args:
        space: In which an architecture lies.
        chosen: The architecture, the library's network, or what is made of an architecture.
        task: Channels and resolution of the images, and their classes.
        dropout: Of the dropout layers; those of a library's that drop nothing stay so.
    """
    if isinstance(chosen, Architecture):
        return subnet(space, chosen, task.channels, task.num_classes, dropout)
    if isinstance(chosen, ScaledNetwork | NarrowNetwork):
        return chosen.build(chain_of(space, chosen.name), task, dropout)
    network = chosen.build(task)
    for part in network.modules():
        if isinstance(part, nn.Dropout) and part.p > 0:
            part.p = dropout
    return network


def trained_network(space: Space, chosen: Chosen, task: Task, weights: bytes) -> nn.Module:
    """Return a network with its weights, in eval mode; torch's generator stays as it was.

    Args:
        space: In which an architecture lies.
        chosen: Which network it is.
        task: Channels and resolution of the images, and their classes.
        weights: Its state, a safetensors file.
    """
    with torch.random.fork_rng(devices=[]):
        network = new_network(space, chosen, task, dropout=0.0)
    network.load_state_dict(safetensors.torch.load(weights))
    return network.eval()
