"""Weights of libraries that rivals and teachers begin from: found, kept, and put into networks."""

from pathlib import Path

import pytest
import torch
from torchvision import models

from raynas.costs.latency_table import Task
from raynas.nets.rivals import Rival
from raynas.storage.run_store import RunStore
from raynas.training.starts.inheriting import begin_library_, moment_images
from raynas.training.starts.library_weights import (
    LibraryWeights,
    begin_from_library_,
    library_weights,
)
from tests.data.samples import build_dataset

NAME = "shufflenet_v2_x0_5"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """Return torchvision's network with random weights that lie in its cache of downloads."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    torch.manual_seed(0)
    network: torch.nn.Module = models.get_model(NAME, weights=None)
    file = models.get_model_weights(NAME).DEFAULT.url.rpartition("/")[2]
    (tmp_path / "checkpoints").mkdir()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / file)
    return network.eval()


def test_a_network_begins_with_its_library_s_features_and_a_new_classifier(
    cached: torch.nn.Module,
) -> None:
    found = library_weights(NAME)
    network = Rival(NAME, pretrained=True).build(Task(3, 64, 5)).eval()
    drawn = network.fc.weight.clone()
    names = begin_from_library_(network, found.content)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    assert found.words == "torchvision, IMAGENET1K_V1"
    assert torch.equal(network.fc.weight, drawn)
    assert names == {name for name, _ in network.named_parameters()} - {"fc.weight", "fc.bias"}
    network.fc = cached.fc = torch.nn.Identity()
    assert torch.equal(network(images), cached(images))


def test_training_begins_with_what_the_library_s_network_computes_of_these_images(
    cached: torch.nn.Module,
) -> None:
    dataset = build_dataset(side=32)
    network = Rival(NAME, pretrained=True).build(Task(3, 32, dataset.num_classes))
    begin_library_(network, library_weights(NAME).content, dataset, seed=0)
    images = moment_images(dataset, 0, torch.device("cpu"))
    network.fc = cached.fc = torch.nn.Identity()

    with torch.no_grad():
        wanted = cached(images)
        torch.testing.assert_close(network.eval()(images), wanted, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(network.train()(images), wanted, rtol=1e-3, atol=1e-4)


def test_a_grey_image_gives_what_its_colours_would(cached: torch.nn.Module) -> None:
    network = Rival(NAME, pretrained=True).build(Task(1, 64, 1000)).eval()
    begin_from_library_(network, library_weights(NAME).content)
    grey = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(
        network(grey), cached(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5
    )


def test_a_run_keeps_them_and_needs_no_library_any_more(
    cached: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, first = RunStore.create(str(tmp_path / "run")), library_weights(NAME)
    store.write_bytes(first.path, first.content)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", _fail)
    again, lost = library_weights(NAME, store), library_weights("mobilenet_v2")
    del cached

    assert (again.content, again.words) == (first.content, first.words)
    assert isinstance(lost, LibraryWeights)
    assert lost.content == b""
    assert lost.words.startswith("torchvision could not download its weights (")
    assert "--start" not in lost.words


def _fail(*_: object, **__: object) -> None:
    raise OSError("no network")
