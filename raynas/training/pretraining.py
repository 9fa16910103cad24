"""BN-only pretraining of the supernet: the driver's side, without knowing who computes.

Source: FairNAS (sum over the paths of a step, one update), the paper's Algorithm 1, BN-NAS
(optimiser). Gradients are summed over paths and averaged over images, so that the result does not
depend on who computed which piece or who answered first: those of a path in float64 and always in
the same order, those of the classifier exactly (``exact_sums``).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch

from raynas.costs.costs import CostTable, Rows
from raynas.data.batches import part_share
from raynas.errors import StageError
from raynas.search.formulas import Array
from raynas.search.indicators import Indicators, read_indicators
from raynas.search.sampling import count_updates
from raynas.search.step_paths import step_paths
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.spaces.parameter_layout import (
    Segment,
    classifier_start,
    parts_on,
    units,
)
from raynas.training.checkpoints import read_metadata
from raynas.training.gradients import Computed, Gradient, Piece, Vector
from raynas.training.importance import Importance

_BLOCK = 2**15  # numbers whose sums stay in a processor's cache


class ComputePieces(Protocol):
    """The seam to the workers: all pieces of a step to their gradients, in the same order."""

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return a gradient per piece, and the sum of the classifier's."""


@dataclass(frozen=True)
class StepReport:
    """What a step did.

    Attributes:
        step: Its number, from 0.
        loss: Mean over its pieces.
        learning_rate: Of the batch norms.
        num_paths: Paths that it trained.
    """

    step: int
    loss: float
    learning_rate: float
    num_paths: int


class Pretraining:
    """The trained vector, its optimiser and the ledger of updates; advances step by step."""

    def __init__(  # noqa: PLR0913 - the state's parts
        self,
        space: SearchSpace,
        segments: Sequence[Segment],
        vector: torch.Tensor,
        settings: PretrainSettings,
        seed: int,
        num_steps: int,
        num_shards: int,
        costs: CostTable | None = None,
        relu_inputs: Rows | None = None,
    ) -> None:
        """Start at step 0.

        Args:
            space: The space that is searched.
            segments: What the parts of the vector are.
            vector: The starting point, float32 on the CPU; copied.
            settings: Numbers of the pretraining.
            seed: Seed of the run.
            num_steps: Steps in all; the schedule ends there.
            num_shards: Parts of each step's batch.
            costs: What candidates cost on the run's images; macs_bins alone looks at them.
            relu_inputs: What candidates rectify on them; balanced_saliency alone looks at it.
        """
        self.step = 0
        self.num_steps = num_steps
        self.vector = vector.detach().clone()
        self.segments = segments
        self._space = space
        self._settings = settings
        self._seed = seed
        self._num_shards = num_shards
        self._shares = [part_share(settings.batch, each, num_shards) for each in range(num_shards)]
        self._sizes = [block.size for block in space.blocks]
        self._relu_inputs = relu_inputs
        self._paths = step_paths(self._sizes, settings, costs)
        self.updates: npt.NDArray[np.int64] = np.zeros((len(self._sizes), max(self._sizes)), int)
        self._importance = Importance(segments, self.updates.shape)
        self._units = units(segments)
        self._own = [unit for unit in self._units if unit.role != "classifier"]
        self._first = classifier_start(segments)
        self._summed = torch.zeros_like(self.vector)  # a step's gradient
        self._views = [self.vector[unit.start : unit.stop] for unit in self._units]
        self._decayed = [part for part in segments if part.role in {"weight", "classifier"}]
        self._optimiser = self._make_optimiser()

    def _make_optimiser(self) -> torch.optim.Optimizer:
        """Return SGD or Adam over the units; the classifier has a rate of its own."""
        settings = self._settings
        groups = [
            {"params": views, "peak": rate}
            for rate, views in (
                (settings.learning_rate, self._select(is_classifier=False)),
                (settings.classifier_rate, self._select(is_classifier=True)),
            )
            if views
        ]
        # foreach: all at once, with the bits of one after another
        if settings.optimiser == "adam":
            betas = settings.momentum, 0.999
            return torch.optim.Adam(groups, lr=0.0, betas=betas, foreach=True)
        return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, foreach=True)

    def _select(self, is_classifier: bool) -> list[torch.Tensor]:
        pairs = zip(self._units, self._views, strict=True)
        return [view for unit, view in pairs if (unit.role == "classifier") == is_classifier]

    def run(self, compute: ComputePieces) -> Iterator[StepReport]:
        """Train to the last step, yielding after each one.

        Raises:
            StageError: The loss is not finite any more.
        """
        while self.step < self.num_steps:
            paths = self.paths(self.step)
            # shard by shard: who computes all paths of one decodes its images once
            pieces = [Piece(path, shard) for shard in range(self._num_shards) for path in paths]
            computed = compute(self.vector.numpy(), self.step, pieces)
            loss = self._mean_loss(computed.gradients)
            if not math.isfinite(loss):
                raise StageError(
                    f"pretraining, step {self.step}: the loss is {loss}; the batch norms diverged, "
                    f"so lower --pretrain.learning-rate (now {self._settings.learning_rate})"
                )
            step = self.step
            self.step += 1  # first: interrupted here, the state is ahead of what is recorded of it
            rate = self._apply(pieces, computed, step)
            self.updates += count_updates(self._sizes, paths)
            yield StepReport(step, loss, rate, len(paths))

    def paths(self, step: int) -> list[Architecture]:
        """Return the paths of a step."""
        return self._paths(self._seed, step)

    def _apply(self, pieces: Sequence[Piece], computed: Computed, step: int) -> float:
        """Add up the gradients and update once; return the learning rate."""
        total = np.zeros(self._first)
        used = np.zeros(len(self.vector), dtype=bool)
        used[self._first :] = True  # by every path
        for piece, values in self._mean_over_shards(pieces, computed.gradients):
            for unit, gradient in parts_on(self._own, piece.path, values):
                span = slice(unit.start, unit.stop)
                total[span] += gradient
                used[unit.start] = True
                if unit.candidate is not None:
                    self._importance.add(unit, self.vector.numpy()[span] * gradient)
        self._limit(slice(0, self._first), total)
        for start in range(self._first, len(self.vector), _BLOCK):
            span = slice(start, min(start + _BLOCK, len(self.vector)))
            units = slice(span.start - self._first, span.stop - self._first)
            self._limit(span, computed.classifier.to_floats(units))
        for unit, view in zip(self._units, self._views, strict=True):
            # a unit that no path used must not be moved by its momentum (BN-NAS, 5.2)
            view.grad = self._summed[unit.start : unit.stop] if used[unit.start] else None
        factor = self._decay(step)
        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        self._optimiser.step()
        return self._settings.learning_rate * factor

    def _limit(self, span: slice, total: npt.NDArray[np.float64]) -> None:
        """Clip a part of the summed gradient in place, add weight decay, and keep it."""
        if self._settings.clip > 0:
            np.clip(total, -self._settings.clip, self._settings.clip, out=total)
        for part in self._decayed if self._settings.weight_decay else ():  # g + decay w
            start, stop = max(part.start, span.start), min(part.stop, span.stop)
            if start < stop:
                weights = self.vector.numpy()[start:stop]
                total[start - span.start : stop - span.start] += (
                    self._settings.weight_decay * weights
                )
        self._summed.numpy()[span] = total

    def _mean_over_shards(
        self, pieces: Sequence[Piece], gradients: Sequence[Gradient]
    ) -> Iterator[tuple[Piece, npt.NDArray[np.float64]]]:
        """Yield each path's gradient, the mean over all images of the batch.

        A shard with an image more than others weighs more.
        """
        num_paths = len(pieces) // self._num_shards
        for number in range(num_paths):
            shards = gradients[number::num_paths]
            total = np.zeros(len(shards[0].values))
            for share, shard in zip(self._shares, shards, strict=True):
                total += np.multiply(share, shard.values, dtype=np.float64)
            yield pieces[number], total

    def _mean_loss(self, gradients: Sequence[Gradient]) -> float:
        """Return the mean over all paths and images."""
        num_paths = len(gradients) // self._num_shards
        shares = np.repeat(self._shares, num_paths).tolist()
        losses = [share * each.loss for share, each in zip(shares, gradients, strict=True)]
        return math.fsum(losses) / num_paths

    def indicators(self) -> Indicators:
        """Read the indicators off the batch norms as they are now."""
        means = self._importance.means(self.updates)
        read = self.segments, self.vector.numpy(), self._space, *means
        return read_indicators(*read, self._relu_inputs)

    def _decay(self, step: int) -> float:
        """Return the share of the peak learning rate at a step."""
        done = step / self.num_steps
        last = self._settings.last_rate / self._settings.learning_rate
        match self._settings.schedule:
            case "cosine":
                return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * done))
            case "linear":  # BN-NAS: 1 - t / D, D = steps / (1 - last)
                return 1 - done * (1 - last)
            case "constant":
                return 1.0

    def to_bytes(self) -> bytes:
        """Return everything that continuing needs as one safetensors file."""
        tensors = {
            "vector": self.vector,
            "updates": torch.from_numpy(self.updates),
            "taylor": torch.from_numpy(self._importance.taylor),
            "saliency": torch.from_numpy(self._importance.saliency),
        }
        for index, view in enumerate(self._views):
            for name, value in self._optimiser.state.get(view, {}).items():
                if value is not None:
                    tensors[f"optimiser.{index}.{name}"] = torch.as_tensor(value)
        content: bytes = safetensors.torch.save(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            metadata={"step": str(self.step)},
        )
        return content

    def restore(self, content: bytes) -> None:
        """Continue from ``to_bytes``."""
        tensors = safetensors.torch.load(content)
        self.step = int(read_metadata(content)["step"])
        self.vector.copy_(tensors.pop("vector"))
        self.updates = tensors.pop("updates").numpy().copy()
        self._importance.taylor[:] = tensors.pop("taylor").numpy()
        self._importance.saliency[:] = tensors.pop("saliency").numpy()
        for name, value in tensors.items():
            _, index, entry = name.split(".")
            self._optimiser.state[self._views[int(index)]][entry] = value.clone()


def num_steps(num_images: int, settings: PretrainSettings, cycle: int) -> int:
    """Return the steps of a pretraining: its epochs, rounded up to a whole fairness cycle.

    Args:
        num_images: Training images.
        settings: Epochs and batch.
        cycle: Steps after which every candidate has had the same number of updates.
    """
    steps = math.ceil(settings.epochs * num_images / settings.batch)
    return math.ceil(steps / cycle) * cycle


def learned_nothing(losses: Sequence[float] | Array, num_classes: int) -> str | None:
    """Return a plain sentence if the loss did not fall below chance, else None."""
    if not len(losses):  # nothing was meant to be learned
        return None
    tenth = max(len(losses) // 10, 1)
    first, last = math.fsum(losses[:tenth]) / tenth, math.fsum(losses[-tenth:]) / tenth
    chance = math.log(num_classes)
    if last < min(0.98 * chance, first):
        return None
    return (
        f"pretraining learned nothing: loss {first:.3f} at first, {last:.3f} at last, {chance:.3f} "
        "by chance; its indicators are noise (more --pretrain.epochs, another learning rate, or "
        "--pretrain.trainable all_bn with adam)"
    )
