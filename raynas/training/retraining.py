"""Training of a network from scratch, all weights, epoch by epoch, with checkpoints.

Source: the published code of BN-NAS and SPOS (label smoothing, decay on convolutions and
classifier only, dropout before the classifier, statistics averaged anew at the end); the others
are torchvision's reference training and DARTS, by settings.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from raynas.costs.latency_table import Task
from raynas.data.dataset import Dataset
from raynas.errors import StageError
from raynas.nets.auxiliary import WithAuxiliary, with_auxiliary
from raynas.nets.cells import Cell
from raynas.seeds import Stream, mixed_seed
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.spaces.protocol import Space
from raynas.training.acceleration import compiled, measured_convolutions
from raynas.training.checkpoints import read_metadata
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.evaluation import Evaluation, Look, evaluate
from raynas.training.new_network import Chosen, new_network
from raynas.training.objective import Objective
from raynas.training.optimisers import make_optimiser, restore_state, set_rates, state_of
from raynas.training.schedules import learning_rate
from raynas.training.snapshots import snapshot, under
from raynas.training.teacher import Teacher

Begin = Callable[[nn.Module], frozenset[str]]
Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


@dataclass(frozen=True)
class Epoch:
    """What an epoch did: a row of the table ``trials``.

    Attributes:
        epoch: Its number, from 1.
        train_loss: Mean of what is minimised: cross-entropy with label smoothing, and of weighted
            classes, mixed images, a second head and a teacher where settings have them.
        val_loss: Mean cross-entropy on the validation part, of the averaged weights; None where
            that has no images, as for the accuracies.
        val_accuracy: Share of validation images classified correctly, in [0, 1].
        seconds: Wall time of training and validation.
        learning_rate: At its end, of what does not inherit.
        val_balanced_accuracy: Mean of the classes' shares of validation images classified
            correctly, in [0, 1]; None in an epoch that an older raynas recorded.
    """

    epoch: int
    train_loss: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    learning_rate: float
    val_balanced_accuracy: float | None = None


class Retraining:
    """A network, its averaged weights and its optimiser; advances epoch by epoch."""

    def __init__(  # noqa: PLR0913 - everything that defines the result
        self,
        space: Space,
        architecture: Chosen,
        dataset: Dataset,
        settings: RetrainSettings,
        seed: int,
        device: str = "cpu",
        group: DataParallelGroup = ALONE,
        begin: Begin | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Draw new weights from the seed, the same ones on all workers of a group.

        Args:
            space: In which an architecture lies.
            architecture: What is trained.
            dataset: The images.
            settings: Of the training.
            seed: Seed of the run.
            device: Where to compute.
            group: The workers that train together; weights are those of its rank 0.
            begin: Gives the network other weights, in place, and returns the names of its
                parameters that are inherited, which learn at a rate of their own.
            teacher: Whose answers are learned beside the labels; None: no one's.
        """
        self.history: list[Epoch] = []
        self._group = group
        self._settings = settings
        self._dataset = dataset
        self._seed = seed
        self._device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(mixed_seed(seed, Stream.NETWORK))
            task = Task(dataset.channels, dataset.resolution, dataset.num_classes)
            network = new_network(space, architecture, task, settings.dropout)
        # channels last, which convolutions prefer
        self._network = network.to(self._device).to(memory_format=torch.channels_last)
        inherited = begin(self._network) if begin else frozenset()
        has_head = settings.auxiliary > 0 and isinstance(architecture, Architecture)
        self._learning = self._with_head(space) if has_head else self._network
        self._cells = [part for part in network.modules() if isinstance(part, Cell)]
        self._averaged = (
            AveragedModel(self._network, multi_avg_fn=self._average, use_buffers=True)
            if settings.ema_decay > 0
            else None
        )
        self._objective = Objective(dataset, settings, seed, self._device, group, teacher)
        self._share = self._objective.share
        parallel = group.averaging(self._learning, self._share)
        self._compute = compiled(parallel) if settings.compile else parallel
        self._optimiser = make_optimiser(self._learning, settings, self._names(inherited))
        self.steps_per_epoch = math.ceil(len(dataset.train) / settings.batch)

    def _with_head(self, space: Space) -> nn.Module:
        """Return the network with the second head that is there while it learns."""
        assert isinstance(space, CellSpace), "refused before"
        assert isinstance(self._network, nn.Sequential), "a network of the space"
        dataset = self._dataset
        shape = dataset.resolution, dataset.channels, dataset.num_classes
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(mixed_seed(self._seed, Stream.AUXILIARY))
            learning = with_auxiliary(self._network, space, *shape)
        return learning.to(self._device).to(memory_format=torch.channels_last)

    def _names(self, inherited: frozenset[str]) -> frozenset[str]:
        """Return names of the network's parameters as they are in what learns."""
        own = {id(parameter): name for name, parameter in self._network.named_parameters()}
        assert inherited <= set(own.values()), "names of the network's parameters"
        named = self._learning.named_parameters()
        return frozenset(name for name, each in named if own.get(id(each)) in inherited)

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    @property
    def evaluated(self) -> nn.Module:
        """The network that counts: the averaged one where there is one."""
        return self._network if self._averaged is None else self._averaged.module

    def run_epoch(self) -> Epoch:
        """Train for one epoch and look at the validation part, if there is one.

        Raises:
            StageError: The loss is not finite any more.
        """
        started = time.monotonic()
        self._learning.train()
        with torch.random.fork_rng(devices=[] if self._device.type == "cpu" else [self._device]):
            place = self.epoch, self._group.rank
            torch.random.manual_seed(mixed_seed(self._seed, Stream.DROPOUT, *place))
            first = self.epoch * self.steps_per_epoch
            losses = [self.train_step(step) for step in range(first, first + self.steps_per_epoch)]
        train_loss = self._mean(losses)
        if not math.isfinite(train_loss):
            raise StageError(
                f"retraining, epoch {self.epoch + 1}: the loss is {train_loss}; lower "
                f"--retrain.learning-rate (now {self._settings.learning_rate})"
            )
        self._group.average_statistics([self._learning, self.evaluated], self._share)
        if self.epoch + 1 == self._settings.epochs and self._settings.recalibration_batches:
            self._recalibrate()
        val = self.evaluate("val") if len(self._dataset.val) else None
        last = (self.epoch + 1) * self.steps_per_epoch - 1
        rate = learning_rate(self._settings, last, self.steps_per_epoch)
        seconds = time.monotonic() - started
        loss, accuracy = (val.loss, val.accuracy) if val else (None, None)
        balanced = val.balanced_accuracy if val else None
        epoch = Epoch(self.epoch + 1, train_loss, loss, accuracy, seconds, rate, balanced)
        self.history.append(epoch)
        return epoch

    def _mean(self, losses: list[torch.Tensor]) -> float:
        """Return the mean of losses over the images of all workers, read once."""
        whole = torch.stack(losses).mul_(self._share)
        self._group.add_up([whole])
        return float(whole.mean())

    def train_step(self, step: int) -> torch.Tensor:
        """Update the weights once; return the loss of this worker's part, a scalar on the device.

        The host waits for no number of the device.
        """
        settings = self._settings
        progress = step / (self.steps_per_epoch * settings.epochs)
        set_rates(self._optimiser, learning_rate(settings, step, self.steps_per_epoch))
        for cell in self._cells:
            cell.drop_path = settings.drop_path * progress
        with measured_convolutions(self._device):
            loss = self._objective.loss(self._compute, step)
            self._optimiser.zero_grad()
            loss.backward()
        if settings.clip > 0:
            nn.utils.clip_grad_norm_(self._learning.parameters(), settings.clip)
        self._optimiser.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self._network)
        return loss.detach()

    def _recalibrate(self) -> None:
        """Average the statistics of the evaluated network's batch norms over training batches.

        Source: SPOS' published evaluation. Nothing is dropped, erased or mixed.
        """
        for cell in self._cells:  # those of averaged weights never drop a path
            cell.drop_path = 0.0
        first = self._settings.epochs * self.steps_per_epoch
        steps = range(first, first + self._settings.recalibration_batches)
        with torch.random.fork_rng(devices=[] if self._device.type == "cpu" else [self._device]):
            update_bn(map(self._objective.images, steps), self.evaluated)
        self._group.average_statistics([self.evaluated], self._share)

    def _average(self, averaged: Tensors, current: Tensors, count: torch.Tensor | int) -> None:
        """Average exponentially with a decay that starts low: min(d, (1+n)/(10+n)).

        Without that, the random weights of the beginning would weigh for 1 / (1 - d) steps.
        """
        assert self._averaged is not None
        n = int(self._averaged.n_averaged)  # the host's; to read the device's, count, is to wait
        decay = min(self._settings.ema_decay, (1 + n) / (10 + n))
        get_ema_multi_avg_fn(decay)(averaged, current, count)

    def evaluate(self, part: str, look: Look | None = None) -> Evaluation:
        """Return loss and accuracy on "val" or "test", and show the logits to who looks."""
        images = {"val": self._dataset.val, "test": self._dataset.test}[part]
        return evaluate(
            self.evaluated,
            images,
            self._dataset,
            self._device,
            pieces=self._objective.loader.in_order,
            group=self._group,
            look=look,
        )

    def weights(self) -> bytes:
        """Return the evaluated network's weights as a safetensors file."""
        return snapshot(self.evaluated.state_dict())()

    def to_bytes(self) -> bytes:
        """Return everything that continuing needs as one safetensors file."""
        return self.snapshot()()

    def snapshot(self) -> Callable[[], bytes]:
        """Return what makes ``to_bytes`` of this moment, also while training goes on."""
        tensors = {f"network.{name}": value for name, value in self._network.state_dict().items()}
        if self._averaged is not None:
            averaged = self._averaged.state_dict()
            tensors |= {f"averaged.{name}": value for name, value in averaged.items()}
        if isinstance(self._learning, WithAuxiliary):
            head = self._learning.head.state_dict()
            tensors |= {f"auxiliary.{name}": value for name, value in head.items()}
        state = state_of(self._optimiser)
        tensors |= {f"optimiser.{name}": value for name, value in state.items()}
        history = json.dumps([asdict(epoch) for epoch in self.history])
        return snapshot(tensors, {"history": history})

    def restore(self, content: bytes) -> None:
        """Continue from ``to_bytes``."""
        tensors = safetensors.torch.load(content)
        history = json.loads(read_metadata(content)["history"])
        self.history = [Epoch(**row) for row in history]
        self._network.load_state_dict(under("network.", tensors))
        if self._averaged is not None:
            self._averaged.load_state_dict(under("averaged.", tensors))
        if isinstance(self._learning, WithAuxiliary):
            self._learning.head.load_state_dict(under("auxiliary.", tensors))
        restore_state(self._optimiser, under("optimiser.", tensors))
