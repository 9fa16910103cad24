"""Differentiable search: weights learn on one half of the images, gates on the other, in turns.

First order: no gradient goes through the step of the weights. Sources: DARTS (Liu et al. 2019,
arXiv 1806.09055), PC-DARTS (Xu et al. 2020, arXiv 1907.05737), PR-DARTS (Zhou et al. 2020, arXiv
2006.16537). What is random is a function of the seed and the step.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from raynas.data.batches import Batches, on_device, part_share
from raynas.data.dataset import Dataset
from raynas.data.prefetch import Batch, Loader
from raynas.data.search_split import halves
from raynas.differentiable.epochs import SearchEpoch, cell_gates, derived, from_json, to_json
from raynas.differentiable.mixed_network import Mixture, SearchNetwork
from raynas.differentiable.sampling import CELLS, draw, first_parameters
from raynas.errors import StageError
from raynas.seeds import Stream, mixed_seed
from raynas.settings.differentiable import DifferentiableSettings
from raynas.spaces.cells import CellSpace
from raynas.spaces.genotype import Genotype
from raynas.training.checkpoints import read_metadata
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.snapshots import snapshot, under


class Step(NamedTuple):
    """What a pair of batches did; each a scalar.

    Attributes:
        train_loss: Cross-entropy of the batch of the weights.
        val_loss: Likewise of the batch of the gates.
        accuracy: Share of the latter classified correctly.
        penalty: What the groups cost less what the path earned.
    """

    train_loss: torch.Tensor
    val_loss: torch.Tensor
    accuracy: torch.Tensor
    penalty: torch.Tensor


class GateSearch:
    """A network of all operations, its gates and both optimisers; advances epoch by epoch."""

    def __init__(  # noqa: PLR0913 - everything that defines the result
        self,
        space: CellSpace,
        dataset: Dataset,
        settings: DifferentiableSettings,
        seed: int,
        device: str = "cpu",
        group: DataParallelGroup = ALONE,
    ) -> None:
        """Draw new weights and gates from the seed, the same ones on all workers of a group.

        Args:
            space: Where genotypes come from.
            dataset: Its training part is cut in halves; the others are not looked at.
            settings: The method.
            seed: Of everything random.
            device: Where the network is; gates are small and stay on the CPU.
            group: This worker's place among those that share every batch.
        """
        self.history: list[SearchEpoch] = []
        self._group = group
        self._space = space
        self._settings = settings
        self._seed = seed
        self._device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(mixed_seed(seed, Stream.SEARCH_NETWORK))
            network = SearchNetwork(space, settings, dataset.channels, dataset.num_classes)
        self._network = network.to(self._device).to(memory_format=torch.channels_last)
        self.parameters = first_parameters(space, settings, self._generator(Stream.FIRST_GATES))
        self._weights_step = torch.optim.SGD(
            self._network.parameters(),
            settings.learning_rate,
            settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )
        self._gates_step = torch.optim.Adam(
            self.parameters.values(),
            settings.gate_rate,
            (0.5, 0.999),
            weight_decay=settings.gate_decay,
        )
        first, second = halves(dataset, seed)
        self._dataset = dataset
        self._loaders = [
            Loader(Batches(half, settings.batch, seed, stream, group.size))
            for half, stream in ((first, Stream.SEARCH_WEIGHTS), (second, Stream.SEARCH_GATES))
        ]
        self.steps_per_epoch = math.ceil(len(first.train) / settings.batch)

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    @property
    def genotype(self) -> Genotype:
        """The genotype of the gates as they are."""
        return derived(self._space, self.parameters, self._settings)

    def run_epoch(self) -> SearchEpoch:
        """Go once through both halves.

        Raises:
            StageError: A loss is not finite any more.
        """
        started = time.monotonic()
        self._network.train()
        first = self.epoch * self.steps_per_epoch
        steps = [self.step(step) for step in range(first, first + self.steps_per_epoch)]
        means = [float(torch.stack(column).mean()) for column in zip(*steps, strict=True)]
        if not all(map(math.isfinite, means)):
            raise StageError(
                f"differentiable search, epoch {self.epoch + 1}: the losses are {means[0]} and "
                f"{means[1]}; lower --differentiable.learning-rate (now "
                f"{self._settings.learning_rate})"
            )
        share = part_share(self._settings.batch, self._group.rank, self._group.size)
        self._group.average_statistics([self._network], share)
        self.history.append(self._report(means, time.monotonic() - started))
        return self.history[-1]

    def step(self, number: int) -> Step:
        """Update the weights by a batch of one half, then the gates by one of the other."""
        settings, epoch = self._settings, number // self.steps_per_epoch
        progress = number / (self.steps_per_epoch * settings.epochs)
        fall = settings.learning_rate - settings.last_rate
        for group in self._weights_step.param_groups:
            group["lr"] = settings.last_rate + fall * 0.5 * (1 + math.cos(math.pi * progress))
        train_loss = self._train_weights(self._part(0, number), number, epoch)
        with torch.set_grad_enabled(epoch >= settings.warmup):
            return Step(train_loss, *self._train_gates(self._part(1, number), number, epoch))

    def _part(self, half: int, number: int) -> Batch:
        """Return this worker's part of a step's batch of one half, on its device."""
        batch = self._loaders[half](number, self._group.rank)
        return on_device(batch, self._dataset, self._device)

    def _train_weights(self, batch: Batch, number: int, epoch: int) -> torch.Tensor:
        with torch.no_grad():
            mixtures, _ = self._draw(epoch, number, 0)
        loss, _ = self._look(batch, mixtures)
        self._weights_step.zero_grad()
        loss.backward()
        loss = self._average(self._network.parameters(), loss.detach(), batch)
        if self._settings.clip > 0:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.clip)
        self._weights_step.step()
        return loss

    def _train_gates(
        self, batch: Batch, number: int, epoch: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Update the gates where gradients are enabled; return loss, accuracy and penalty.

        Workers draw the same gates, which cost the same; shares of a batch add up to 1, so that
        the mean of all workers' gradients has the cost's in it once.
        """
        mixtures, cost = self._draw(epoch, number, 1)
        loss, accuracy = self._look(batch, mixtures)
        found = torch.stack([loss.detach(), accuracy])
        if not torch.is_grad_enabled():
            loss, accuracy = self._average([], found, batch)
            return loss, accuracy, torch.zeros_like(loss)
        cost = cost.to(self._device, non_blocking=True)  # or it waited for the forward pass
        parameters = list(self.parameters.values())
        gradients = torch.autograd.grad(loss + cost, parameters)  # none of the weights
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        loss, accuracy = self._average(parameters, found, batch)
        self._gates_step.step()
        return loss, accuracy, cost.detach()

    def _average(
        self, parameters: Iterable[torch.Tensor], found: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """Replace gradients by those of all workers' parts; return the mean of what they found."""
        share = len(batch[1]) / self._settings.batch
        return self._group.average_gradients(parameters, found, share)

    def _draw(self, epoch: int, *place: int) -> tuple[list[Mixture], torch.Tensor]:
        """Return the weights of both kinds of cell, and what their gates cost."""
        temperature = self._settings.temperature(epoch)
        generator = self._generator(Stream.GATES, *place)
        return draw(self._space, self.parameters, self._settings, temperature, generator)

    def _look(self, batch: Batch, mixtures: list[Mixture]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cross-entropy of a batch, and the share classified correctly."""
        images, labels = batch
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            logits = self._network(images, *mixtures)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return functional.cross_entropy(logits.float(), labels), accuracy

    def _report(self, means: list[float], seconds: float) -> SearchEpoch:
        settings = self._settings
        temperature = (
            settings.temperature(self.epoch) if settings.gates == "hard_concrete" else None
        )
        normal, reduction = (
            cell_gates(self._space, self.parameters, settings, temperature, cell) for cell in CELLS
        )
        train_loss, val_loss, accuracy, cost = means
        return SearchEpoch(
            epoch=self.epoch + 1,
            temperature=temperature,
            learning_rate=self._weights_step.param_groups[0]["lr"],
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=accuracy,
            penalty=cost,
            genotype=str(self.genotype),
            normal=normal,
            reduction=reduction,
            seconds=seconds,
        )

    def _generator(self, stream: Stream, *place: int) -> torch.Generator:
        """Return random numbers of a place of their own, the same ones for every device."""
        return torch.Generator().manual_seed(mixed_seed(self._seed, stream, *place))

    def to_bytes(self) -> bytes:
        """Return everything that continuing needs as one safetensors file."""
        return self.snapshot()()

    def snapshot(self) -> Callable[[], bytes]:
        """Return what makes ``to_bytes`` of this moment, also while the search goes on."""
        tensors = {f"network.{name}": value for name, value in self._network.state_dict().items()}
        tensors |= {f"parameters.{name}": value for name, value in self.parameters.items()}
        for index, state in self._weights_step.state_dict()["state"].items():
            tensors[f"weights.{index}.momentum_buffer"] = state["momentum_buffer"]
        for index, state in self._gates_step.state_dict()["state"].items():
            tensors |= {f"gates.{index}.{name}": value for name, value in state.items()}
        return snapshot(tensors, {"history": to_json(self.history)})

    def restore(self, content: bytes) -> None:
        """Continue from ``to_bytes``."""
        tensors = safetensors.torch.load(content)
        self.history = from_json(read_metadata(content)["history"])
        self._network.load_state_dict(under("network.", tensors))
        with torch.no_grad():
            for name, value in under("parameters.", tensors).items():
                self.parameters[name].copy_(value)
        _restore(self._weights_step, under("weights.", tensors))
        _restore(self._gates_step, under("gates.", tensors))


def _restore(optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, what = name.partition(".")
        states.setdefault(int(index), {})[what] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": states})
