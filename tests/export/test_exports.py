"""Exports of a run: what is in them, that they are made once, and what keeps them from being."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from raynas.data.batches import normalise
from raynas.export import onnx
from raynas.export.module_source import import_file
from raynas.export.run_exports import export_finished, exports_of
from raynas.nets.operations import MBConv
from raynas.nets.subnet import subnet
from raynas.reporting.confidence import wilson
from raynas.spaces.chain import ChoiceBlock, SearchSpace
from raynas.storage.folder import Folder
from raynas.storage.run_store import RunStore
from raynas.training.evaluation import evaluate
from raynas.training.onnx_network import OnnxNetwork
from tests.builders import build_space, shipped_cells, shipped_space
from tests.exported import SHIPPED, build_run, named_dataset
from tests.launch.scripts import files_of
from tests.objects import BUCKET, CREDENTIALS, storage

FIRST, SECOND = "0-4-2-3-1-4", "1-1-1-1-1-1"
INT8 = "model.int8.onnx"
SPACE = shipped_space("small_mobile", identity=True)


class Fickle(nn.Module):
    """Decides by the shape of what it sees."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the inner module makes of x, or of minus x."""
        y: torch.Tensor = self.inner(x if x.shape[1] > 1 else -x)
        return y


class FickleOperation:
    """Builds such modules."""

    name = "fickle"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return one around a common block."""
        return Fickle(MBConv(3, 1).build(in_channels, out_channels, stride))


def fickle_space() -> SearchSpace:
    """Return a space with an operation that nobody can trace."""
    space = build_space("RN")
    block = ChoiceBlock((FickleOperation(), MBConv(3, 1)), 6, 6, 1)
    return replace(space, blocks=(space.blocks[0], block))


@pytest.fixture
def without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the extra be missing."""
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx", "not_there"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Return a run of two networks whose finished one was exported, as its end does it."""
    store = build_run(
        str(tmp_path_factory.mktemp("runs") / "run"),
        SPACE,
        [FIRST],
        stopped=[SECOND],
        data="/home/somebody/secret place/pictures",
        max_macs=500_000,
    )
    said: list[str] = []
    export_finished(store, SPACE, named_dataset(), said.append)
    assert said[0].startswith(f"export: {FIRST}: model.int8.onnx has test accuracy ")
    assert said[1:] == [f"export: 1 to take home in {store.uri}/exports, see README.md there"]
    return store


def folder_of(store: RunStore, architecture: str = FIRST) -> Path:
    """Return the folder of an export."""
    assert store.local_folder is not None
    return store.local_folder / "exports" / architecture


def config_of(store: RunStore, architecture: str = FIRST) -> dict[str, Any]:
    """Return what its config.json says."""
    config: dict[str, Any] = json.loads(
        (folder_of(store, architecture) / "config.json").read_text()
    )
    return config


class TestFiles:
    def test_module_onnx_and_config_agree_on_the_validation_images(self, store: RunStore) -> None:
        dataset, config = named_dataset(), config_of(store)
        images = normalise(torch.from_numpy(dataset.val.take(np.arange(24)).pixels), dataset)
        module = import_file(folder_of(store) / "model.py")
        with torch.no_grad():
            ours = module.load()(images).numpy()
        theirs = OnnxNetwork((folder_of(store) / "model.onnx").read_bytes())(images.numpy())

        np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
        assert config["checks"]["images"] == "16 validation images"
        assert config["checks"]["module"] == 0
        assert 0 <= config["checks"]["onnx"] <= 1e-4
        sizes = [(folder_of(store) / name).stat().st_size for name in ("model.onnx", INT8)]
        assert [config["int8"]["float_bytes"], config["int8"]["bytes"]] == sizes
        assert [config["bytes"]["model.onnx"], config["bytes"][INT8]] == sizes
        assert config["left_out"] == {}
        assert module.CLASSES == dataset.class_names == tuple(config["classes"])

    def test_the_exported_network_is_as_accurate_as_the_weights_of_the_run(
        self, store: RunStore
    ) -> None:
        dataset = named_dataset()
        network = import_file(folder_of(store) / "model.py").load()
        weights = safetensors.torch.load(store.read_bytes(f"models/{FIRST}.safetensors"))
        own = subnet(SPACE, SPACE.parse(FIRST), 1, 3)
        own.load_state_dict(weights)

        cpu = torch.device("cpu")
        assert evaluate(network, dataset.test, dataset, cpu) == evaluate(
            own, dataset.test, dataset, cpu
        )

    def test_the_config_says_what_was_trained_on_what_and_how_well(self, store: RunStore) -> None:
        config = config_of(store)
        (row,) = (r for r in store.rows("outcomes") if r["architecture"] == FIRST)

        assert config["preprocessing"]["mean"] == named_dataset().mean.tolist()
        assert config["input"]["shape"] == ["N", 1, 8, 8]
        assert config["accuracy"]["test"] == {
            "accuracy": 0.875,
            "interval": list(wilson(0.875, 24)),
            "images": 24,
            "balanced_accuracy": 0.8,
        }
        assert sum(layer["macs"] for layer in config["layers"]) == config["macs"] == row["macs"]
        assert config["params"] == row["params"]

    def test_nothing_tells_the_folders_of_the_machine(self, store: RunStore) -> None:
        for content in map(Path.read_bytes, folder_of(store).iterdir()):
            assert b"somebody" not in content
            assert b"site-packages" not in content

    def test_nothing_hidden_or_half_written_is_left(self, store: RunStore) -> None:
        assert sorted(path.name for path in folder_of(store).iterdir()) == [
            "README.md",
            "config.json",
            "model.int8.onnx",
            "model.onnx",
            "model.py",
            "weights.safetensors",
        ]


class TestMakingThemOnce:
    def test_a_second_time_nothing_is_written(self, store: RunStore) -> None:
        before = files_of(folder_of(store).parent)
        export_finished(store, SPACE, named_dataset(), lambda _: None)

        assert files_of(folder_of(store).parent) == before

    def test_one_that_was_cut_off_is_made_again_to_the_same_bytes(
        self, tmp_path: Path, without_onnx: None
    ) -> None:
        del without_onnx
        store = build_run(str(tmp_path / "run"), SPACE, [SECOND])
        exports = exports_of(store, SPACE, named_dataset())
        (outcome,) = store.rows("outcomes")
        exports.make(outcome)
        before = {path.name: path.read_bytes() for path in folder_of(store, SECOND).iterdir()}
        (folder_of(store, SECOND) / "config.json").unlink()
        (folder_of(store, SECOND) / "model.py").write_text("half")

        assert not exports.is_made(outcome)
        exports.make(outcome)
        assert before == {p.name: p.read_bytes() for p in folder_of(store, SECOND).iterdir()}
        assert exports.is_made(outcome)

    def test_another_accuracy_or_rank_makes_it_anew(self, store: RunStore) -> None:
        exports = exports_of(store, SPACE, named_dataset())
        (outcome,) = (r for r in store.rows("outcomes") if r["architecture"] == FIRST)

        assert exports.is_made(outcome)
        assert not exports.is_made(outcome | {"test_accuracy": 0.5})
        assert not exports.is_made(outcome | {"rank": 7})


class TestWhatIsMissing:
    def test_without_the_extra_there_is_no_onnx_and_one_line_says_so(
        self, tmp_path: Path, without_onnx: None
    ) -> None:
        del without_onnx
        store, said = build_run(str(tmp_path / "run"), SPACE, [SECOND]), list[str]()
        export_finished(store, SPACE, named_dataset(), said.append)

        assert said[0] == (
            f"export: {SECOND}: no model.onnx and no model.int8.onnx, not_there not "
            "installed; pip install 'raynas[onnx]'"
        )
        card = (folder_of(store, SECOND) / "README.md").read_text()
        assert "There is no `model.onnx`: not_there not installed" in card
        assert "onnxruntime.InferenceSession" not in card
        assert not (folder_of(store, SECOND) / "model.onnx").exists()

    def test_what_cannot_be_written_as_code_is_said_and_weights_still_come(
        self, tmp_path: Path, without_onnx: None
    ) -> None:
        del without_onnx
        space, dataset = fickle_space(), named_dataset()
        store, said = build_run(str(tmp_path / "run"), space, ["0-0"]), list[str]()
        export_finished(store, space, dataset, said.append)

        assert "no model.py, layer01_fickle: its forward cannot be traced" in said[0]
        names = {path.name for path in folder_of(store, "0-0").iterdir()}
        assert names == {"README.md", "config.json", "weights.safetensors"}

    def test_one_that_fails_costs_a_sentence_and_the_others_are_made(
        self, tmp_path: Path, without_onnx: None
    ) -> None:
        del without_onnx
        store, said = build_run(str(tmp_path / "run"), SPACE, [FIRST, SECOND]), list[str]()
        store.write_bytes(f"models/{FIRST}.safetensors", b"damaged")
        export_finished(store, SPACE, named_dataset(), said.append)

        assert said[0].startswith(f"warning: export of {FIRST} failed (")
        assert said[-1].startswith("export: 1 to take home")

    def test_without_the_images_outputs_are_compared_on_noise(
        self, tmp_path: Path, without_onnx: None
    ) -> None:
        del without_onnx
        store = build_run(str(tmp_path / "run"), SPACE, [SECOND])
        exports = exports_of(store, SPACE, None)
        exports.make(store.rows("outcomes")[0])

        assert config_of(store, SECOND)["checks"]["images"] == "16 images of noise"

    def test_what_an_earlier_export_had_besides_is_removed(
        self, tmp_path: Path, without_onnx: None
    ) -> None:
        del without_onnx
        store = build_run(str(tmp_path / "run"), SPACE, [SECOND])
        store.write_bytes(f"exports/{SECOND}/model.onnx", b"of other weights")
        exports_of(store, SPACE, named_dataset()).make(store.rows("outcomes")[0])

        assert not (folder_of(store, SECOND) / "model.onnx").exists()


class TestCard:
    def test_it_says_what_a_person_wants_to_know(self, store: RunStore) -> None:
        card = (folder_of(store) / "README.md").read_text()
        low, high = wilson(0.875, 24)
        int8 = config_of(store)["int8"]["test"]

        for text in (
            "# A classifier of pictures: small_mobile 0-4-2-3-1-4",
            f"**87.5 %**, 95 % interval {100 * low:.1f} to {100 * high:.1f} (24 images",
            "80.0 % (mean over the classes)",
            "python model.py IMAGE...",
            'onnxruntime.InferenceSession("model.onnx")',
            "python launch/predict.py EXPORT IMAGE...",
            "`model.int8.onnx` is the same in whole numbers of 8 bits (",
            f"| accuracy, 24 test images | {100 * int8['float_accuracy']:.1f} % | ",
            "48 for training, 24 for validation, 24 for the test, 3 classes",
            "| layer03_k5e4 | k5e4 | 24 x 4 x 4 | 48 x 2 x 2 |",
            "method fair_saliency, score balanced_saliency, search evolution",
            "search space small_mobile, limits: at most 500k MACs",
            "rank 1 of 2 networks",
            "Licence: none is named",
        ):
            assert text in card, text

    def test_names_of_classes_cannot_break_its_tables(self, store: RunStore) -> None:
        lines = (folder_of(store) / "README.md").read_text().splitlines()
        (row,) = (line for line in lines if line.startswith("| a&#124;pipe"))

        assert row.count("|") == 5

    def test_its_front_matter_is_yaml_that_hugging_face_understands(self, store: RunStore) -> None:
        yaml = pytest.importorskip("yaml")
        front = yaml.safe_load((folder_of(store) / "README.md").read_text().split("---")[1])

        assert front["pipeline_tag"] == "image-classification"
        assert front["model-index"][0]["results"][0]["metrics"] == [
            {"type": "accuracy", "value": 0.875}
        ]
        assert "license" not in front


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return where a run folder may be made in an S3."""
    with storage() as found:
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": found.endpoint}).items():
            monkeypatch.setenv(name, value)
        yield f"s3://{BUCKET}/run"


@pytest.mark.slow
def test_a_run_in_s3_is_exported_there(bucket: str, without_onnx: None) -> None:
    del without_onnx
    store, said = build_run(bucket, SPACE, [SECOND]), list[str]()
    export_finished(store, SPACE, named_dataset(), said.append)
    files = Folder(f"{bucket}/exports/{SECOND}")

    assert sorted(files.list_files("")) == [
        "README.md",
        "config.json",
        "model.py",
        "weights.safetensors",
    ]
    assert json.loads(files.read_bytes("config.json"))["architecture"] == SECOND
    assert said[-1] == f"export: 1 to take home in {bucket}/exports, see README.md there"


@pytest.mark.slow
@pytest.mark.usefixtures("without_onnx")
def test_a_network_of_cells_is_exported_with_its_genotype(tmp_path: Path) -> None:
    space, dataset = shipped_cells(), named_dataset()
    architecture = str(space.parse(SHIPPED["darts_cells_small"]))
    store = build_run(str(tmp_path / "run"), space, [architecture])
    (row,) = store.rows("outcomes")
    (sentence,) = exports_of(store, space, dataset).make(row)
    config, card = config_of(store, architecture), folder_of(store, architecture) / "README.md"

    assert "no model.onnx" in sentence
    assert config["checks"]["module"] == 0
    assert config["genotype"] == row["genotype"] == str(space.genotype(space.parse(architecture)))
    assert [layer["operation"] for layer in config["layers"][1:-1]] == [
        "normal",
        "reduction",
        "normal",
        "reduction",
        "normal",
    ]
    assert f"    {row['genotype'].split('; ')[1]}\n" in card.read_text()


def test_a_network_of_layers_has_no_genotype(store: RunStore) -> None:
    assert config_of(store)["genotype"] is None
    assert "cells" not in (folder_of(store) / "README.md").read_text()
