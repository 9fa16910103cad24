"""Scores of single architectures, each beside an independent computation of the same."""

import ast
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from raynas.data.batches import Batches, normalise, on_device
from raynas.data.crops import CENTRE
from raynas.data.dataset import Dataset
from raynas.nets.initialisation import initialise_
from raynas.nets.proxies import PROXIES
from raynas.nets.subnet import subnet
from raynas.nets.supernet import batch_norms
from raynas.seeds import Stream, random_numbers
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.scores import ScoreName
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.training.evaluation import evaluate
from raynas.training.gradients import Vector, build_supernet
from raynas.training.scoring import ProxyScore, SubnetAccuracy, make_score
from tests.builders import build_generator, build_space, run_python
from tests.data.samples import SHIFTED, InProcess, begin_pretraining, build_dataset

SPACE = build_space("RNN")
BATCHES = 3
WEIGHTS, NORMS = "all", "all_bn"


@cache
def dataset() -> Dataset:
    """Return images of which there are more for validation than a score looks at."""
    return build_dataset(count=120, channels=1, crops=SHIFTED)


def settings(trainable: Any = WEIGHTS, **search: Any) -> Settings:
    """Return the settings of a supernet without identities, scored by accuracy."""
    changed = SearchSettings(
        score="accuracy", recalibration_batches=BATCHES, score_images=37, generations=2
    )
    pretrain = PretrainSettings(
        batch=16,
        trainable=trainable,
        layer_indicator="none",
        sampling="fair",
        learning_rate=0.01,
        classifier_rate=0.01,
    )
    return Settings(pretrain=pretrain, search=replace(changed, **search))


@cache
def trained(trainable: str = WEIGHTS) -> Vector:
    """Return the numbers of a supernet that has been trained for a few steps."""
    pretrain = settings(trainable).pretrain
    state = begin_pretraining(pretrain, SPACE, dataset(), num_steps=9)
    for _ in state.run(InProcess(SPACE, dataset(), pretrain)):
        pass
    vector: Vector = state.vector.numpy()
    return vector


def scorer(trainable: str = WEIGHTS, **search: Any) -> SubnetAccuracy:
    """Return what scores by the accuracies of that supernet's subnets."""
    chosen = settings(trainable, **search)
    return SubnetAccuracy(SPACE, dataset(), chosen, trained(trainable), "cpu")


def stand_alone(architecture: Architecture, trainable: str) -> nn.Sequential:
    """Return the subnet with the supernet's weights, and no part shared with it."""
    frozen = build_supernet(SPACE, settings(trainable).pretrain, dataset(), 0)
    frozen.vector.copy_(torch.from_numpy(trained(trainable).copy()))
    network = subnet(SPACE, architecture, 1, 3)
    parts = [
        frozen.supernet.stem,
        *(frozen.supernet.candidate(layer, choice) for layer, choice in enumerate(architecture)),
        frozen.supernet.head,
    ]
    given = [parameter for part in parts for parameter in part.parameters()]
    for parameter, value in zip(network.parameters(), given, strict=True):
        assert parameter.shape == value.shape
        parameter.data.copy_(value)
    return network


@torch.no_grad()
def give_mean_statistics(network: nn.Sequential, batches: Batches) -> None:
    """Set the statistics of all batch norms to the plain mean over some batches."""
    norms = batch_norms(network)
    seen: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {i: [] for i in range(len(norms))}

    def watch(number: int) -> Any:
        def note(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
            channels = inputs[0].transpose(0, 1).flatten(1)
            seen[number].append((channels.mean(dim=1), channels.var(dim=1)))

        return note

    hooks = [norm.register_forward_pre_hook(watch(i)) for i, norm in enumerate(norms)]
    network.train()
    for step in range(BATCHES):
        network(on_device(batches(step), dataset(), torch.device("cpu"))[0])
    for hook in hooks:
        hook.remove()
    for number, norm in enumerate(norms):
        means, variances = (
            torch.stack(each).mean(dim=0) for each in zip(*seen[number], strict=True)
        )
        norm.running_mean, norm.running_var = means, variances
    network.eval()


class TestSubnetAccuracy:
    def test_batches_of_the_recalibration_have_the_pretraining_s_images_or_their_own(self) -> None:
        sizes = [
            len(SubnetAccuracy(SPACE, dataset(), chosen, trained(), "cpu")._training(0)[1])
            for chosen in (settings(), settings(recalibration_batch=7))
        ]

        assert sizes == [16, 7]

    @pytest.mark.slow
    @pytest.mark.parametrize("trainable", [WEIGHTS, NORMS])
    def test_it_is_the_accuracy_of_a_network_of_its_own_with_mean_statistics(
        self, trainable: str
    ) -> None:
        score = scorer(trainable)
        chosen = np.sort(random_numbers(0, Stream.SCORED_IMAGES).permutation(60)[:37])
        images = dataset().val.take(chosen)
        batches = Batches(dataset(), 16, 0, Stream.RECALIBRATION)
        found, expected = [], []
        for choices in ((0, 0, 0), (2, 1, 0), (1, 2, 2), (2, 2, 1)):
            network = stand_alone(Architecture(choices), trainable)
            give_mean_statistics(network, batches)
            with torch.no_grad():
                logits = network(normalise(torch.from_numpy(images.pixels), dataset()))
            right = logits.argmax(dim=1) == torch.from_numpy(images.labels)
            expected.append(float(right.double().mean()))
            found.append(score(Architecture(choices)))

        assert found == pytest.approx(expected, abs=1e-12)
        assert len(set(found)) > 1  # else any constant would pass

    def test_it_does_not_depend_on_what_was_scored_before(self) -> None:
        architectures = [Architecture(choices) for choices in ((0, 1, 2), (2, 2, 2), (1, 0, 1))]
        score = scorer()
        forwards = [score(each) for each in architectures]
        backwards = [score(each) for each in reversed(architectures)]

        assert forwards == backwards[::-1] == [scorer()(each) for each in architectures]

    def test_all_architectures_are_scored_on_the_same_images(self) -> None:
        one, other = scorer(), scorer()
        one(Architecture((0, 0, 0)))

        assert len(one._images) == 37
        assert np.array_equal(one._images.labels, other._images.labels)
        assert np.array_equal(one._images.pixels, other._images.pixels)

    def test_more_images_than_there_are_means_all(self) -> None:
        assert len(scorer(score_images=5000)._images) == len(dataset().val)

    def test_scoring_leaves_weights_and_vector_as_they_were(self) -> None:
        before = trained().copy()
        score = scorer()
        weights = [each.clone() for each in score._supernet.parameters()]
        score(Architecture((1, 1, 1)))

        assert np.array_equal(trained(), before)
        for now, then in zip(score._supernet.parameters(), weights, strict=True):
            assert now.equal(then)

    def test_a_chosen_identity_is_the_supernet_s_batch_norm(self) -> None:
        space = build_space("RN", identity=True)
        pretrain = PretrainSettings(batch=16, trainable="all", initialisation="gaussian")
        chosen = replace(settings(), pretrain=pretrain)
        frozen = build_supernet(space, pretrain, dataset(), 0)
        frozen.vector.add_(torch.randn(len(frozen.vector), generator=build_generator()) * 0.1)
        score = SubnetAccuracy(space, dataset(), chosen, frozen.vector.numpy(), "cpu")
        parts = (frozen.supernet.stem, frozen.supernet.candidate(0, 1))
        norm = frozen.supernet.candidate(1, 3)
        network = nn.Sequential(*parts, norm, frozen.supernet.head)
        give_mean_statistics(network, Batches(dataset(), 16, 0, Stream.RECALIBRATION))

        assert isinstance(norm, nn.BatchNorm2d)
        expected = evaluate(network, score._images, dataset(), torch.device("cpu")).accuracy
        assert score(Architecture((1, 3))) == pytest.approx(expected, abs=1e-12)
        assert score(Architecture((1, 3))) != score(Architecture((1, 1)))


ALL = [Architecture(choices) for choices in np.ndindex(4, 4, 4, 4)]


def random_score(seed: int = 0) -> Any:
    """Return the score of random search."""
    chosen = replace(settings(score="random"), seed=seed)
    return make_score(SPACE, dataset(), chosen, np.zeros(0, np.float32), "cpu")


class TestRandom:
    def test_a_score_is_the_architecture_s_own(self) -> None:
        score, again = random_score(), random_score()
        backwards = {each: again(each) for each in reversed(ALL)}

        assert {each: score(each) for each in ALL} == backwards
        assert len(set(backwards.values())) == len(ALL)

    def test_scores_are_uniform(self) -> None:
        found = stats.kstest([random_score()(each) for each in ALL], "uniform")

        assert found.pvalue > 0.01

    def test_another_seed_ranks_otherwise(self) -> None:
        one, other = ([random_score(seed)(each) for each in ALL] for seed in (0, 1))

        assert abs(stats.kendalltau(one, other).statistic) < 0.15

    def test_scores_are_the_same_in_another_process(self) -> None:
        program = """
from raynas.spaces.architecture import Architecture
from raynas.training.scoring import _drawn
print([_drawn(Architecture((i, 1, 2)), 7) for i in range(5)])
"""
        here = [random_score(7)(Architecture((i, 1, 2))) for i in range(5)]

        assert ast.literal_eval(run_python(program)) == here


def own_initialisation(space: SearchSpace, architecture: Architecture) -> nn.Sequential:
    """Return the untrained subnet of seed 0."""
    network = subnet(space, architecture, 1, 3)
    initialise_(network, "qr", 0, Stream.PROXY_WEIGHTS)
    return network.to(memory_format=torch.channels_last)


class TestProxies:
    @pytest.mark.parametrize("proxy", sorted(PROXIES))
    def test_a_score_is_that_of_the_untrained_subnet_on_a_batch(self, proxy: ScoreName) -> None:
        space = build_space("RNN", identity=True)
        score = make_score(space, dataset(), settings(score=proxy), np.zeros(0, np.float32), "cpu")
        batch = Batches(dataset(), 32, 0, Stream.PROXY_IMAGES, crops=CENTRE)(0)
        images, labels = on_device(batch, dataset(), torch.device("cpu"))
        architectures = [Architecture(choices) for choices in ((0, 1, 2), (2, 3, 3))]
        found = [score(each) for each in architectures]

        assert isinstance(score, ProxyScore)
        assert np.isfinite(found).all()
        assert found[0] != found[1]
        for architecture, value in zip(architectures, found, strict=True):
            network = own_initialisation(space, architecture)
            expected = PROXIES[proxy](network, images, labels)
            assert value == pytest.approx(expected, rel=1e-5)

    def test_the_batch_is_one_of_training_images(self) -> None:
        score = ProxyScore(SPACE, dataset(), settings(), "cpu", "snip")
        pixels = normalise(torch.from_numpy(dataset().train.pixels), dataset())
        known = {tuple(image.flatten().tolist()) for image in pixels}

        assert len(score.images) == 32
        assert all(tuple(image.flatten().tolist()) in known for image in score.images)
