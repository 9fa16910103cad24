"""Scores of single architectures: what a scoring trial computes.

Source: SPOS (Guo et al. 2020), section 3.4: validation accuracy of a subnet with the supernet's
weights, after its batch norms have seen training images. The zero-cost
scores look at a subnet with weights of its own (``raynas.nets.proxies``).
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from raynas.data.batches import Batches, on_device
from raynas.data.crops import CENTRE
from raynas.data.dataset import Dataset
from raynas.nets.initialisation import initialise_
from raynas.nets.proxies import PROXIES
from raynas.nets.subnet import subnet
from raynas.nets.supernet import Supernet, batch_norms
from raynas.seeds import Stream, random_numbers
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.protocol import Space
from raynas.storage.run_store import RunStore
from raynas.training.evaluation import evaluate
from raynas.training.gradients import Vector, build_supernet
from raynas.training.starts.inheriting import kept_supernet

Scorer = Callable[[Architecture], float]
"""Scores an architecture; higher is better, NaN is a failure."""
_PROXY_BATCH = 32  # images


def make_score(  # noqa: PLR0913 - everything that defines a score
    space: Space,
    dataset: Dataset,
    settings: Settings,
    vector: Vector,
    device: str,
    store: RunStore | None = None,
) -> Scorer:
    """Return what scores architectures one by one as ``settings.search.score`` says.

    Args:
        space: The space that is searched.
        dataset: The images.
        settings: Of the run.
        vector: The supernet's trained numbers; only accuracy looks at them.
        device: Where to compute.
        store: The run folder, which keeps a supernet that has inherited its weights; None: there
            is none yet, and speeds alone matter.
    """
    match settings.search.score:
        case "accuracy":
            chain = chain_of(space, "--search.score accuracy")
            state = kept_supernet(store, settings.pretrain)
            return SubnetAccuracy(chain, dataset, settings, vector, device, state)
        case "random":
            return lambda architecture: _drawn(architecture, settings.seed)
        case proxy:
            return ProxyScore(space, dataset, settings, device, proxy)


class Remembered:
    """Scores that are known already, and a score for the others, built when it is needed."""

    def __init__(self, known: Mapping[str, float], make: Callable[[], Scorer]) -> None:
        """Build nothing yet.

        Args:
            known: Scores by architecture.
            make: Builds what computes those that are not known.
        """
        self._known = known
        self._make = make
        self._score: Scorer | None = None

    def __contains__(self, architecture: Architecture) -> bool:
        """Return whether a score is known already."""
        return str(architecture) in self._known

    def __call__(self, architecture: Architecture) -> float:
        """Return the score."""
        known = self._known.get(str(architecture))
        if known is not None:
            return known
        if self._score is None:
            self._score = self._make()
        return self._score(architecture)


def _drawn(architecture: Architecture, seed: int) -> float:
    """Return a number in [0, 1) that is the architecture's own: random search ranks by it."""
    return float(random_numbers(seed, Stream.RANDOM_SCORE, *architecture).random())


class _OnPath(nn.Module):
    """One path of a supernet as a network."""

    def __init__(self, supernet: Supernet, path: Architecture) -> None:
        super().__init__()
        self.supernet = supernet
        self.path = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.supernet(images, self.path)
        return logits


class SubnetAccuracy:
    """Validation accuracy of subnets that share the supernet's weights, in [0, 1]."""

    def __init__(  # noqa: PLR0913 - everything that defines a score
        self,
        space: SearchSpace,
        dataset: Dataset,
        settings: Settings,
        vector: Vector,
        device: str,
        state: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Build the supernet, from a state if it has one, and give it its trained numbers."""
        frozen = build_supernet(space, settings.pretrain, dataset, settings.seed, state)
        frozen.to(torch.device(device))
        frozen.vector.copy_(torch.from_numpy(vector.copy()))
        self._supernet = frozen.supernet.requires_grad_(False)
        self._dataset = dataset
        self._device = torch.device(device)
        self._batches = settings.search.recalibration_batches
        wanted = min(settings.search.score_images or len(dataset.val), len(dataset.val))
        # every score sees the same images: differences are the architectures'
        rng = random_numbers(settings.seed, Stream.SCORED_IMAGES)
        self._images = dataset.val.take(np.sort(rng.permutation(len(dataset.val))[:wanted]))
        batch = settings.search.recalibration_batch or settings.pretrain.batch
        self._training = Batches(dataset, batch, settings.seed, Stream.RECALIBRATION)

    def __call__(self, architecture: Architecture) -> float:
        """Return the accuracy on the validation images."""
        network = _OnPath(self._supernet, architecture)
        self._recalibrate(network)
        return evaluate(network, self._images, self._dataset, self._device).accuracy

    @torch.no_grad()
    def _recalibrate(self, network: nn.Module) -> None:
        """Give the batch norms the mean statistics of some training batches on this path."""
        for norm in batch_norms(network):
            norm.track_running_stats, norm.momentum = True, None  # None: a plain mean
            norm.running_mean = torch.zeros_like(norm.weight)
            norm.running_var = torch.ones_like(norm.weight)
            norm.num_batches_tracked = torch.tensor(0, device=self._device)
        network.train()
        for step in range(self._batches):
            images, _ = on_device(self._training(step), self._dataset, self._device)
            network(images)


class ProxyScore:
    """A zero-cost score of the untrained subnet on one batch of training images."""

    def __init__(
        self, space: Space, dataset: Dataset, settings: Settings, device: str, proxy: str
    ) -> None:
        """Choose the batch."""
        self._proxy = PROXIES[proxy]
        self._space = space
        self._dataset = dataset
        self._settings = settings
        self._device = torch.device(device)
        batches = Batches(dataset, _PROXY_BATCH, settings.seed, Stream.PROXY_IMAGES, crops=CENTRE)
        self.images, self.labels = on_device(batches(0), dataset, self._device)

    def __call__(self, architecture: Architecture) -> float:
        """Return the score."""
        return self._proxy(self.untrained(architecture), self.images, self.labels)

    def untrained(self, architecture: Architecture) -> nn.Module:
        """Return the network; weights are the run's initialisation, drawn from its seed."""
        settings = self._settings
        network = subnet(
            self._space, architecture, self._dataset.channels, self._dataset.num_classes
        )
        initialise_(network, settings.pretrain.drawn, settings.seed, Stream.PROXY_WEIGHTS)
        return network.to(self._device).to(memory_format=torch.channels_last)
