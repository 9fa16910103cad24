"""Torchvision's sets, read from files as its download leaves them; the network is not asked."""

import pickle
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from torchvision import datasets

from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.errors import UserError
from raynas.settings.images import ImageSettings
from tests.data.samples import build_images

PER_FILE = 20


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where torchvision's sets are looked for."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAYNAS_CACHE")
    return tmp_path / ".cache" / "raynas"


def write_cifar(
    cache: Path, monkeypatch: pytest.MonkeyPatch, kind: type[datasets.CIFAR10], classes: int
) -> None:
    """Write CIFAR's pickled batches; their checksums are those of other images, so drop them."""
    folder = cache / kind.base_folder
    folder.mkdir(parents=True)
    key = kind.meta["key"]
    for part in ("train_list", "test_list"):
        names = [name for name, _ in getattr(kind, part)]
        monkeypatch.setattr(kind, part, [(name, None) for name in names])
        for seed, name in enumerate(names):
            images = build_images(PER_FILE, 32, 3, classes, seed)
            labels = {
                "labels" if kind is datasets.CIFAR10 else "fine_labels": images.labels.tolist()
            }
            batch = {"data": images.pixels.reshape(PER_FILE, -1), **labels}
            (folder / name).write_bytes(pickle.dumps(batch))
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": None})
    described = {key: [f"class {label}" for label in range(classes)]}
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps(described))


def write_idx(path: Path, numbers: npt.NDArray[np.uint8]) -> None:
    """Write an array as MNIST's files hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">I{numbers.ndim}I", 0x800 + numbers.ndim, *numbers.shape)
    path.write_bytes(head + numbers.tobytes())


def write_fashion(cache: Path) -> None:
    """Write the four files of Fashion-MNIST."""
    raw = cache / "FashionMNIST" / "raw"
    for seed, part in enumerate(("train", "t10k")):
        images = build_images(30, 28, 1, 10, seed)
        write_idx(raw / f"{part}-images-idx3-ubyte", images.pixels[:, 0])
        write_idx(raw / f"{part}-labels-idx1-ubyte", images.labels.astype(np.uint8))


def load(data: str) -> Dataset:
    """Load a set as a run does."""
    return load_dataset(data, ImageSettings(), 0, 8)


@pytest.mark.parametrize(
    ("data", "kind", "classes", "train_files"),
    [("cifar10", datasets.CIFAR10, 10, 5), ("cifar100", datasets.CIFAR100, 4, 1)],
)
def test_cifar_has_its_own_test_part_and_names_of_classes(
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
    kind: type[datasets.CIFAR10],
    classes: int,
    train_files: int,
) -> None:
    write_cifar(cache, monkeypatch, kind, classes)
    dataset = load(data)

    assert len(dataset.train) + len(dataset.val) == PER_FILE * train_files
    assert (dataset.channels, dataset.resolution, dataset.num_classes) == (3, 32, classes)
    assert dataset.class_names[1] == "class 1"
    wanted = build_images(PER_FILE, 32, 3, classes, seed=0)
    assert np.array_equal(dataset.test.pixels, wanted.pixels)
    assert np.array_equal(dataset.test.labels, wanted.labels)


def test_fashion_mnist_is_grey_and_names_its_clothes(cache: Path) -> None:
    write_fashion(cache)
    dataset = load("fashion-mnist")

    assert (dataset.channels, dataset.resolution) == (1, 28)
    assert dataset.class_names[0] == "T-shirt/top"
    assert np.array_equal(dataset.test.pixels, build_images(30, 28, 1, 10, seed=1).pixels)


def test_a_download_that_fails_is_told_in_one_sentence_with_the_folder(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading it:\nTried an address, got:\nno network\n")

    monkeypatch.setattr(datasets.FashionMNIST, "download", fail)
    with pytest.raises(UserError) as caught:
        load("fashion-mnist")

    assert str(cache) in str(caught.value)
    assert "Tried an address, got: no network" in str(caught.value)
    assert "\n" not in str(caught.value)
