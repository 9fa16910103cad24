"""What is gathered of a step: every piece once, whoever answered it how often, late or not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raynas.cluster.workers.gathering import Gathering
from raynas.cluster.workers.messages import Answer
from raynas.training.exact_sums import ExactSum
from raynas.training.gradients import Computed, Gradient

STEP = 3


def answer(share: list[int], step: int = STEP) -> Answer:
    """Return what a worker answers to some pieces; a piece's bit is set in sums that hold it."""
    gradients = [Gradient(np.full(2, index, np.float32), float(index)) for index in share]
    classifier = ExactSum(np.array([sum(1 << index for index in share)]))
    return Answer(step, Computed(gradients, classifier), 2.0, 0.5)


def gathered(num_pieces: int, shares: list[list[int]]) -> Gathering:
    """Return what has come once these shares were answered."""
    gathering = Gathering(STEP, num_pieces)
    for share in shares:
        gathering.add(share, answer(share))
    return gathering


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_every_piece_counts_once_whatever_is_answered_late_lost_or_twice(
    num_pieces: int, seed: int
) -> None:
    """Whoever is asked takes some missing pieces; any answer that is due may come, or never."""
    rng = np.random.default_rng(seed)
    gathering, under_way = Gathering(STEP, num_pieces), list[list[int]]()
    while missing := gathering.missing:
        size = rng.integers(1, len(missing), endpoint=True)
        under_way.append(rng.permutation(missing)[:size].tolist())
        for _ in range(rng.integers(len(under_way), endpoint=True)):
            come = under_way.pop(rng.integers(len(under_way)))
            gathering.add(come, answer(come))
    for share in under_way:
        gathering.add(share, answer(share))
    found = gathering.computed()

    assert found.classifier.units.tolist() == [2**num_pieces - 1]
    assert [gradient.loss for gradient in found.gradients] == list(range(num_pieces))


def test_an_answer_to_a_piece_that_has_come_leaves_its_other_pieces_missing() -> None:
    gathering = gathered(4, [[0, 1], [1, 2, 3]])

    assert gathering.missing == [2, 3]
    gathering.add([3, 2], answer([3, 2]))
    assert gathering.computed().classifier.units.tolist() == [15]


def test_the_late_answer_counts_if_it_comes_before_those_of_the_others() -> None:
    gathering = gathered(4, [[0, 1, 2, 3], [0, 1], [2, 3]])

    assert gathering.missing == []
    assert gathering.computed().classifier.units.tolist() == [15]
    assert (gathering.seconds, gathering.waited) == (2.0, 0.5)


def test_an_answer_to_another_step_is_not_taken() -> None:
    gathering = Gathering(STEP, 2)
    gathering.add([0, 1], answer([0, 1], STEP - 1))

    assert gathering.missing == [0, 1]


def test_a_sum_with_a_term_that_is_not_finite_spoils_the_step_s() -> None:
    gathering = gathered(2, [[1]])
    spoiled = Computed(answer([0]).computed.gradients, ExactSum(np.array([1]), is_finite=False))
    gathering.add([0], Answer(STEP, spoiled, 0.0, 0.0))

    assert np.isnan(gathering.computed().classifier.to_floats()).all()


def test_an_answer_without_a_sum_fills_the_gaps_among_pieces_that_have_come() -> None:
    gathering = Gathering(STEP, 3)
    for share in ([0, 1], [1, 2]):
        computed = Computed(answer(share).computed.gradients, ExactSum(np.empty(0, np.int64)))
        gathering.add(share, Answer(STEP, computed, 0.0, 0.0))

    assert [gradient.loss for gradient in gathering.computed().gradients] == [0, 1, 2]
    assert gathering.computed().classifier.to_floats().shape == (0,)
