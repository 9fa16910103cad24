"""Weights of raynas itself: exports and runs."""

import json
from pathlib import Path

import pytest
import torch

from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.export.run_exports import exports_of
from raynas.nets.operations import Identity
from raynas.spaces.digest import space_digest
from raynas.storage.outcome_rows import networks_of
from raynas.storage.run_store import RunStore
from raynas.training.starts.member import load_start
from raynas.training.trained_networks import load_network
from tests.builders import build_space, shipped_space
from tests.data.samples import build_dataset
from tests.exported import build_run

SPACE = shipped_space("small_mobile", identity=True)
PLAIN = shipped_space("small_mobile")
BEST, OTHER = "0-4-2-3-1-4", "1-1-1-1-1-1"


@pytest.fixture(scope="module")
def images() -> Dataset:
    return build_dataset(side=16)


@pytest.fixture(scope="module")
def run(images: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Return a run of two networks with its exports."""
    store = build_run(str(tmp_path_factory.mktemp("runs") / "run"), SPACE, [BEST, OTHER], images)
    for outcome in networks_of(store.rows("outcomes")):
        exports_of(store, SPACE, images, with_onnx=False).make(outcome)
    return store


def refusal(text: object, space: object = SPACE) -> str:
    with pytest.raises(UserError) as caught:
        load_start(str(text), space)  # type: ignore[arg-type]  # spaces of all kinds
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_and_the_export_of_its_best_network_are_the_same_start(
    run: RunStore, images: Dataset
) -> None:
    best = networks_of(run.rows("outcomes"))[0]["architecture"]
    of_run = load_start(run.uri, SPACE)
    of_export = load_start(f"{run.uri}/exports/{best}", SPACE)
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = load_network(run.uri, best)(x)

        assert torch.equal(of_run.network(SPACE)(x), wanted)
        assert torch.equal(of_export.network(SPACE)(x), wanted)
    assert str(of_run.architecture) == str(of_export.architecture) == best
    assert of_run.normalisation == of_export.normalisation
    assert of_run.normalisation == (tuple(images.mean.tolist()), tuple(images.std.tolist()))
    assert (of_run.num_classes, of_export.num_classes) == (3, 3)


def test_a_network_of_another_space_is_refused_by_what_its_own_is(run: RunStore) -> None:
    said = refusal(run.uri, shipped_space("mobilenet_v2", identity=True))

    assert "it is of space small_mobile" in said
    assert "give --space small_mobile" in said
    assert "has no published network" not in said


@pytest.mark.parametrize("is_same", [True, False])
def test_a_run_whose_space_has_changed_since_is_refused_and_of_any_other_it_is_known(
    tmp_path: Path, images: Dataset, is_same: bool
) -> None:
    """Padding, activations and epsilons have no tensors that would tell."""
    digest = space_digest(PLAIN) if is_same else "other"
    store = build_run(str(tmp_path / "run"), PLAIN, ["0-3-2-3-1-0"], images, space_digest=digest)

    if is_same:
        start = load_start(store.uri, PLAIN, "path")
        assert start.compared
        assert start.network(SPACE)
    else:
        assert "the blocks or operations of its space small_mobile were others (digest other" in (
            refusal(store.uri, PLAIN)
        )


def test_a_folder_of_exports_is_refused_by_what_to_give_instead(run: RunStore) -> None:
    exports = f"{run.uri}/exports"

    assert refusal(exports).endswith(
        f"it holds exports; give one of them, such as {exports}/{BEST}, or the run"
    )


def test_a_network_with_identity_does_not_fit_a_space_without(run: RunStore) -> None:
    assert "layer 1: got candidate 4, wanted 0 to 3" in refusal(f"{run.uri}/exports/{BEST}", PLAIN)


def test_an_export_whose_weights_tell_other_classes_apart_is_refused(
    run: RunStore, tmp_path: Path
) -> None:
    copied = tmp_path / "export"
    copied.mkdir()
    for name in ("config.json", "weights.safetensors"):
        (copied / name).write_bytes(run.read_bytes(f"exports/{BEST}/{name}"))
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"classes": ["one", "two"]}))

    assert "said to know 2 classes, but its weights tell 3 apart" in refusal(copied)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_an_export_that_is_cut_off_is_refused(name: str, run: RunStore, tmp_path: Path) -> None:
    copied = tmp_path / "export"
    copied.mkdir()
    for each in ("config.json", "weights.safetensors"):
        content = run.read_bytes(f"exports/{BEST}/{each}")
        (copied / each).write_bytes(content[: len(content) // 2] if each == name else content)
    wanted = "missing or damaged" if name == "config.json" else "cut off"

    assert wanted in refusal(copied)


def test_a_run_without_a_trained_network_is_refused(tmp_path: Path) -> None:
    store = build_run(str(tmp_path / "run"), SPACE, [], stopped=[BEST])

    assert "no network of that run was trained to its end" in refusal(store.uri)


def test_a_run_whose_weights_are_lost_is_refused(tmp_path: Path) -> None:
    space = build_space("RN").with_identity(Identity())
    store = build_run(str(tmp_path / "run"), space, ["0-1"])
    store.delete("models/0-1.safetensors")

    assert "lost or damaged" in refusal(store.uri, space)
