"""Conformance of every method in launch/settings: it pretrains, reads indicators and scores."""

from pathlib import Path

import numpy as np
import pytest

from raynas.methods import load_method
from raynas.search.indicators import AdditiveScorer, score_table
from raynas.settings import Settings
from raynas.space import Architecture
from tests.builders import build_space
from tests.training.samples import InProcess, begin_pretraining, build_dataset

FOLDER = Path(__file__).parents[2] / "launch" / "settings"
METHODS = sorted(path.stem for path in FOLDER.glob("*.toml"))


@pytest.mark.parametrize("method", METHODS)
def test_a_shipped_method_pretrains_and_scores_every_architecture(method: str) -> None:
    settings = load_method(method, FOLDER)
    assert settings.method == method
    pretrain = settings.pretrain
    space = build_space("RNN", identity=pretrain.layer_indicator == "path")
    dataset = build_dataset()
    state = begin_pretraining(pretrain, space, dataset, num_steps=8)
    before = state.vector.clone()

    losses = [report.loss for report in state.run(InProcess(space, dataset, pretrain))]
    scorer = AdditiveScorer(score_table(state.indicators(), space, settings.search))
    sizes = [block.size for block in space.blocks]
    scores = scorer([Architecture(choices) for choices in np.ndindex(*sizes)])

    assert np.isfinite(losses).all()
    assert not before.equal(state.vector)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 1


def test_methods_are_those_of_the_readme() -> None:
    readme = (FOLDER.parents[1] / "README.md").read_text()

    assert all(f"| `{method}`" in readme for method in METHODS)


@pytest.mark.parametrize(
    ("method", "initialisation", "trainable", "sampling", "layer_indicator", "score"),
    [
        ("fair_isometry", "qr", "all_bn", "fair_identity", "path", "identity_ratio"),
        ("fair_isometry_block", "qr", "all_bn", "fair", "none", "bnnas"),
        ("fair_taylor", "qr", "all_bn", "fair_identity", "path", "taylor"),
        ("bnnas_spos", "gaussian", "last_bn", "uniform", "none", "bnnas"),
        ("bnnas_fairnas", "gaussian", "last_bn", "fair", "none", "bnnas"),
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
    settings: Settings = load_method(method, FOLDER)
    pretrain = settings.pretrain

    assert (pretrain.initialisation, pretrain.trainable) == (initialisation, trainable)
    assert (pretrain.sampling, pretrain.layer_indicator) == (sampling, layer_indicator)
    assert settings.search.score == score
