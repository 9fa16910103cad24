"""What a score learns from trainings of two tables of truths, replayed with noise.

Thresholds of few draws leave room for chance; the slow tests hold those that the score was built
for, in the mean of 20 draws. ``python -m tests.bench.calibrated`` measures more.
"""

import numpy as np
import pytest

from raynas.settings.settings import Settings
from tests.bench.accel import load_accel
from tests.bench.macro import Replay, load_replay
from tests.bench.replayed import Study, limits_of, means, random_saliency
from tests.builders import SHARED_DATA

pytestmark = pytest.mark.data

FEW, MANY = range(4), range(20)
WHOLE, SHORT = 1.0, Settings().short_weight
LOADERS = {"macro": load_replay, "accel": load_accel}


@pytest.fixture(scope="module")
def truths() -> dict[str, Replay]:
    """NAS-Bench-Macro on CIFAR-10, and Accel-NASBench without squeeze-excitation on ImageNet."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no development data at {SHARED_DATA}")
    return {name: load() for name, load in LOADERS.items()}


def taus(
    truth: Replay,
    seeds: range,
    budgets: tuple[int, ...],
    noise: float = 0.003,
    weight: float = SHORT,
) -> list[float]:
    """Return the mean tau of networks that were not trained."""
    study = Study(truth, truth.experts(), noise, "design", weight=weight)
    found: list[float] = means([study], seeds, budgets)[:, 0].tolist()
    return found


def blind(truth: Replay, seeds: range, budget: int, weight: float = SHORT) -> float:
    """Return the mean tau where random numbers stand in place of what a supernet says."""
    found = []
    for seed in seeds:
        experts = truth.experts(random_saliency(truth, seed))
        study = Study(truth, experts, policy="design", weight=weight)
        found.append(study.ends(seed, [budget])[0].tau)
    return float(np.mean(found))


@pytest.mark.parametrize(("name", "least"), [("macro", 0.79), ("accel", 0.65)])
def test_the_score_before_any_training_ranks_both_truths(
    truths: dict[str, Replay], name: str, least: float
) -> None:
    """One scale for all stages had 0.82 on the first and 0.27 on the second."""
    assert taus(truths[name], range(1), (0,))[0] > least


@pytest.mark.parametrize(
    ("name", "least"), [("macro", (0.79, 0.8, 0.83)), ("accel", (0.77, 0.82, 0.85))]
)
def test_eight_and_more_trainings_teach_it(
    truths: dict[str, Replay], name: str, least: tuple[float, ...]
) -> None:
    assert (np.array(taus(truths[name], FEW, (8, 16, 32))) > least).all()


@pytest.mark.parametrize(("name", "least"), [("macro", 0.77), ("accel", 0.71)])
def test_sixteen_trainings_make_up_for_a_supernet_that_says_nothing(
    truths: dict[str, Replay], name: str, least: float
) -> None:
    assert blind(truths[name], FEW, 16) > least


@pytest.mark.parametrize("name", LOADERS)
def test_trainings_that_are_mostly_noise_do_little_harm(
    truths: dict[str, Replay], name: str
) -> None:
    """Their noise of 2.4 points is as large as what networks differ by."""
    before, *after = taus(truths[name], FEW, (0, 8, 16), noise=0.024)

    assert min(after) > before - 0.06


def test_intervals_hold_what_unseen_trainings_would_report(truths: dict[str, Replay]) -> None:
    held = []
    for truth in truths.values():
        *_, (trained, calibration) = Study(truth, truth.experts(), weight=SHORT).trainings(0, 16)
        unseen = np.setdiff1d(np.arange(len(truth.architectures)), trained)[::12]
        low, _, high = calibration.accuracies([truth.architectures[at] for at in unseen], SHORT).T
        reached = truth.accuracies[unseen]
        held.append(np.mean((low <= reached) & (reached <= high)))

    assert min(held) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("weight", [WHOLE, SHORT], ids=["whole", "short"])
class TestManyDraws:
    """Of whole trainings, and of short ones, of which size may explain a part by itself.

    All are chosen by design, unless it is said otherwise.
    """

    @pytest.mark.parametrize(
        ("name", "least"),
        [("macro", (0.77, 0.81, 0.82, 0.84, 0.85)), ("accel", (0.64, 0.79, 0.81, 0.84, 0.855))],
    )
    def test_tau_of_what_was_not_trained(
        self, truths: dict[str, Replay], name: str, least: tuple[float, ...], weight: float
    ) -> None:
        found = taus(truths[name], MANY, (0, 8, 16, 32, 64), weight=weight)

        assert (np.array(found) >= least).all()

    @pytest.mark.parametrize(("name", "least"), [("macro", 0.82), ("accel", 0.8)])
    def test_tau_where_the_last_quarter_is_what_is_believed_best(
        self, truths: dict[str, Replay], name: str, least: float, weight: float
    ) -> None:
        """It is spent on regret, and costs a little of tau."""
        study = Study(truths[name], truths[name].experts(), weight=weight)

        assert means([study], MANY, (16,))[0, 0] >= least

    @pytest.mark.parametrize(("name", "least"), [("macro", 0.8), ("accel", 0.75)])
    def test_tau_without_a_supernet(
        self, truths: dict[str, Replay], name: str, least: float, weight: float
    ) -> None:
        assert blind(truths[name], MANY, 16, weight) >= least

    @pytest.mark.parametrize("name", LOADERS)
    def test_tau_of_trainings_that_are_mostly_noise(
        self, truths: dict[str, Replay], name: str, weight: float
    ) -> None:
        before, *after = taus(truths[name], MANY, (0, 8, 16, 32), noise=0.024, weight=weight)

        assert min(after) >= before - 0.03

    @pytest.mark.parametrize(("name", "most"), [("macro", 0.15), ("accel", 0.1)])
    def test_regret_of_three_proposals_within_limits(
        self, truths: dict[str, Replay], name: str, most: float, weight: float
    ) -> None:
        """In points, after 16 trainings within the limit, in the mean of the limits.

        As in a run, the last four are what the others let believe best.
        """
        truth = truths[name]
        studies = [
            Study(truth, truth.experts(), max_macs=limit, weight=weight)
            for limit in limits_of(truth)
        ]

        assert means(studies, MANY, (16,))[0, 1] <= most
