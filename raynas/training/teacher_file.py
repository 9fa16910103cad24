"""A teacher as one file, which a run keeps and from which any node makes it again.

It is a safetensors file: weights, or the bytes of an ONNX file, and in its metadata what the
network is and which images it takes. Networks are built by raynas' own code; nothing is executed.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

from raynas.costs.latency_table import Task
from raynas.errors import UserError
from raynas.nets.rivals import Rival
from raynas.spaces.architecture import Architecture
from raynas.spaces.loading import SPACES, load_space
from raynas.spaces.protocol import Space
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import is_whole, read_metadata
from raynas.training.new_network import new_network
from raynas.training.teacher import OnnxFile, Teacher, TeacherNetwork, TorchNetwork
from raynas.training.trained_networks import searched_space

TEACHER = "teacher.safetensors"
"""Where a run keeps its teacher."""
GRAPH = "onnx"
"""The name of the only tensor of a teacher that is an ONNX file: its bytes."""
_KEY = "teacher"  # the only one of the metadata, so that equal teachers are equal files


@dataclass(frozen=True, kw_only=True)
class TeacherFacts:
    """What a file of weights does not tell: a rival, a network of a space, or an ONNX file.

    Attributes:
        name: What it is, for people.
        classes: Names in the order of its logits.
        channels: Of an image.
        resolution: Height and width in pixels.
        mean: Of each channel, by which its images are normalised.
        std: Likewise.
        rival: The network of a library.
        architecture: The network of a space.
        space: The name of that space.
        shipped: The file of that space among those of raynas; None: a person's own.
        layer_indicator: With which the space was searched; it decides whether layers are skipped.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rival: str | None = None
    architecture: str | None = None
    space: str | None = None
    shipped: str | None = None
    layer_indicator: str = "none"

    def packed(self, tensors: Mapping[str, torch.Tensor]) -> bytes:
        """Return the file.

        Args:
            tensors: The network's state by its own names, or the graph's bytes.
        """
        plain = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
        metadata = {_KEY: json.dumps(dataclasses.asdict(self))}
        content: bytes = safetensors.torch.save(plain, metadata)
        return content

    def teacher(self, network: TeacherNetwork, content: bytes) -> Teacher:
        """Return the teacher that this is.

        Args:
            network: Computes its logits.
            content: Its file.
        """
        return Teacher(
            network,
            self.classes,
            self.channels,
            self.resolution,
            self.mean,
            self.std,
            self.name,
            content,
        )


def opened(content: bytes, source: str, own: Space) -> Teacher:
    """Return the teacher that a file holds.

    Args:
        content: What ``TeacherFacts.packed`` returned.
        source: As a person named it.
        own: The space of the run, for networks of a space that raynas does not ship.

    Raises:
        UserError: It is damaged, or its network is of a space that is not there.
    """
    try:
        facts = _facts(content)
        tensors = safetensors.torch.load(content)
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"--retrain.teacher {source}: it is no teacher that a run of raynas has kept, or it is "
            "damaged; name an export, a run, an ONNX file or a network of torchvision"
        ) from error
    network: TeacherNetwork
    if GRAPH in tensors:
        network = OnnxFile(tensors[GRAPH].numpy().tobytes())
    else:
        network = TorchNetwork(_built(facts, tensors, source, own))
    return facts.teacher(network, content)


def as_tensor(graph: bytes) -> dict[str, torch.Tensor]:
    """Return the bytes of an ONNX file as what a teacher's file holds of it."""
    return {GRAPH: torch.from_numpy(np.frombuffer(graph, np.uint8).copy())}


def read_teacher(store: RunStore, space: Space) -> Teacher | None:
    """Return the teacher that a run keeps; None: it has trained none yet.

    Args:
        store: The run folder.
        space: Of the run.
    """
    if not is_whole(store, TEACHER):
        return None
    return opened(store.read_bytes(TEACHER), store.locate(TEACHER), space)


def digest_of(content: bytes) -> str:
    """Return letters that differ where teachers do."""
    return hashlib.sha256(content).hexdigest()[:16]


def _facts(content: bytes) -> TeacherFacts:
    found = json.loads(read_metadata(content)[_KEY])
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
    }
    return TeacherFacts(**values)


def _built(
    facts: TeacherFacts, tensors: Mapping[str, torch.Tensor], source: str, own: Space
) -> nn.Module:
    """Return the network with its weights.

    Raises:
        UserError: There is no such space, or the weights are not those of its network.
    """
    task = Task(facts.channels, facts.resolution, len(facts.classes))
    chosen: Architecture | Rival
    if facts.rival is not None:
        space, chosen = own, Rival.parse(facts.rival)
    else:
        space = _space(facts, source, own)
        chosen = Architecture.parse(str(facts.architecture))
    try:
        with torch.random.fork_rng(devices=[]):
            network = new_network(space, chosen, task, dropout=0.0)
        network.load_state_dict(dict(tensors))
    except (RuntimeError, LookupError, ValueError) as error:
        why = str(error).strip().splitlines()[-1].strip()
        raise UserError(
            f"--retrain.teacher {source}: its weights are not those of {facts.name} as raynas "
            f"builds it ({why}); name its ONNX file"
        ) from error
    return network


def _space(facts: TeacherFacts, source: str, own: Space) -> Space:
    space = own if facts.shipped is None else load_space(facts.shipped, SPACES)
    if facts.shipped is None and space.name != facts.space:
        raise UserError(
            f"--retrain.teacher {source}: it is a network of the space {facts.space}, which raynas "
            f"does not ship, and the space of this run is {own.name}; name its ONNX file"
        )
    return searched_space(space, facts.layer_indicator)
