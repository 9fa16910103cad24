"""The export of a network that stood beside the winners and was ahead of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from raynas.costs.latency_table import Task
from raynas.export import onnx
from raynas.export.module_source import import_file
from raynas.export.run_exports import export_finished
from raynas.nets.narrow_networks import NarrowNetwork
from raynas.nets.rivals import Rival
from raynas.nets.smaller_images import ScaledNetwork
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from raynas.training.new_network import Chosen, new_network
from tests.builders import shipped_space
from tests.exported import build_run, named_dataset

SPACE = shipped_space("small_mobile", identity=True)
BEST = "0-4-2-3-1-4"
MEMBER = Architecture((0, 1, 2, 3, 1, 2))


def name_of(rival: Chosen) -> str:
    """Return the name by which a person asks for a rival."""
    return "start" if isinstance(rival, Architecture) else rival.name


def with_rival(folder: Path, rival: Chosen, start: str | None = None, **values: Any) -> RunStore:
    """Return a run of one network and a rival with weights."""
    store = build_run(str(folder / "run"), SPACE, [BEST], start=start)
    data = named_dataset()
    torch.manual_seed(0)
    task = Task(data.channels, data.resolution, data.num_classes)
    network = new_network(SPACE, rival, task, 0.0)
    path = f"models/rival-{name_of(rival)}.safetensors"
    store.write_bytes(path, safetensors.torch.save(network.state_dict()))
    row = dict.fromkeys(SCHEMAS["rivals"].names) | {
        "rival": name_of(rival),
        "network": str(rival),
        "macs": 1000,
        "params": 10,
        "val_accuracy": 1.0,
        "test_accuracy": 1.0,
        "test_images": 10,
        "epochs": 1,
        "status": "finished",
        "checkpoint": path,
        "trained_on": "train",
    }
    store.append("rivals", [row | values], part="rivals")
    return store


@pytest.mark.parametrize(
    "rival",
    [
        Rival("mobilenet_v2", 0.25),
        Rival("efficientnet_b0", 0.2, pretrained=True),
        pytest.param(MEMBER, marks=pytest.mark.slow),
        pytest.param(ScaledNetwork(MEMBER, 24), marks=pytest.mark.slow),
        NarrowNetwork(MEMBER, 60),
    ],
    ids=str,
)
def test_a_rival_that_is_ahead_is_a_module_and_an_onnx_file_like_a_winner(
    tmp_path: Path, rival: Chosen
) -> None:
    store = with_rival(tmp_path, rival)
    said: list[str] = []
    export_finished(store, SPACE, named_dataset(), said.append)
    folder = tmp_path / "run" / "exports" / f"rival-{name_of(rival)}"
    config = json.loads((folder / "config.json").read_text())
    shape = config["input"]["shape"][1:]

    assert said[-1:] == [f"export: 2 to take home in {store.uri}/exports, see README.md there"]
    assert set(config["files"]) == {"module", "weights", "onnx", "int8"}
    assert config["checks"]["module"] < 1e-5
    assert import_file(folder / "model.py").load()(torch.randn(2, *shape)).shape == (
        2,
        len(config["classes"]),
    )
    card = (folder / "README.md").read_text()
    assert f"# A classifier of digits: {config['rival']}\n" in card
    assert config["network"] == str(rival)
    assert "it was ahead of them" in card


@pytest.mark.parametrize(
    ("start", "own", "said"),
    [
        (None, None, "- trained from scratch for 1 epochs"),
        ("weights/lite.pt", "start", "- trained from the weights of lite.pt for 1 epochs"),
        ("weights/lite.pt", "new weights", "- trained from scratch for 1 epochs"),
        ("weights/lite.pt", "torchvision, V2", "- trained from the weights of torchvision, V2 for"),
    ],
)
def test_a_card_says_whose_weights_a_network_began_from(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: str | None,
    own: str | None,
    said: str,
) -> None:
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx", "not_there"))
    store = with_rival(tmp_path, Rival("mobilenet_v2", 0.25), start=start, begun_from=own)
    export_finished(store, SPACE, named_dataset(), lambda _: None)
    folder = tmp_path / "run" / "exports"
    card = (folder / "rival-mobilenet_v2" / "README.md").read_text()
    of_winner = "from the weights of lite.pt" if start else "from scratch"

    assert said in card
    assert ("that of the weights of" in card) == ("from scratch" not in said)
    assert f"- trained {of_winner} for 3 epochs" in (folder / BEST / "README.md").read_text()


def test_one_that_is_behind_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx", "not_there"))
    store = with_rival(tmp_path, Rival("mobilenet_v2", 0.25), val_accuracy=0.0)
    export_finished(store, SPACE, named_dataset(), lambda _: None)

    assert not (tmp_path / "run" / "exports" / "rival-mobilenet_v2").exists()
