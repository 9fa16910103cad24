"""Weights of libraries that rivals and teachers begin from: found, kept, and put into networks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from raynas.costs.latency_table import Task
from raynas.nets.rivals import Rival, first_convolution
from raynas.storage.run_store import RunStore
from raynas.training.starts.inheriting import begin_library_, moment_images
from raynas.training.starts.library_weights import (
    LibraryWeights,
    begin_from_library_,
    library_weights,
)
from raynas.training.starts.source import IMAGENET, Normalisation, Source, without_counters
from tests.data.samples import build_dataset

NAME = "shufflenet_v2_x0_5"
TASK = Task(3, 64, 5)
OTHERS: Normalisation = (0.3, 0.5, 0.7), (0.2, 0.3, 0.1)
GREY: Normalisation = (0.3,), (0.4,)


def in_cache(name: str, folder: Path) -> torch.nn.Module:
    """Return torchvision's network with random weights that lie in its cache of downloads."""
    torch.manual_seed(0)
    given = {"init_weights": True} if name == "googlenet" else {}
    network: torch.nn.Module = models.get_model(name, weights=None, **given)
    file = models.get_model_weights(name).DEFAULT.url.rpartition("/")[2]
    (folder / "checkpoints").mkdir(exist_ok=True)
    torch.save(network.state_dict(), folder / "checkpoints" / file)
    return network.eval()


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """Return a network whose weights are there to be found."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    return in_cache(NAME, tmp_path)


def normalised(pixels: torch.Tensor, normalisation: Normalisation) -> torch.Tensor:
    """Return images of pixels in [0, 1]."""
    mean, std = (torch.tensor(each)[:, None, None] for each in normalisation)
    return (pixels - mean) / std


def pair(name: str, task: Task, folder: Path, wanted: Normalisation) -> tuple[Any, Any]:
    """Return a network that begins from its library's weights, and the library's own.

    Both without zeros around the images, which are another colour in each normalisation.
    """
    in_cache(name, folder)
    library = models.get_model(name, weights="DEFAULT").eval()
    network = Rival(name, pretrained=True).build(task).eval()
    begin_from_library_(network, library_weights(name, task).content, wanted)
    for each in (network, library):
        first_convolution(each)[1].padding = (0, 0)
        each.fc = torch.nn.Identity()
    return network, library


def test_a_network_begins_with_its_library_s_features_and_a_new_classifier(
    cached: torch.nn.Module,
) -> None:
    found = library_weights(NAME, TASK)
    network = Rival(NAME, pretrained=True).build(TASK).eval()
    drawn = network.fc.weight.clone()
    names = begin_from_library_(network, found.content, IMAGENET)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    assert found.words == "torchvision, IMAGENET1K_V1"
    assert torch.equal(network.fc.weight, drawn)
    assert names == {name for name, _ in network.named_parameters()} - {"fc.weight", "fc.bias"}
    network.fc = cached.fc = torch.nn.Identity()
    assert torch.equal(network(images), cached(images))


@pytest.mark.parametrize("name", [NAME, pytest.param("googlenet", marks=pytest.mark.slow)])
@pytest.mark.parametrize("wanted", [OTHERS, GREY], ids=["colours", "grey"])
def test_it_sees_images_that_are_normalised_otherwise_as_its_library_does(
    name: str, wanted: Normalisation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GoogLeNet's weights are of images that torchvision normalises once more."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    channels = len(wanted[0])
    network, library = pair(name, Task(channels, 64, 5), tmp_path, wanted)
    pixels = torch.rand(2, channels, 64, 64, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(
        network(normalised(pixels, wanted)),
        library(normalised(pixels.expand(-1, 3, -1, -1), IMAGENET)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_first_convolution_with_a_bias_and_a_classifier_that_is_a_convolution_begin_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    network, library = pair("squeezenet1_1", TASK, tmp_path, OTHERS)
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    assert len(network.classifier[1].weight) == TASK.num_classes
    torch.testing.assert_close(
        network.features(normalised(pixels, OTHERS)),
        library.features(normalised(pixels, IMAGENET)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_training_begins_with_what_the_library_s_network_computes_of_these_images(
    cached: torch.nn.Module,
) -> None:
    dataset = build_dataset(side=32).normalised_by(*IMAGENET)
    task = Task(3, 32, dataset.num_classes)
    network = Rival(NAME, pretrained=True).build(task)
    begin_library_(network, library_weights(NAME, task).content, dataset, seed=0)
    images = moment_images(dataset, 0, torch.device("cpu"))
    network.fc = cached.fc = torch.nn.Identity()

    with torch.no_grad():
        wanted = cached(images)
        torch.testing.assert_close(network.eval()(images), wanted, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(network.train()(images), wanted, rtol=1e-3, atol=1e-4)


def test_there_are_none_where_another_layer_than_the_first_or_last_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As positions of a transformer do not that was trained on larger images."""
    tensors = models.get_model(NAME, weights=None).state_dict()
    tensors["conv5.0.weight"] = tensors["conv5.0.weight"][:, :3]
    source = Source(NAME, NAME, "torchvision, V1", without_counters(tensors))
    monkeypatch.setattr("raynas.training.starts.library_weights.from_torchvision", lambda _: source)
    found = library_weights(NAME, TASK)

    assert found.content == b""
    assert found.words == (
        "its weights do not fit images of 64 x 64 pixels (conv5.0.weight does not)"
    )


def test_there_are_none_where_the_first_convolution_sees_no_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As behind a rearrangement of pixels, which libraries have too."""
    tensors = dict(models.get_model(NAME, weights=None).state_dict())
    tensors["conv1.0.weight"] = tensors["conv1.0.weight"].repeat(1, 16, 1, 1)
    source = Source(NAME, NAME, "torchvision, V1", without_counters(tensors))
    monkeypatch.setattr("raynas.training.starts.library_weights.from_torchvision", lambda _: source)
    found = library_weights(NAME, TASK)

    assert (found.content, found.words) == (
        b"",
        "its first convolution does not see the images as they are",
    )


def test_a_run_keeps_them_and_needs_no_library_any_more(
    cached: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, first = RunStore.create(str(tmp_path / "run")), library_weights(NAME, TASK)
    store.write_bytes(first.path, first.content)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", _fail)
    again, lost = library_weights(NAME, TASK, store), library_weights("mobilenet_v2", TASK)
    del cached

    assert (again.content, again.words) == (first.content, first.words)
    assert isinstance(lost, LibraryWeights)
    assert lost.content == b""
    assert lost.words.startswith("torchvision could not download its weights (")
    assert "--start" not in lost.words


def _fail(*_: object, **__: object) -> None:
    raise OSError("no network")
