"""Scores that a pretrained supernet gives: of this process, or as runs have recorded it."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from raynas.benchmark.recorded import recorded_indicators, recorded_settings
from raynas.benchmark.recorded_spaces import known_space
from raynas.data.dataset import Dataset
from raynas.nets.relu_inputs import relu_inputs
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer, Indicators, score_table
from raynas.settings.methods import load_method
from raynas.settings.scores import INDICATOR_SCORES, SCORES, IndicatorScore
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.protocol import Space
from raynas.storage.run_store import RunStore
from raynas.training.gradients import PathGradients, build_supernet
from raynas.training.pretraining import Pretraining
from raynas.training.scoring import SubnetAccuracy
from raynas.training.trained_networks import searched_space
from tests.bench.known_truths import ROOT

Weights = Literal["qr", "shift", "gaussian", "spos"]


class Supernet(NamedTuple):
    """A pretrained supernet."""

    space: SearchSpace
    settings: Settings
    state: Pretraining
    seconds: float
    losses: list[float]

    def sums(self) -> Iterator[tuple[IndicatorScore, list[Array]]]:
        """Yield the table of every sum over layers; none of a supernet whose weights learn."""
        pretrain, search = self.settings.pretrain, self.settings.search
        if pretrain.trainable != "weights":
            has_layer = pretrain.layer_indicator != "none"
            yield from sums(self.state.indicators(), self.space, search, has_layer=has_layer)

    def accuracies(
        self, architectures: Iterable[Architecture], dataset: Dataset
    ) -> tuple[Array, float]:
        """Return the accuracy of each path, and the median of the seconds that it took."""
        vector = self.state.vector.numpy()
        score = SubnetAccuracy(self.space, dataset, self.settings, vector, "cpu")
        found, seconds = [], []
        for each in architectures:
            started = time.perf_counter()
            found.append(score(each))
            seconds.append(time.perf_counter() - started)
        return np.array(found), float(np.median(seconds))


def pretrained(settings: Settings, space: Space, dataset: Dataset, steps: int) -> Supernet:
    """Pretrain as a method does, in this process.

    Args:
        settings: The method's, with a seed.
        space: As its file has it.
        dataset: The images.
        steps: Of as many paths as the method takes.
    """
    pretrain, seed = settings.pretrain, settings.seed
    chain = chain_of(searched_space(space, pretrain.layer_indicator), "a supernet")
    frozen = build_supernet(chain, pretrain, dataset, seed)
    counted = relu_inputs(chain, dataset.resolution, dataset.channels)
    state = Pretraining(
        chain, frozen.segments, frozen.vector, pretrain, seed, steps, 1, relu_inputs=counted
    )
    started = time.perf_counter()
    losses = [step.loss for step in state.run(PathGradients(chain, dataset, pretrain, seed, 1))]
    return Supernet(chain, settings, state, time.perf_counter() - started, losses)


def method_settings(method: str, seed: int, weights: Weights | None) -> Settings:
    """Return a method's settings with a seed, and with other weights if some are given."""
    settings = replace(load_method(method, ROOT / "launch" / "settings"), seed=seed)
    if weights is None:
        return settings
    return replace(settings, pretrain=replace(settings.pretrain, initialisation=weights))


def sums(
    indicators: Indicators, space: SearchSpace, search: SearchSettings, *, has_layer: bool
) -> Iterator[tuple[IndicatorScore, list[Array]]]:
    """Yield the table of every sum over layers that does not lack layer indicators."""
    for name in INDICATOR_SCORES:
        if has_layer or SCORES[name].layer_indicator == "never":
            wanted = replace(search, score=name, strategy="evolution")
            table = score_table(indicators, space, wanted)
            if all(np.isfinite(row).any() for row in table):  # or it was not recorded
                yield name, table


def recorded(folder: str) -> Iterator[tuple[IndicatorScore, list[Array]]]:
    """Yield the table of every sum over layers that a run's indicators give."""
    store = RunStore(folder)
    run, rows = store.rows("runs")[0], store.rows("indicators")
    space = known_space(store)
    assert space is not None, f"{folder}: no indicators"
    found = recorded_indicators(rows, space)
    has_layer = bool(np.isfinite(found.layer).any())
    return sums(found, space, recorded_settings(run), has_layer=has_layer)


def summed(table: list[Array], architectures: Iterable[Architecture]) -> Array:
    """Return the sums of a table over the choices of architectures."""
    return AdditiveScorer(table)(list(architectures))


def told(supernet: Supernet) -> str:
    """Return a line on how a pretraining went."""
    settings, losses = supernet.settings, supernet.losses
    last = math.fsum(losses[-10:]) / len(losses[-10:])
    return (
        f"{settings.method}, {settings.pretrain.initialisation}, seed {settings.seed}: loss "
        f"{losses[0]:.3f} to {last:.3f}, {len(losses)} steps, {supernet.seconds:.0f} s"
    )
