"""Random numbers, each use with a stream of its own: the only place where generators are seeded.

Numpy spreads a run's seed over its whole pool before it mixes the spawn key in, so that no seed
runs into a place, and places of different lengths differ, ``(4,)`` and ``(4, 0)`` as well.
"""

from enum import IntEnum, unique

import numpy as np

VERSION = 2
"""Of what a seed draws; runs record it, since draws of several do not fit together."""


@unique
class Stream(IntEnum):
    """What random numbers are drawn for; those that follow tell its places.

    Results of a seed depend on the numbers of streams, so these stay as they are, or ``VERSION``
    rises. Every training of a run draws alike: networks are compared by what they are.
    """

    SHARE = 1
    """Which images ``images.share`` keeps."""
    SPLIT = 2
    """Which images are cut off for validation and test."""
    HALVES = 3
    """Which half of the training images a differentiable search learns weights with."""
    SUPERNET = 4
    """What constructors of operations draw."""
    FROZEN_WEIGHTS = 5
    """A module's frozen weights: the bytes of its name."""
    ISOMETRY = 6
    """Inputs and directions of a layer's measurement: the layer."""
    PATHS = 7
    """Paths of a pretraining step: the step."""
    PRETRAINING = 8
    """Batches: an epoch for its order; a step and a shard for augmentation."""
    RECALIBRATION = 9
    """Batches that batch norms see before a subnet is scored; as above."""
    SCORED_IMAGES = 10
    """Which validation images a subnet is scored on."""
    PROXY_IMAGES = 11
    """The batch that scores without training look at; as above."""
    PROXY_WEIGHTS = 12
    """A module's weights while it is scored without training: the bytes of its name."""
    RANDOM_SCORE = 13
    """What random search ranks by: the architecture's choices."""
    EVOLUTION = 14
    """The first generation, mutations and crossovers."""
    CALIBRATION = 15
    """Draws of weights of a calibrated search."""
    CHECK = 16
    """Architectures among which those of the short trainings are chosen."""
    NETWORK = 17
    """Weights of a network that is trained from scratch."""
    RETRAINING = 18
    """Batches; as above."""
    DROPOUT = 19
    """Dropout and drop path of a training: the epoch and the worker."""
    SEARCH_NETWORK = 20
    """Weights of a differentiable search's network, at the start."""
    SEARCH_WEIGHTS = 21
    """Batches of the half that weights learn with; as above."""
    SEARCH_GATES = 22
    """Batches of the half that gates learn with; as above."""
    FIRST_GATES = 23
    """Gates at the start."""
    GATES = 24
    """Gates that are open: the step, and 0 for weights or 1 for gates."""
    TIMED_NETWORKS = 25
    """Networks that a table of latencies is fitted to."""
    TIMING = 26
    """The order in which parts are timed."""
    PROBE = 27
    """Architectures among which the probe takes a median one and a slow one."""
    NOISE = 28
    """Images that an export is compared on where there are no others."""
    CHECKED_AGAIN = 29
    """Networks that were trained briefly, drawn again for its intervals."""
    RUNS_AGAIN = 30
    """Runs of a comparison, drawn again for its intervals."""
    RANDOM_TABLES = 31
    """Scores of indicators that know nothing."""
    BENCH = 32
    """Whatever ``tests/bench`` draws: the use, as numbered there."""
    LOOKED_AT = 33
    """Training images that are decoded for mean and deviation where not all of them are."""
    MIXING = 34
    """What is erased, cut out and mixed of a batch: the step, the worker, the use, the image."""
    OPERATIONS = 35
    """Operations of a policy on an image: its place in the batch, whose seed the batch draws."""
    AUXILIARY = 36
    """Weights of a head that is there while a network is trained."""
    SUPERNET_DROPOUT = 37
    """Dropout of a pretraining: the step, the shard and the path."""
    BINNED_PATHS = 38
    """Paths of a pretraining step that lie in bins of MACs: the step."""
    RIVAL = 39
    """A network of the space that is drawn as a rival of those that are searched."""
    IMAGE_PAIRS = 40
    """Validation images whose inner products are measured."""
    PROXY_SIGNS = 41
    """Signs that are sent back through a part of an untrained network: its place."""
    QUANTISATION = 42
    """Images for an export in 8 bits: 0 for ranges, 1 for its choice, 2 for its test."""
    MOMENTS = 43
    """Training images on which inherited weights are fitted to their new places."""
    START_OUTPUTS = 44
    """Images of noise on which trained weights and the network that takes them are compared."""
    PAIRED_IMAGES = 49
    """Test images, drawn again for the interval of a difference of two networks."""


def random_numbers(seed: int, stream: Stream, *place: int) -> np.random.Generator:
    """Return the random numbers of a place in a stream.

    Args:
        seed: Seed of the run, in [0, 2^128).
        stream: What they are drawn for.
        place: Numbers in [0, 2^32) that tell this draw from others of the stream.
    """
    return np.random.default_rng(_sequence(seed, stream, place))


def mixed_seed(seed: int, stream: Stream, *place: int) -> int:
    """Return 32 bits to seed a torch generator with, which looks at no more on the CPU.

    Args:
        seed: Seed of the run, in [0, 2^128).
        stream: What random numbers are drawn for.
        place: Numbers in [0, 2^32) that tell this draw from others of the stream.
    """
    return int(_sequence(seed, stream, place).generate_state(1)[0])


def _sequence(seed: int, stream: Stream, place: tuple[int, ...]) -> np.random.SeedSequence:
    assert seed < 2**128, "longer seeds would run into the spawn key"
    assert all(number < 2**32 for number in place), "longer numbers would run into the next one"
    return np.random.SeedSequence(seed, spawn_key=(stream, *place))
