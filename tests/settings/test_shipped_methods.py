"""Conformance of every method in launch/settings: it pretrains, if it does, and scores."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raynas.data.dataset import Dataset
from raynas.differentiable.search import GateSearch
from raynas.nets.relu_inputs import relu_inputs
from raynas.search.indicators import AdditiveScorer, score_table
from raynas.settings.methods import load_method
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.training.pretraining import Pretraining
from raynas.training.scoring import make_score
from tests.builders import build_space, shipped_cells
from tests.data.samples import InProcess, begin_pretraining, build_dataset
from tests.settings.published import DARTS, PCDARTS, PRDARTS

FOLDER = Path(__file__).parents[2] / "launch" / "settings"
METHODS = sorted(path.stem for path in FOLDER.glob("*.toml"))
LOADED = {method: load_method(method, FOLDER) for method in METHODS}
PRETRAINED = [method for method in METHODS if LOADED[method].pretrain.epochs > 0]
BY_TRIALS = [method for method in METHODS if LOADED[method].search.scores_by_trials]
BY_GATES = [method for method in METHODS if LOADED[method].search.traits.is_differentiable]


def space_of(settings: Settings) -> SearchSpace:
    """Return a small space as the method searches it."""
    return build_space("RNN", identity=settings.pretrain.layer_indicator == "path")


def every(space: SearchSpace) -> list[Architecture]:
    """Return all architectures."""
    return [Architecture(choices) for choices in np.ndindex(*(each.size for each in space.blocks))]


def pretrained(settings: Settings, dataset: Dataset) -> Pretraining:
    """Return a pretraining that has ended, with finite losses and other numbers than at first."""
    space, pretrain = space_of(settings), settings.pretrain
    state = begin_pretraining(pretrain, space, dataset, num_steps=8)
    before = state.vector.clone()
    losses = [report.loss for report in state.run(InProcess(space, dataset, pretrain))]

    assert np.isfinite(losses).all()
    assert not before.equal(state.vector)
    return state


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(set(PRETRAINED) - set(BY_TRIALS)))
def test_a_method_of_indicators_pretrains_and_scores_every_architecture(method: str) -> None:
    settings = LOADED[method]
    space = space_of(settings)
    dataset = build_dataset()
    counted = relu_inputs(space, dataset.resolution, dataset.channels)
    found = pretrained(settings, dataset).indicators()
    indicators = replace(found, relu_inputs=tuple(np.array(row, float) for row in counted))
    scorer = AdditiveScorer(score_table(indicators, space, settings.search))
    scores = scorer(every(space))

    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(BY_TRIALS))
def test_a_method_scored_by_trials_tells_architectures_apart(method: str) -> None:
    settings, dataset = LOADED[method], build_dataset()
    settings = replace(settings, search=replace(settings.search, recalibration_batches=2))
    vector = np.zeros(0, np.float32)
    if method in PRETRAINED:
        vector = pretrained(settings, dataset).vector.numpy()
    score = make_score(space_of(settings), dataset, settings, vector, "cpu")
    scores = [score(each) for each in every(space_of(settings))[::5]]

    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("method", BY_GATES)
def test_a_differentiable_method_ends_in_a_network_of_the_space_that_its_file_names(
    method: str,
) -> None:
    settings = LOADED[method]
    space = shipped_cells(settings.space)
    tiny = replace(settings.differentiable, cells=3, channels=8, epochs=1, batch=6, warmup=0)
    searching = GateSearch(space, build_dataset(count=24), tiny, 0)
    epoch = searching.run_epoch()

    assert math.isfinite(epoch.train_loss)
    space.parse(epoch.genotype)  # or it raises


def test_the_published_numbers_of_differentiable_methods_are_those_of_their_files() -> None:
    assert {method: LOADED[method].differentiable for method in BY_GATES} == {
        "prdarts": PRDARTS,
        "darts": DARTS,
        "pcdarts": PCDARTS,
    }


def test_methods_that_do_not_pretrain_are_those_whose_score_needs_no_supernet() -> None:
    without = set(METHODS) - set(PRETRAINED) - set(BY_GATES)

    zero_cost = {"random", "naswot", "synflow", "snip", "grad_norm", "jacob_cov", "zico"}
    assert without == {*zero_cost, "feature_error"}
    assert all(LOADED[method].search.score == method for method in without)


def test_a_method_bears_the_name_of_its_file() -> None:
    assert all(settings.method == method for method, settings in LOADED.items())


def test_the_default_method_is_the_default_settings() -> None:
    assert LOADED[Settings().method] == Settings()


def test_methods_are_those_of_their_page() -> None:
    readme = (FOLDER.parent / "METHODS.md").read_text()

    assert [method for method in METHODS if f"| `{method}`" not in readme] == []
    assert f"| `{Settings().method}` (default without `--start`)" in readme
    assert "| `feature_error` (default with `--start`)" in readme


@pytest.mark.parametrize(
    ("method", "initialisation", "trainable", "sampling", "layer_indicator", "score"),
    [
        ("fair_isometry", "qr", "all_bn", "fair_identity", "path", "identity_ratio"),
        ("fair_isometry_block", "qr", "all_bn", "fair", "none", "bnnas"),
        ("fair_saliency", "qr", "all_bn", "fair_identity", "path", "balanced_saliency"),
        ("fair_taylor", "qr", "all_bn", "fair_identity", "path", "taylor"),
        ("bnnas_spos", "gaussian", "last_bn", "uniform", "none", "bnnas"),
        ("bnnas_fairnas", "gaussian", "last_bn", "fair", "none", "bnnas"),
        ("spos", "gaussian", "all", "uniform", "none", "accuracy"),
        ("fairnas", "gaussian", "all", "fair", "none", "accuracy"),
    ],
)
def test_what_differs_between_methods_is_settings(
    method: str,
    initialisation: str,
    trainable: str,
    sampling: str,
    layer_indicator: str,
    score: str,
) -> None:
    settings = LOADED[method]
    pretrain = settings.pretrain

    assert (pretrain.initialisation, pretrain.trainable) == (initialisation, trainable)
    assert (pretrain.sampling, pretrain.layer_indicator) == (sampling, layer_indicator)
    assert settings.search.score == score
