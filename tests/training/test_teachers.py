"""Teachers of every source: what they answer, and what is refused in a sentence."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from raynas.data.batches import normalise
from raynas.errors import UserError
from raynas.export import onnx as exported_onnx
from raynas.export.run_exports import export_finished, exports_of
from raynas.nets.rivals import Rival
from raynas.nets.smaller_images import ScaledNetwork
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.storage.outcome_rows import networks_of
from raynas.storage.run_store import RunStore
from raynas.training.new_network import Chosen
from raynas.training.starts.member import load_start
from raynas.training.teacher import OnnxFile, Teacher, TorchNetwork
from raynas.training.teacher_file import TeacherFacts, digest_of, opened
from raynas.training.teachers import is_trained_first, open_teacher
from raynas.training.trained_networks import load_network
from tests.builders import shipped_space
from tests.data.samples import build_dataset
from tests.export.test_rivals import MEMBER, with_rival
from tests.exported import LITE, build_run, named_dataset

CPU = torch.device("cpu")
SPACE = shipped_space("small_mobile")
DATASET = named_dataset()
PIXELS = torch.from_numpy(DATASET.val.take(np.arange(8)).pixels)
BEST = "0-4-2-3-1-4"


def answers(teacher: Teacher) -> torch.Tensor:
    """Return logits of validation images, normalised as the run's are."""
    return teacher.on(CPU, DATASET)(normalise(PIXELS, DATASET))


def own_answers(network: nn.Module, mean: np.ndarray, std: np.ndarray) -> torch.Tensor:
    """Return what a network says of these images by itself."""
    with torch.no_grad():
        logits: torch.Tensor = network(normalise(PIXELS, replace(DATASET, mean=mean, std=std)))
    return logits


def linear(classes: int = 3, channels: int = 1, side: int | None = None) -> tuple[nn.Module, bytes]:
    """Return a linear network on the mean of an image, and the same as an ONNX file."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    network = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    ).eval()
    layer = network[2]
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["y"], transB=1),
        ],
        "linear",
        [helper.make_tensor_value_info("x", kind, ["n", channels, side or "h", side or "w"])],
        [helper.make_tensor_value_info("y", kind, ["n", classes])],
        [
            helper.make_tensor(name, kind, list(each.shape), each.detach().flatten().tolist())
            for name, each in (("w", layer.weight), ("b", layer.bias))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return network, model.SerializeToString()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Return a run of one network on these images as another mean has them, exported as torch."""
    other = replace(DATASET, mean=DATASET.mean + 0.1, std=DATASET.std * 1.5)
    space = shipped_space("small_mobile", identity=True)
    store = build_run(str(tmp_path_factory.mktemp("runs") / "run"), space, [BEST], other)
    exports = exports_of(store, space, other, with_onnx=False)
    exports.make(networks_of(store.rows("outcomes"))[0])
    return store


def export_of(run: RunStore, folder: Path) -> Path:
    """Return a copy of its export, to be damaged."""
    return Path(shutil.copytree(f"{run.address}/exports/{BEST}", folder / "export"))


class TestAnswers:
    def test_a_run_and_its_export_answer_as_the_network_itself_at_its_own_normalisation(
        self, run: RunStore
    ) -> None:
        network = load_network(run.address)
        wanted = own_answers(network, DATASET.mean + np.float32(0.1), DATASET.std * 1.5)
        for source in (run.address, f"{run.address}/exports/{BEST}"):
            teacher = open_teacher(source, DATASET, SPACE)

            assert isinstance(teacher.network, TorchNetwork)
            torch.testing.assert_close(answers(teacher), wanted, rtol=0, atol=1e-5)

    def test_the_module_of_an_export_is_not_executed(self, run: RunStore, tmp_path: Path) -> None:
        export = export_of(run, tmp_path)
        (export / "model.py").write_text("raise SystemExit('executed')")

        assert open_teacher(str(export), DATASET, SPACE).classes == DATASET.class_names

    def test_a_rival_s_export_is_built_by_its_library(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exported_onnx, "PACKAGES", ("not_there",))
        store = with_rival(tmp_path, Rival("efficientnet_b0", 0.2))
        space = shipped_space("small_mobile", identity=True)
        export_finished(store, space, DATASET, lambda _: None)
        teacher = open_teacher(f"{store.address}/exports/rival-efficientnet_b0", DATASET, SPACE)

        assert isinstance(teacher.network, TorchNetwork)
        weights = safetensors.torch.load(
            store.read_bytes("models/rival-efficientnet_b0.safetensors")
        )
        found = teacher.network.network.state_dict()
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[name], weights[name]) for name in found)

    @pytest.mark.parametrize(
        ("rival", "name"), [(MEMBER, "start"), (ScaledNetwork(MEMBER, 4), "scaled_start")]
    )
    def test_a_rival_s_export_that_is_of_a_space_is_built_and_one_made_of_a_start_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rival: Chosen, name: str
    ) -> None:
        monkeypatch.setattr(exported_onnx, "PACKAGES", ("not_there",))
        store = with_rival(tmp_path, rival)
        space = shipped_space("small_mobile", identity=True)
        export_finished(store, space, DATASET, lambda _: None)
        export = f"{store.address}/exports/rival-{name}"

        if name == "start":
            found = open_teacher(export, DATASET, SPACE).network
            assert isinstance(found, TorchNetwork)
            weights = safetensors.torch.load(store.read_bytes("models/rival-start.safetensors"))
            assert all(torch.equal(e, weights[n]) for n, e in found.network.state_dict().items())
            assert load_start(export, space).architecture == MEMBER
            return
        with pytest.raises(UserError, match=r"it is a network that was made of a run's start, and"):
            open_teacher(export, DATASET, SPACE)
        with pytest.raises(UserError, match=r"^--start .* is a network of no space; name that run"):
            load_start(export, space)

    @pytest.mark.parametrize("side", [None, 12])
    def test_an_onnx_file_answers_as_torch_does(self, tmp_path: Path, side: int | None) -> None:
        network, content = linear(side=side)
        (tmp_path / "net.onnx").write_bytes(content)
        teacher = open_teacher(str(tmp_path / "net.onnx"), DATASET, SPACE)

        assert isinstance(teacher.network, OnnxFile)
        assert teacher.resolution == (side or DATASET.resolution)
        assert "taken in the order of the classes" in teacher.name
        as_torch = replace(teacher, network=TorchNetwork(network))
        torch.testing.assert_close(answers(teacher), answers(as_torch), rtol=1e-5, atol=1e-5)

    def test_an_onnx_file_beside_its_description_knows_its_classes_and_normalisation(
        self, run: RunStore, tmp_path: Path
    ) -> None:
        export = export_of(run, tmp_path)
        (export / "model.onnx").write_bytes(linear()[1])
        teacher = open_teacher(str(export / "model.onnx"), DATASET, SPACE)

        assert isinstance(teacher.network, OnnxFile)
        assert teacher.mean == pytest.approx((DATASET.mean + 0.1).tolist())
        assert teacher.classes == DATASET.class_names


OWN = replace(build_dataset(side=33, channels=3), class_names=DATASET.class_names)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Return a run of a person's own space, of which raynas knows nothing, exported as torch."""
    store = build_run(str(tmp_path_factory.mktemp("own") / "run"), LITE, ["0-1-4-2"], OWN)
    exports_of(store, LITE, OWN, with_onnx=False).make(store.rows("outcomes")[0])
    return store


class TestOwnSpaces:
    def test_they_are_taken_where_the_run_is_of_that_space_too(self, own: RunStore) -> None:
        network = subnet(LITE, Architecture.parse("0-1-4-2"), 3, 3).eval()
        weights = own.read_bytes("models/0-1-4-2.safetensors")
        network.load_state_dict(safetensors.torch.load(weights))
        images = torch.randn(2, 3, 33, 33)
        for source in (own.address, f"{own.address}/exports/0-1-4-2"):
            teacher = open_teacher(source, OWN, LITE)
            with torch.no_grad():
                torch.testing.assert_close(teacher.on(CPU, OWN)(images), network(images))

    def test_elsewhere_an_export_is_its_onnx_file_and_refused_without(
        self, own: RunStore, tmp_path: Path
    ) -> None:
        export = Path(shutil.copytree(f"{own.address}/exports/0-1-4-2", tmp_path / "export"))
        with pytest.raises(UserError, match=r"of the space lite, which raynas does not ship"):
            open_teacher(str(export), OWN, SPACE)
        (export / "model.onnx").write_bytes(linear(channels=3)[1])

        assert isinstance(open_teacher(str(export), OWN, SPACE).network, OnnxFile)


class TestKept:
    def test_what_a_run_keeps_of_a_teacher_answers_likewise_and_can_be_named(
        self, run: RunStore, tmp_path: Path
    ) -> None:
        (tmp_path / "net.onnx").write_bytes(linear()[1])
        for source in (run.address, str(tmp_path / "net.onnx")):
            teacher = open_teacher(source, DATASET, SPACE)
            (tmp_path / "teacher.safetensors").write_bytes(teacher.content)
            again = open_teacher(str(tmp_path / "teacher.safetensors"), DATASET, SPACE)

            assert torch.equal(answers(again), answers(teacher))
            assert again.content == teacher.content

    def test_equal_teachers_have_equal_digests_and_others_have_others(self) -> None:
        facts = TeacherFacts(
            name="one",
            classes=("a", "b"),
            channels=1,
            resolution=8,
            mean=(0.1,),
            std=(0.2,),
            rival="resnet18",
        )
        weights = {"b": torch.ones(3), "a": torch.zeros(2)}
        digests = {digest_of(facts.packed(dict(reversed(weights.items())))) for _ in range(3)}
        digests.add(digest_of(facts.packed(weights)))
        others = {
            digest_of(replace(facts, std=(0.3,)).packed(weights)),
            digest_of(facts.packed({"b": torch.ones(3), "a": torch.ones(2)})),
        }

        assert len(digests) == 1
        assert len(others | digests) == 3


def no_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def other_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    weights = safetensors.torch.load_file(path)
    classifier = next(name for name, each in weights.items() if each.dim() == 2)
    weights[classifier] = torch.zeros(1, 1)
    safetensors.torch.save_file(weights, path)


def described(**changes: object) -> Callable[[Path], None]:
    """Return what changes the description of an export."""

    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_weights, r"a file is missing \(.*weights.safetensors.*\); check the path"),
        (other_weights, "its weights are not those of 0-4-2-3-1-4 of an export as raynas builds"),
        (described(classes=["x", "y", "z"]), "its class 0 is 'x', and that of the images 'a "),
        (described(classes=["a", "b"]), "its weights are not those of"),
        (described(preprocessing=None), "its config.json is not that of an export of raynas"),
        (lambda folder: (folder / "config.json").write_text("{"), "its config.json is not that"),
    ],
)
def test_a_damaged_or_unfit_export_is_refused_in_a_sentence(
    run: RunStore, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    export = export_of(run, tmp_path)
    damage(export)

    with pytest.raises(UserError, match=words) as refused:
        open_teacher(str(export), DATASET, SPACE)
    assert str(refused.value).startswith(f"--retrain.teacher {export}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nothing", None, "there is nothing of that name; wanted an export or a run of raynas"),
        ("gone.onnx", None, "a file is missing"),
        ("bad.onnx", b"no graph", "onnxruntime cannot load it .*; export it again as one file"),
        ("weights.pth", b"", "weights alone do not say of which network they are; wanted an exp"),
        ("two.onnx", lambda: linear(classes=2)[1], r"shape \(2, 2\), wanted \(2, 3\)"),
        ("colour.onnx", lambda: linear(channels=3)[1], "images of 3 channels, and these have 1"),
        ("other.safetensors", b"\x00" * 16, "it is no teacher that a run of raynas has kept"),
        (
            "plain.safetensors",
            safetensors.torch.save({"a": torch.ones(1)}),
            "it is no teacher that a run of raynas has kept",
        ),
    ],
)
def test_what_is_no_teacher_of_these_images_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes | Callable[[], bytes] | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content())

    with pytest.raises(UserError, match=words) as refused:
        open_teacher(str(tmp_path / name), DATASET, SPACE)
    assert str(refused.value).startswith("--retrain.teacher ")
    assert "\n" not in str(refused.value)


def test_a_run_without_a_trained_network_is_refused(tmp_path: Path) -> None:
    store = build_run(str(tmp_path / "run"), SPACE, [], stopped=["0-0-0-0-0-0"])

    with pytest.raises(UserError, match="no network of that run was trained to its end"):
        open_teacher(store.address, DATASET, SPACE)


def test_names_of_libraries_are_trained_first() -> None:
    assert is_trained_first("resnet18")
    assert is_trained_first("timm/resnet18")
    assert not is_trained_first("runs/resnet18")


@pytest.mark.slow
def test_an_export_s_own_onnx_file_answers_as_its_network(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    space = shipped_space("small_mobile", identity=True)
    store = build_run(str(tmp_path / "run"), space, [BEST], DATASET)
    export_finished(store, space, DATASET, lambda _: None)
    export = f"{store.address}/exports/{BEST}"
    found = [
        answers(open_teacher(source, DATASET, SPACE)) for source in (export, f"{export}/model.onnx")
    ]

    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    assert opened(open_teacher(export, DATASET, SPACE).content, "it", SPACE).name
