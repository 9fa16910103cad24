"""Networks and supernets that begin from trained weights."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from raynas.data.batches import normalise
from raynas.errors import UserError
from raynas.nets.supernet import batch_norms
from raynas.recording.initial_isometry import initial_isometry
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from raynas.training.gradients import PathGradients, build_supernet
from raynas.training.retraining import Retraining
from raynas.training.scoring import SubnetAccuracy, make_score
from raynas.training.starts import inheriting
from raynas.training.starts.inheriting import (
    SUPERNET,
    begin_from_,
    inherited_supernet,
    keep_supernet,
    kept_supernet,
    moment_images,
    start_errors,
)
from tests.data.samples import MIRRORED, build_dataset
from tests.training.starts.conftest import SPACE, build_start

OTHER = Architecture((1, 1))
SETTINGS = PretrainSettings(initialisation="start", epochs=1)
TRAINED = RetrainSettings(epochs=1, batch=16, dropout=0.0)


def begun(
    path: Architecture, *, classes: int = 7, channels: int = 3
) -> tuple[Retraining, set[str]]:
    """Return a training that begins from the start, and the parameters that it inherits."""
    start = build_start()
    dataset = start.normalised(build_dataset(classes=classes, channels=channels))
    names: set[str] = set()

    def begin(network: torch.nn.Module) -> frozenset[str]:
        found = begin_from_(network, start, SPACE, dataset, seed=0)
        names.update(found)
        return found

    return Retraining(SPACE, path, dataset, TRAINED, 0, begin=begin), names


def test_the_member_itself_begins_as_what_the_start_computes_in_either_mode() -> None:
    start = build_start()
    training, names = begun(start.architecture)
    network = training.evaluated
    images = moment_images(start.normalised(build_dataset(classes=7)), 0, torch.device("cpu"))
    with torch.no_grad():
        wanted = start.network(SPACE)(images)

        torch.testing.assert_close(network.eval()(images), wanted, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(network.train()(images), wanted, rtol=1e-4, atol=1e-4)
        elsewhere = start.network(SPACE).train()(images)
    assert not torch.allclose(elsewhere, wanted, atol=0.1), "its own statistics are others"
    assert names == {name for name, _ in network.named_parameters()}


def test_other_classes_have_a_classifier_as_it_is_drawn_for_every_training() -> None:
    training, names = begun(build_start().architecture, classes=3)
    dataset = build_dataset(classes=3)
    drawn = Retraining(SPACE, build_start().architecture, dataset, TRAINED, 0).evaluated
    new = {name: each for name, each in training.evaluated.named_parameters() if name not in names}

    assert len(new) == 2
    for name, each in new.items():
        assert name.startswith("3."), "of the head"
        assert torch.equal(each, drawn.get_parameter(name))


def test_another_network_inherits_and_is_fitted_alike_on_every_machine() -> None:
    (first, names), (second, _) = (
        begun(OTHER, classes=3, channels=1),
        begun(OTHER, classes=3, channels=1),
    )
    drawn = Retraining(SPACE, OTHER, build_dataset(channels=1), TRAINED, 0)

    assert first.weights() == second.weights() != drawn.weights()
    assert names
    first.run_epoch()


def test_a_training_that_is_continued_is_not_fitted_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, dataset = build_start(), build_dataset()
    whole, _ = begun(OTHER, classes=3)
    monkeypatch.setattr("raynas.training.starts.inheriting.refit_", None)  # it would fail
    begin = partial(
        begin_from_,
        start=start,
        space=SPACE,
        dataset=start.normalised(dataset),
        seed=0,
        continued=True,
    )
    other = Retraining(SPACE, OTHER, start.normalised(dataset), TRAINED, 0, begin=begin)
    assert other.weights() != whole.weights(), "fitted weights are others"
    other.restore(whole.to_bytes())

    assert other.weights() == whole.weights()


def test_inherited_layers_are_fitted_to_training_images_of_the_seed_as_evaluation_sees_them() -> (
    None
):
    dataset = build_dataset(crops=MIRRORED)
    cpu = torch.device("cpu")
    images = moment_images(dataset, 0, cpu)
    everything = normalise(torch.from_numpy(dataset.train.take(np.arange(48)).pixels), dataset)

    assert len(images) == len(dataset.train) == 48
    for image in images:
        assert any(torch.equal(image, each) for each in everything)
    large = build_dataset(count=20, side=640)
    assert len(moment_images(large, 0, cpu)) == 10, "as many as have no more pixels together"
    assert torch.equal(images, moment_images(dataset, 0, cpu))
    assert not torch.equal(images, moment_images(dataset, 1, cpu))


class TestSupernet:
    def test_whoever_reads_it_computes_with_the_same_weights(self, tmp_path: Path) -> None:
        start = build_start()
        dataset, store = start.normalised(build_dataset()), RunStore.create(str(tmp_path / "run"))
        state = inherited_supernet(SPACE, SETTINGS, dataset, 0, start)
        keep_supernet(store, state)
        kept = kept_supernet(store, SETTINGS)
        assert kept is not None

        assert kept.keys() == state.keys()
        assert all(torch.equal(kept[name], each) for name, each in state.items())
        frozen = build_supernet(SPACE, SETTINGS, dataset, 0, kept)
        drawn = build_supernet(SPACE, SETTINGS, dataset, 0)
        scales = torch.cat(
            [p.flatten() for n in batch_norms(frozen.supernet.stem) for p in (n.weight, n.bias)]
        )
        assert torch.equal(frozen.vector[: len(scales)], scales), "trained numbers begin with these"
        assert not torch.equal(frozen.vector, drawn.vector)
        worker = PathGradients(SPACE, dataset, SETTINGS, 0, 1, state=kept)
        held = worker._frozen.supernet.state_dict()
        assert np.array_equal(worker.vector, frozen.vector.numpy())
        for name, each in frozen.supernet.state_dict().items():
            assert torch.equal(held[name], each)

    def test_scores_by_accuracy_share_its_weights(self, tmp_path: Path) -> None:
        start = build_start()
        dataset, store = start.normalised(build_dataset()), RunStore.create(str(tmp_path / "run"))
        search = SearchSettings(score="accuracy", strategy="evolution")
        settings = Settings(pretrain=SETTINGS, search=search, start="tiny.pt")
        state = inherited_supernet(SPACE, SETTINGS, dataset, 0, start)
        keep_supernet(store, state)
        vector = build_supernet(SPACE, SETTINGS, dataset, 0, state).vector.numpy()
        scorer = make_score(SPACE, dataset, settings, vector, "cpu", store)

        assert isinstance(scorer, SubnetAccuracy)
        weight = scorer._supernet.state_dict()["stem.0.conv.weight"]
        assert torch.equal(weight, state["stem.0.weight"])

    def test_one_that_is_lost_is_told_and_none_is_read_where_weights_are_drawn(
        self, tmp_path: Path
    ) -> None:
        store = RunStore.create(str(tmp_path / "run"))

        assert kept_supernet(store, PretrainSettings()) is None
        assert kept_supernet(None, SETTINGS) is None
        with pytest.raises(UserError, match=f"{SUPERNET} is lost or damaged"):
            kept_supernet(store, SETTINGS)

    def test_its_isometry_is_measured_as_it_is_used_and_compared_with_nothing(self) -> None:
        start = build_start()
        dataset = start.normalised(build_dataset())
        state = inherited_supernet(SPACE, SETTINGS, dataset, 0, start)
        rows = initial_isometry(SPACE, 3, 3, SETTINGS, 0, state)
        drawn = initial_isometry(SPACE, 3, 3, replace(SETTINGS, initialisation="qr"), 0)

        assert {(row["initialisation"], row["batch_norm"]) for row in rows} == {("start", True)}
        assert len(rows) == len(drawn) / 4
        assert rows[0]["phi"] != drawn[0]["phi"]


@pytest.mark.parametrize("least", [0.25, np.inf])
def test_a_space_that_leaves_nothing_to_choose_by_features_is_refused(
    monkeypatch: pytest.MonkeyPatch, least: float
) -> None:
    errors = [np.array([0.0, np.inf]), np.array([0.0, least])]
    monkeypatch.setattr(inheriting, "feature_errors", lambda *_: errors)
    measured = partial(start_errors, SPACE, build_dataset(), 0, build_start())

    if np.isfinite(least):
        assert measured() == errors
    else:
        with pytest.raises(UserError, match="none of its other candidates can be fitted"):
            measured()
