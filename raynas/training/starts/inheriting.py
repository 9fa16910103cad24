"""Networks and supernets that begin from trained weights: inherited, then fitted to the images.

Batch norms are restated by the statistics of some training images, so that training begins with
the function that was learned.

Source: Fang et al., Fast Neural Network Adaptation (ICLR 2020, arXiv 2001.02525), for the
inheritance; layers that it changed are fitted to what they computed before, on training images.
"""

from collections.abc import Mapping

import numpy as np
import safetensors.torch
import torch
from torch import nn

from raynas.data.batches import Batches, on_device
from raynas.data.crops import CENTRE
from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.feature_errors import feature_errors
from raynas.nets.inheritance import inherit_, inherit_supernet_
from raynas.nets.initialisation import frozen_supernet
from raynas.nets.norm_statistics import restate_network_
from raynas.nets.refitting import refit_, refit_supernet_
from raynas.nets.smaller_images import SmallerImages
from raynas.search.formulas import Array
from raynas.seeds import Stream
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.chain import SearchSpace
from raynas.spaces.protocol import Space
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import is_whole
from raynas.training.snapshots import snapshot
from raynas.training.starts.library_weights import begin_from_library_
from raynas.training.starts.source import as_normalisation
from raynas.training.starts.start import Start

SUPERNET = "start_supernet.safetensors"
"""Where a run keeps the weights of a supernet that were inherited: all workers read the same."""
_IMAGES = 256  # that inherited layers are fitted to
_PIXELS = _IMAGES * 128**2  # of all of them, whose features lie in memory at once

State = Mapping[str, torch.Tensor]


def moment_images(dataset: Dataset, seed: int, device: torch.device) -> torch.Tensor:
    """Return the training images that inherited layers are fitted to, normalised.

    Args:
        dataset: The images, of which there are ``moment_count``.
        seed: Seed of the run.
        device: Where they are wanted.
    """
    count = moment_count(dataset.resolution, len(dataset.train))
    batches = Batches(dataset, count, seed, Stream.MOMENTS, crops=CENTRE)
    return on_device(batches(0), dataset, device)[0]


def moment_count(resolution: int, train: int) -> int:
    """Return how many images layers are fitted to.

    They are 256, of more than 128 pixels as many as have no more pixels together.

    Args:
        resolution: Height and width of the images in pixels.
        train: Training images.
    """
    return min(_IMAGES, max(_PIXELS // resolution**2, 1), train)


def begin_from_(  # noqa: PLR0913 - a network, and all that its weights come from
    network: nn.Module,
    start: Start,
    space: Space,
    dataset: Dataset,
    seed: int,
    continued: bool = False,
) -> frozenset[str]:
    """Give a network of the space trained weights in place of its random ones; return whose.

    Args:
        network: In place, on the device on which it is trained; its classifier stays as it was
            drawn where the classes are others. It may be narrower than those of the space, or see
            smaller images.
        start: The trained weights.
        space: The searched space.
        dataset: The images that it is to be trained on.
        seed: Seed of the run.
        continued: Whether a checkpoint takes the place of all weights: nothing is fitted then.

    Returns:
        The names of the parameters that are inherited.
    """
    chain, prefix = _chain_of(network)
    device = next(chain.parameters()).device
    source = start.network(space).to(device)
    inheritance = inherit_(chain, source)
    if not continued:
        images = moment_images(dataset, seed, device)
        if inheritance.changed:
            refit_(chain, source, images)
        restate_network_(network, images)
    return frozenset(f"{prefix}{name}" for name in inheritance.names)


def begin_library_(
    network: nn.Module, content: bytes, dataset: Dataset, seed: int, continued: bool = False
) -> frozenset[str]:
    """Give a library's network its trained weights, as ``begin_from_`` does those of the space.

    Args:
        network: In place, on the device on which it is trained.
        content: What ``library_weights`` found.
        dataset: The images that it is to be trained on.
        seed: Seed of the run.
        continued: Whether a checkpoint takes the place of all weights.

    Returns:
        The names of the parameters that are inherited.
    """
    normalisation = as_normalisation(dataset.mean.tolist(), dataset.std.tolist())
    names = begin_from_library_(network, content, normalisation)
    if not continued:
        device = next(network.parameters()).device
        restate_network_(network, moment_images(dataset, seed, device))
    return names


def _chain_of(network: nn.Module) -> tuple[nn.Sequential, str]:
    """Return a network's stem, layers and head, and what their names begin with in it."""
    assert isinstance(network, nn.Sequential), "a network of the space"
    if not isinstance(network[0], SmallerImages):
        return network, ""
    inner = network[1]
    assert isinstance(inner, nn.Sequential), "as ScaledNetwork builds it"
    return inner, "network."


def inherited_supernet(
    space: SearchSpace, settings: PretrainSettings, dataset: Dataset, seed: int, start: Start
) -> State:
    """Return the state of a supernet all of whose candidates inherited trained weights.

    Args:
        space: The searched space.
        settings: How batch norms stand beside layers.
        dataset: The images that it is to be trained on.
        seed: Seed of the run, of weights that nothing is inherited by.
        start: The trained weights.
    """
    task = dataset.channels, dataset.num_classes
    supernet = frozen_supernet(space, *task, settings.layer_indicator, settings.drawn, seed)
    source = start.network(space)
    inherit_supernet_(supernet, source)
    refit_supernet_(supernet, source, moment_images(dataset, seed, torch.device("cpu")))
    return supernet.state_dict()


def start_errors(space: SearchSpace, dataset: Dataset, seed: int, start: Start) -> list[Array]:
    """Return how much of a start's features each candidate loses, ``e[l][i]``.

    Args:
        space: The searched space.
        dataset: The images, by some of which candidates are fitted and measured.
        seed: Seed of the run.
        start: The trained weights.

    Raises:
        UserError: Only the start's own candidates can have its features.
    """
    images = moment_images(dataset, seed, torch.device("cpu"))
    errors = feature_errors(space, start.network(space), images)
    if not any((np.isfinite(row) & (row > 0)).any() for row in errors):
        raise UserError(
            f"--search.score feature_error with --space {space.name}: none of its other candidates "
            "can be fitted to the start's features, since they are no inverted residuals as its "
            "blocks are; use --method fair_saliency"
        )
    return errors


def keep_supernet(store: RunStore, state: State) -> None:
    """Write the state of an inherited supernet into the run folder."""
    store.write_bytes(SUPERNET, snapshot(state)())


def kept_supernet(store: RunStore | None, settings: PretrainSettings) -> State | None:
    """Return the state of the run's inherited supernet; None: its weights are drawn.

    Args:
        store: The run folder; None: there is none yet, and speeds alone matter.
        settings: Say whether weights are inherited.

    Raises:
        UserError: The file is lost or cut off.
    """
    if store is None or settings.initialisation != "start":
        return None
    if not is_whole(store, SUPERNET):
        raise UserError(
            f"run folder {store.uri}: {SUPERNET} is lost or damaged; the command that began the "
            "run makes it again"
        )
    state: State = safetensors.torch.load(store.read_bytes(SUPERNET))
    return state
