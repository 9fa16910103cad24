"""A piece's gradient is that of its path at the given numbers, and of nothing else."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional

from raynas.data.batches import Batches, on_device
from raynas.nets.supernet import LayerIndicator
from raynas.seeds import Stream
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.parameter_layout import indices_on
from raynas.training.gradients import Gradient, PathGradients, Piece, Vector, build_supernet
from tests.data.samples import build_dataset, small_pretraining, tiny_space

SHARE = 0.5  # of the batch, in each of two shards
PATHS = [Architecture(path) for path in ((0, 1, 2), (2, 3, 0), (1, 3, 3))]


def one(compute: PathGradients, vector: Vector, step: int, piece: Piece) -> Gradient:
    """Return the gradient of a piece that is asked for alone, the classifier's numbers last."""
    found = compute(vector, step, [piece])
    (own,) = found.gradients
    classifier = found.classifier.to_floats() / SHARE
    return Gradient(np.concatenate([own.values, classifier.astype(np.float32)]), own.loss)


def build(settings: PretrainSettings) -> PathGradients:
    """Return what computes the pieces of two shards of a small data set."""
    return PathGradients(tiny_space(), build_dataset(), settings, 0, 2)


def noisy(vector: Vector, seed: int = 0) -> Vector:
    """Return a vector around the given one, so that no gradient vanishes by symmetry."""
    rng = np.random.default_rng(seed)
    return vector + rng.normal(0, 0.3, vector.shape).astype(np.float32)


class Exact:
    """The same supernet in double precision, differentiated by nobody but torch itself."""

    def __init__(self, settings: PretrainSettings) -> None:
        dataset = build_dataset()
        self.frozen = build_supernet(tiny_space(), settings, dataset, 0)
        self.frozen.supernet.double()
        self._batches = Batches(dataset, settings.batch, 0, Stream.PRETRAINING, 2)
        self._smoothing = settings.label_smoothing

    def loss(self, vector: npt.NDArray[Any], step: int, piece: Piece) -> torch.Tensor:
        """Return the loss of a piece at the given numbers."""
        used = self.frozen.parameters_on(piece.path)
        values = torch.from_numpy(vector[indices_on(self.frozen.segments, piece.path)]).double()
        sizes = [part.numel() for part in used]
        for part, numbers in zip(used, values.split(sizes), strict=True):
            part.data = numbers.view_as(part)
        batch = self._batches(step, piece.shard)
        images, labels = on_device(batch, build_dataset(), torch.device("cpu"))
        logits = self.frozen.supernet(images.double(), piece.path)
        return functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)

    def gradient(self, vector: Vector, step: int, piece: Piece) -> npt.NDArray[np.float64]:
        """Return dLoss/dvector of the parameters on the path."""
        loss = self.loss(vector, step, piece)
        parts = torch.autograd.grad(loss, self.frozen.parameters_on(piece.path))
        return torch.cat([part.flatten() for part in parts]).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("trainable", "layer_indicator", "classifier_rate"),
    [("all_bn", "path", 0.01), ("last_bn", "path", 0.0), ("all_bn", "parallel", 0.0)],
)
def test_a_gradient_is_that_of_plain_autograd_in_double(
    path: Architecture, trainable: Any, layer_indicator: LayerIndicator, classifier_rate: float
) -> None:
    settings = small_pretraining(
        trainable=trainable, layer_indicator=layer_indicator, classifier_rate=classifier_rate
    )
    compute, exact = build(settings), Exact(settings)
    vector, piece = noisy(compute.vector), Piece(path, 1)
    gradient = one(compute, vector, 3, piece)

    wanted = exact.gradient(vector, 3, piece)
    assert gradient.values.dtype == np.float32
    assert gradient.values == pytest.approx(wanted, rel=1e-3, abs=1e-4 * np.abs(wanted).max())
    assert gradient.loss == pytest.approx(exact.loss(vector, 3, piece).item(), rel=1e-5)


def test_a_gradient_is_the_slope_of_the_loss_in_every_direction() -> None:
    settings = small_pretraining()
    compute, exact = build(settings), Exact(settings)
    vector, piece = noisy(compute.vector), Piece(PATHS[0], 0)
    values = one(compute, vector, 0, piece).values
    rng = np.random.default_rng(1)
    reach = 1e-6
    for _ in range(5):
        direction = np.zeros(len(vector))
        indices = indices_on(exact.frozen.segments, piece.path)
        direction[indices] = rng.normal(size=len(indices))
        ahead = exact.loss(vector + reach * direction, 0, piece).item()
        behind = exact.loss(vector - reach * direction, 0, piece).item()

        slope = float(direction[indices] @ values)
        assert slope == pytest.approx((ahead - behind) / (2 * reach), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_a_gradient_has_the_numbers_on_the_path_and_no_others(path: Architecture) -> None:
    settings = small_pretraining()
    compute = build(settings)
    segments = build_supernet(tiny_space(), settings, build_dataset(), 0).segments
    indices = indices_on(segments, path)
    vector = noisy(compute.vector)
    elsewhere = noisy(vector, seed=5)
    elsewhere[indices] = vector[indices]

    here = one(compute, vector, 0, Piece(path, 0))
    assert len(here.values) == len(indices) < len(vector)
    assert same(one(compute, elsewhere, 0, Piece(path, 0)), here)


def test_a_gradient_depends_on_nothing_that_was_computed_before() -> None:
    compute, fresh = build(small_pretraining()), build(small_pretraining())
    vector, other = noisy(compute.vector, 1), noisy(compute.vector, 2)
    for step, path in enumerate(PATHS):
        one(compute, other, step, Piece(path, step % 2))

    piece = Piece(PATHS[1], 1)
    assert same(one(compute, vector, 4, piece), one(fresh, vector, 4, piece))


def test_steps_shards_and_paths_have_gradients_of_their_own() -> None:
    compute = build(small_pretraining())
    vector = noisy(compute.vector)
    losses = {
        one(compute, vector, step, Piece(path, shard)).loss
        for step in (0, 1)
        for shard in (0, 1)
        for path in PATHS
    }

    assert len(losses) == 12


def test_the_vector_that_was_given_is_left_alone() -> None:
    compute = build(small_pretraining())
    vector = noisy(compute.vector)
    before = vector.copy()
    one(compute, vector, 0, Piece(PATHS[0], 0))

    assert np.array_equal(vector, before)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning")
def test_a_vector_that_cannot_be_written_serves_as_well() -> None:
    compute = build(small_pretraining())
    vector = noisy(compute.vector)
    shared = vector.copy()
    shared.setflags(write=False)  # as it comes out of Ray's object store

    piece = Piece(PATHS[0], 0)
    assert same(one(compute, shared, 0, piece), one(compute, vector, 0, piece))


def test_every_machine_builds_the_same_supernet_from_the_seed() -> None:
    space, settings, dataset = tiny_space(), small_pretraining(), build_dataset()
    first, again = (build_supernet(space, settings, dataset, 5).supernet for _ in range(2))
    other = build_supernet(space, settings, dataset, 6).supernet
    weights = [parameter for parameter in first.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in other.parameters() if parameter.ndim > 1]

    assert all(
        torch.equal(mine, same)
        for mine, same in zip(first.parameters(), again.parameters(), strict=True)
    )
    assert not any(map(torch.equal, weights, others))


def same(first: Gradient, second: Gradient) -> bool:
    """Return whether two gradients are equal to the last bit."""
    return first.loss == second.loss and np.array_equal(first.values, second.values)


@pytest.mark.parametrize("trainable", ["all_bn", "last_bn"])
def test_pieces_asked_for_together_have_the_bits_of_pieces_asked_for_alone(
    trainable: Literal["all_bn", "last_bn"],
) -> None:
    """They share batch and stem; shards are computed one after another, answers stay in order."""
    compute = build(small_pretraining(trainable=trainable))
    vector = compute.vector
    pieces = [Piece(path, shard) for path in PATHS for shard in (1, 0)]

    together = compute(vector, 2, pieces)
    alone = [compute(vector, 2, [piece]) for piece in pieces]

    assert all(
        same(gradient, *other.gradients)
        for gradient, other in zip(together.gradients, alone, strict=True)
    )
    parts = [each.classifier.units for each in alone]
    assert np.array_equal(together.classifier.units, sum(parts))


def test_of_a_frozen_classifier_nothing_leaves_the_worker() -> None:
    learning, frozen = (build(small_pretraining(classifier_rate=rate)) for rate in (0.01, 0.0))
    pieces = [Piece(path, 0) for path in PATHS]
    found, nothing = learning(learning.vector, 0, pieces), frozen(frozen.vector, 0, pieces)

    assert found.classifier.units.size == len(learning.vector) - len(frozen.vector) > 0
    assert nothing.classifier.units.size == 0
    assert all(map(same, found.gradients, nothing.gradients))
