"""What a worker computes: the gradient of one path on one shard of a step's batch.

A pure function of the trained vector, the step, the path and the shard: the frozen weights come
from the seed, the batch from (seed, step, shard). No number is kept between calls.

Every path uses all of the classifier, which at 1,000 classes is most of a path's numbers. Where it
learns, its gradients are added up over the pieces, and only their sum leaves the device.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from raynas.data.batches import Batches, on_device, part_share
from raynas.data.dataset import Dataset
from raynas.data.prefetch import Loader
from raynas.nets.frozen import FrozenSupernet
from raynas.nets.initialisation import frozen_supernet
from raynas.nets.subnet import set_dropout
from raynas.nets.supernet import Supernet
from raynas.seeds import Stream, mixed_seed
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.spaces.parameter_layout import classifier_start
from raynas.spaces.protocol import Space
from raynas.training.exact_sums import ExactAdder, ExactSum

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """One part of a step: a path on a shard of the step's batch."""

    path: Architecture
    shard: int


@dataclass(frozen=True)
class Gradient:
    """A piece's result.

    Attributes:
        values: dLoss/dvector for the parameters on the path but the classifier's, in the vector's
            order.
        loss: Mean cross-entropy of the shard.
    """

    values: Vector
    loss: float


@dataclass(frozen=True)
class Computed:
    """The results of some pieces of a step.

    Attributes:
        gradients: One per piece, in their order.
        classifier: The sum over these pieces of dLoss/dvector for the classifier, each times the
            share of the batch in its shard.
    """

    gradients: Sequence[Gradient]
    classifier: ExactSum


def build_supernet(
    space: SearchSpace,
    settings: PretrainSettings,
    dataset: Dataset,
    seed: int,
    state: Mapping[str, torch.Tensor] | None = None,
) -> FrozenSupernet:
    """Return the run's supernet as every machine builds it: frozen, at its starting point.

    Args:
        space: The space that is searched.
        settings: How it is drawn and trained.
        dataset: The images.
        seed: Seed of the run.
        state: Of a supernet that has inherited its weights; None: they are drawn.
    """
    task = dataset.channels, dataset.num_classes
    supernet = frozen_supernet(space, *task, settings.layer_indicator, settings.drawn, seed)
    if state is not None:
        supernet.load_state_dict(state)
    return FrozenSupernet(
        supernet,
        settings.trainable,
        settings.trains_classifier,
        settings.recompute,
        (dataset.channels, dataset.resolution, dataset.resolution),
    )


def count_trained(
    space: Space, settings: PretrainSettings, channels: int, num_classes: int
) -> int | None:
    """Return how many numbers of a supernet learn, without its memory; None: there is none."""
    if not settings.epochs or not isinstance(space, SearchSpace):
        return None
    with torch.device("meta"):
        supernet = Supernet(space, channels, num_classes, settings.layer_indicator)
        frozen = FrozenSupernet(supernet, settings.trainable, settings.trains_classifier)
    return len(frozen.vector)


class PathGradients:
    """Computes pieces on one device."""

    def __init__(  # noqa: PLR0913 - everything that defines the result
        self,
        space: SearchSpace,
        dataset: Dataset,
        settings: PretrainSettings,
        seed: int,
        shards: int,
        device: str = "cpu",
        state: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Rebuild the supernet from the seed, or from a state, and move it to the device."""
        self._settings = settings
        self._seed = seed
        self._device = torch.device(device)
        self._frozen = build_supernet(space, settings, dataset, seed, state)
        self._frozen.to(self._device)
        set_dropout(self._frozen.supernet.head, settings.dropout)
        first = classifier_start(self._frozen.segments)
        self._classifier = ExactAdder(len(self._frozen.vector) - first, self._device)
        self._shares = [part_share(settings.batch, each, shards) for each in range(shards)]
        self._dataset = dataset
        self._loader = Loader(Batches(dataset, settings.batch, seed, Stream.PRETRAINING, shards))

    @property
    def waited(self) -> float:
        """Seconds that the device has waited for batches."""
        return self._loader.waited

    @property
    def vector(self) -> Vector:
        """A copy of the trained numbers that the network holds now."""
        held: Vector = self._frozen.vector.cpu().numpy().copy()
        return held

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return the gradients of pieces at the given trained numbers, in their order.

        The paths of a shard share its batch and the stem's output. Nothing leaves the device
        before all pieces are done: a GPU never waits for the host in between.
        """
        self._frozen.vector.copy_(torch.from_numpy(vector.copy()))  # Ray's arrays are read-only
        found: dict[int, torch.Tensor] = {}
        for shard in sorted({piece.shard for piece in pieces}):
            indices = [index for index, piece in enumerate(pieces) if piece.shard == shard]
            paths = [pieces[index].path for index in indices]
            found |= zip(indices, self._on_shard(step, shard, paths), strict=True)
        results = [found[index] for index in range(len(pieces))]
        host = torch.cat(results).cpu().numpy()
        ends = np.cumsum([len(result) for result in results])
        parts = np.split(host, ends[:-1])
        gradients = [Gradient(part[:-1], float(part[-1])) for part in parts]
        return Computed(gradients, self._classifier.take())

    def _on_shard(
        self, step: int, shard: int, paths: Sequence[Architecture]
    ) -> Iterator[torch.Tensor]:
        """Yield for each path its gradient and, as the last number, its loss.

        The classifier's gradients are added up instead.
        """
        images, labels = on_device(self._loader(step, shard), self._dataset, self._device)
        with self._autocast():
            features = self._frozen.supernet.stem(images)
        for number, path in enumerate(paths, start=1):
            is_last = number == len(paths)
            with self._drawing(step, shard, *path):
                own, classifier = self._on_path(features, labels, path, keep_stem=not is_last)
            self._classifier.add(classifier, self._shares[shard])
            yield own

    def _on_path(
        self, features: torch.Tensor, labels: torch.Tensor, path: Architecture, keep_stem: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a path's own gradient with its loss as the last number, and the classifier's."""
        with self._autocast():
            logits = self._frozen.supernet.forward_from(features, path)
        loss = functional.cross_entropy(
            logits.float(), labels, label_smoothing=self._settings.label_smoothing
        )
        # the stem's part of the graph serves the next path, too
        parameters = self._frozen.parameters_on(path)
        parts = torch.autograd.grad(loss, parameters, retain_graph=keep_stem)
        flat = [part.flatten() for part in parts]
        num_own = len(flat) - self._frozen.num_classifier
        own = torch.cat([*flat[:num_own], loss.detach().reshape(1)])
        return own, torch.cat([loss.new_empty(0), *flat[num_own:]])

    @contextmanager
    def _drawing(self, *place: int) -> Iterator[None]:
        """Let dropout draw what belongs to a piece, whoever computes it and after whatever.

        Args:
            place: The step, the shard and the choices of the path.
        """
        if not self._settings.dropout:
            yield
            return
        with torch.random.fork_rng(devices=[] if self._device.type == "cpu" else [self._device]):
            torch.random.manual_seed(mixed_seed(self._seed, Stream.SUPERNET_DROPOUT, *place))
            yield

    def _autocast(self) -> torch.autocast:
        on_gpu = self._device.type == "cuda"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=on_gpu)
