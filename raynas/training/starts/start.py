"""Trained weights as those of a network of the searched space, which a run keeps in its folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import safetensors.torch
import torch
from torch import nn

from raynas.costs.costs import show_amount
from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import is_whole, read_metadata
from raynas.training.starts.source import Normalisation, Tensors

START = "start.safetensors"
"""Where a run keeps the weights that it begins from."""


@dataclass(frozen=True, eq=False)
class Start:
    """Trained weights that a run begins from, in a network of its space.

    Attributes:
        source: What a person called them, without keys.
        origin: Where they came from, for people.
        architecture: Of the network that has these weights; a member of the space.
        tensors: Its state, by its own names.
        normalisation: Of the images that they were trained on; None: by their own mean.
        channels: Of these images.
        num_classes: That the network tells apart.
        compared: Whether its outputs were held against those of the library's network, or its space
            is known to be what it was.
    """

    source: str
    origin: str
    architecture: Architecture
    tensors: Tensors
    normalisation: Normalisation | None
    channels: int
    num_classes: int
    compared: bool

    def network(self, space: Space) -> nn.Sequential:
        """Return the network with its weights, in eval mode, on the CPU.

        Args:
            space: The searched space, with identity where the run has it.
        """
        with torch.random.fork_rng(devices=[]):
            network = subnet(space, self.architecture, self.channels, self.num_classes)
        network.load_state_dict(dict(self.tensors))
        return network.eval()

    def normalised(self, dataset: Dataset) -> Dataset:
        """Return images that are normalised as those that the weights were trained on.

        The stem that grey images meet is the sum over the colours, so their mean and deviation are
        the mean of those of the colours; so are those of colour ones that meet grey weights.
        """
        if self.normalisation is None:
            return dataset
        mean, std = (
            each if len(each) == dataset.channels else [float(np.mean(each))] * dataset.channels
            for each in self.normalisation
        )
        return dataset.normalised_by(mean, std)

    @cached_property
    def digest(self) -> str:
        """Twelve letters that differ where the weights or the network do."""
        found = hashlib.sha256(str(self.architecture).encode())
        for name, tensor in sorted(self.tensors.items()):
            found.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return found.hexdigest()[:12]

    @property
    def num_params(self) -> int:
        """Parameters of the network, its classifier among them."""
        statistics = ("running_mean", "running_var", "num_batches_tracked")
        return sum(
            each.numel() for name, each in self.tensors.items() if not name.endswith(statistics)
        )

    @property
    def words(self) -> str:
        """What a plan says of it."""
        params = show_amount("params", self.num_params)
        return (
            f"{self.source} ({self.origin}), member {self.architecture}, {params} at "
            f"{self.num_classes:,} classes{'' if self.compared else ', outputs not compared'}"
        )

    def to_bytes(self) -> bytes:
        """Return it as a safetensors file, whose metadata has all but the tensors."""
        facts = {
            "source": self.source,
            "origin": self.origin,
            "architecture": str(self.architecture),
            "normalisation": json.dumps(self.normalisation),
            "channels": str(self.channels),
            "classes": str(self.num_classes),
            "compared": json.dumps(self.compared),
        }
        tensors = {name: each.contiguous() for name, each in self.tensors.items()}
        content: bytes = safetensors.torch.save(tensors, metadata=facts)
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> "Start":
        """Read what ``to_bytes`` returned."""
        facts: Mapping[str, str] = read_metadata(content)
        normalisation = json.loads(facts["normalisation"])
        return cls(
            facts["source"],
            facts["origin"],
            Architecture.parse(facts["architecture"]),
            safetensors.torch.load(content),
            normalisation and (tuple(normalisation[0]), tuple(normalisation[1])),
            int(facts["channels"]),
            int(facts["classes"]),
            bool(json.loads(facts["compared"])),
        )


def read_start(store: RunStore) -> Start:
    """Return what a run begins from, as its folder keeps it.

    Raises:
        UserError: The file is lost or cut off.
    """
    if not is_whole(store, START):
        raise UserError(
            f"run folder {store.uri}: {START} is lost or damaged; the command that began the run "
            "makes it again"
        )
    return Start.from_bytes(store.read_bytes(START))
