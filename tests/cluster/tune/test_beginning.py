"""What a trial's network begins with: read from the run folder, wherever the trial is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from raynas.cluster.tune.epoch_trials import TrialInputs
from raynas.cluster.tune.retrain_trials import retrain_trial
from raynas.cluster.tune.short_trainings import check_trial
from raynas.cluster.workers.worker import supernet_recipe
from raynas.costs.latency_table import Task
from raynas.nets.narrow_networks import NarrowNetwork
from raynas.nets.rivals import Rival
from raynas.nets.smaller_images import ScaledNetwork
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import checkpoint_path, model_path
from raynas.training.gradients import PathGradients, build_supernet
from raynas.training.new_network import Chosen
from raynas.training.retraining import Retraining
from raynas.training.starts import inheriting
from raynas.training.starts.library_weights import weights_path
from raynas.training.starts.start import START
from tests.data.samples import build_dataset
from tests.training.starts.conftest import SPACE, build_start

PATH = Architecture((1, 1))
MEMBER = Architecture((0, 2))  # of ``build_start``
STILL = RetrainSettings(epochs=1, batch=16, learning_rate=1e-12, weight_decay=0.0, ema_decay=0.0)
"""Of a training that leaves weights as they begin."""


@pytest.fixture
def inputs(tmp_path: Path) -> TrialInputs:
    start, store = build_start(), RunStore.create(str(tmp_path / "run"))
    store.write_bytes(START, start.to_bytes())
    settings = Settings(start="a file that is gone", retrain=STILL)
    return TrialInputs(SPACE, start.normalised(build_dataset()), settings, store, gpus=0.0)


def begun(inputs: TrialInputs, *, continued: bool = False) -> Retraining:
    begin = inputs.beginning(PATH, inputs.dataset, continued=continued)
    return Retraining(SPACE, PATH, inputs.dataset, STILL, 0, begin=begin)


def test_a_winner_is_trained_from_the_weights_that_the_run_keeps(inputs: TrialInputs) -> None:
    told: list[dict[str, Any]] = []
    retrain_trial({"architecture": str(PATH)}, inputs, report=told.append)
    trained = safetensors.torch.load(inputs.store.read_bytes(model_path(str(PATH))))
    for name, weight in begun(inputs).evaluated.named_parameters():
        torch.testing.assert_close(trained[name], weight.detach(), rtol=0, atol=1e-6)

    assert told[-1]["epoch"] == 1


def test_so_is_the_random_network_beside_it_and_no_other_rival(inputs: TrialInputs) -> None:
    config = {"rival": "random", "chosen": str(PATH)}
    retrain_trial(config, inputs, report=lambda _: None)
    trained = safetensors.torch.load(inputs.store.read_bytes(model_path("rival-random")))
    weight = dict(begun(inputs).evaluated.named_parameters())["1.0.weight"]

    torch.testing.assert_close(trained["1.0.weight"], weight.detach(), rtol=0, atol=1e-6)
    assert inputs.beginning(Rival("mobilenet_v2"), inputs.dataset) is None
    plain = replace(inputs, settings=replace(inputs.settings, start=None))
    assert plain.beginning(PATH, inputs.dataset) is None


@pytest.mark.parametrize("chosen", [MEMBER, ScaledNetwork(MEMBER, 8), NarrowNetwork(MEMBER, 50)])
def test_what_is_made_of_the_start_begins_with_its_kernels(
    inputs: TrialInputs, chosen: Chosen
) -> None:
    config = {"rival": "made", "chosen": str(chosen)}
    retrain_trial(config, inputs, report=lambda _: None)
    trained = safetensors.torch.load(inputs.store.read_bytes(model_path("rival-made")))
    network = build_start().network(SPACE)
    prefix = "network." if isinstance(chosen, ScaledNetwork) else ""

    for name, weight in network[:2].named_parameters():  # stem and first layer
        if weight.ndim == 1:
            continue  # batch norms are restated by the images
        if isinstance(chosen, NarrowNetwork) and name.startswith("1."):
            continue  # its channels are chosen and fitted
        found = trained[f"{prefix}{name}"]
        torch.testing.assert_close(found, weight.detach(), rtol=0, atol=1e-6)


def test_a_library_s_network_begins_from_the_weights_that_the_run_keeps(
    inputs: TrialInputs,
) -> None:
    chosen = Rival("shufflenet_v2_x0_5", pretrained=True)
    tensors = {
        name: torch.full_like(each, 0.25)
        for name, each in chosen.build(Task(3, 32, 7)).state_dict().items()
    }
    inputs.store.write_bytes(weights_path(chosen.name), safetensors.torch.save(tensors))
    begin = inputs.beginning(chosen, inputs.dataset)
    assert begin is not None
    network = chosen.build(Task(3, 32, 3))

    assert "fc.weight" not in begin(network)
    assert bool((network.state_dict()["conv5.0.weight"] == 0.25).all())


def test_a_short_training_begins_from_them_as_well(
    inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[dict[str, Any]] = []
    fitted: list[int] = []
    refit = inheriting.refit_
    monkeypatch.setattr(
        inheriting,
        "refit_",
        lambda network, *rest: (fitted.append(len(network)), refit(network, *rest)),
    )
    check_trial({"architecture": str(PATH)}, inputs, report=found.append)

    assert fitted == [4]
    assert [each["epoch"] for each in found] == [1]


def test_a_trial_that_has_a_checkpoint_restores_it_and_fits_nothing(
    inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = begun(inputs)
    training.run_epoch()
    inputs.store.write_bytes(checkpoint_path(str(PATH)), training.to_bytes())
    monkeypatch.setattr(inheriting, "refit_", None)  # it would fail
    retrain_trial({"architecture": str(PATH)}, inputs, report=lambda _: None)

    assert inputs.store.read_bytes(model_path(str(PATH))) == training.weights()


def test_workers_of_a_pretraining_compute_with_the_supernet_that_the_run_keeps(
    inputs: TrialInputs,
) -> None:
    pretrain = PretrainSettings(initialisation="start", epochs=1)
    settings = replace(inputs.settings, pretrain=pretrain)
    task = SPACE, pretrain, inputs.dataset, 0
    state = inheriting.inherited_supernet(*task, build_start())
    inheriting.keep_supernet(inputs.store, state)
    worker = supernet_recipe(SPACE, settings, 1, 0.0, inputs.store)(inputs.dataset)
    probe = supernet_recipe(SPACE, settings, 1, 0.0)(inputs.dataset)

    assert isinstance(worker, PathGradients)
    assert isinstance(probe, PathGradients)
    assert np.array_equal(worker.vector, build_supernet(*task, state).vector.numpy())
    assert np.array_equal(probe.vector, build_supernet(*task).vector.numpy()), "of drawn weights"
