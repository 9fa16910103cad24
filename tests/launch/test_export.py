"""Exporting runs by hand, and telling images by an export."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from raynas.errors import UserError
from raynas.export.labelled import LabelledAnswers
from raynas.export.run_exports import exports_of
from raynas.reporting.confidence import wilson
from raynas.settings.export import ExportSettings
from raynas.storage.folder import Folder
from raynas.storage.run_store import RunStore
from raynas.training.trained_networks import load_network
from tests.builders import build_space, shipped_space
from tests.data.samples import write_tree
from tests.exported import build_run, named_dataset, photographs
from tests.launch.scripts import load_script
from tests.objects import BUCKET, CREDENTIALS, storage

export, predict = load_script("export"), load_script("predict")
FIRST, SECOND = "0-4-2-3-1-4", "1-1-1-1-1-1"
SPACE = shipped_space("small_mobile", identity=True)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a script and returns its code, output and errors."""

    def run_script(script: Any, *words: object) -> tuple[int, str, str]:
        code = script.main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_script


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Return a run of two trained networks and a stopped one, whose images are gone."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return build_run(str(folder), SPACE, [FIRST, SECOND], stopped=["0-0-0-0-0-0"], data="/gone")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an export with model.py and model.onnx."""
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    space, folder = build_space("RN"), tmp_path_factory.mktemp("elsewhere")
    store = build_run(str(folder / "run"), space, ["0-2"])
    exports_of(store, space, named_dataset()).make(store.rows("outcomes")[0])
    target = folder / "taken home"
    shutil.move(folder / "run" / "exports" / "0-2", target)
    shutil.rmtree(folder / "run")
    return target


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of photographs, and things that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, image in zip(("china.jpg", "flower.png"), photographs(), strict=True):
        image.save(folder / name)
    (folder / "notes.txt").write_text("no image")
    whole = (folder / "china.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    return folder


class TestExport:
    def test_all_networks_that_were_trained_to_the_end_are_exported(
        self, run: Any, store: RunStore
    ) -> None:
        code, output, errors = run(export, store.uri, "--no-onnx")

        assert (code, errors) == (0, "")
        assert "outputs are compared on noise" in output.splitlines()[0]
        assert output.splitlines()[1:] == [
            f"{store.uri}/exports/{row['architecture']}"
            for row in sorted(store.rows("outcomes"), key=lambda row: row["rank"])[:2]
        ]
        for text in (FIRST, SECOND):
            assert store.has(f"exports/{text}/model.py")
            assert not store.has(f"exports/{text}/model.onnx")

    @pytest.mark.parametrize("flags", [("--rank", "2"), ("--architecture", SECOND)])
    def test_one_can_be_chosen_and_put_elsewhere(
        self, flags: tuple[str, ...], run: Any, store: RunStore, tmp_path: Path
    ) -> None:
        code, output, _ = run(export, store.uri, *flags, "--no-onnx", "--out", tmp_path / "out")
        (folder,) = (tmp_path / "out").iterdir()

        assert code == 0
        assert output.splitlines()[-1] == str(folder)
        assert json.loads((folder / "config.json").read_text())["architecture"] == folder.name
        assert folder.name == SECOND or "--rank" in flags

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (("--rank", "3"), "no network of that rank and architecture was trained to its end; "),
            (("--architecture", "0-0-0-0-0-0"), "there are 1 ("),
            (("--space", "nothing"), "no such file as"),
            (("--data", "digits"), "not the images of the run, which had 48 to train in 3 classes"),
            (("--data", "nowhere"), "say by --data where the images are now"),
        ],
    )
    def test_what_cannot_be_is_refused_in_a_sentence(
        self, flags: tuple[str, ...], message: str, run: Any, store: RunStore
    ) -> None:
        code, _, errors = run(export, store.uri, *flags)

        assert code == 2
        assert message in errors
        assert errors.count("\n") == 1

    @pytest.mark.parametrize("beside", [".py", ""])
    def test_no_file_that_a_run_folder_names_is_executed_unless_a_person_names_it(
        self, beside: str, run: Any, tmp_path: Path
    ) -> None:
        """A name without an ending is taken from the folder of spaces, wherever that leads."""
        mark, own = tmp_path / "executed", tmp_path / "own.py"
        own.write_text(
            f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
            "from search_spaces.small_mobile import SPACE\n"
        )
        named = str(own) if beside else str(own.with_suffix(""))
        folder = str(tmp_path / "run")
        store = build_run(folder, SPACE, [FIRST], data="/gone")
        (row,) = store.rows("runs")
        store.append("runs", [row | {"space": named}], "run")
        code, _, errors = run(export, folder)
        with pytest.raises(UserError, match=r"space= in Python, if you trust it"):
            load_network(folder)

        assert code == 2
        assert "Python that a run folder may not have executed; name the file yourself" in errors
        assert not mark.exists()
        load_network(folder, space=str(own))
        assert mark.exists()
        assert run(export, folder, "--no-onnx", "--space", own)[0] == 0

    def test_a_space_whose_file_says_something_else_by_now_is_refused(
        self, run: Any, tmp_path: Path
    ) -> None:
        store = build_run(str(tmp_path / "run"), SPACE, [FIRST], data="/gone")
        (row,) = store.rows("runs")
        plan = json.loads(row["plan"]) | {"space_digest": "another"}
        store.append("runs", [row | {"plan": json.dumps(plan)}], "run")
        code, _, errors = run(export, store.uri)

        assert code == 2
        assert "the blocks or operations of its space" in errors

    def test_weights_that_are_lost_or_cut_off_are_told_in_a_sentence(
        self, run: Any, tmp_path: Path
    ) -> None:
        store = build_run(str(tmp_path / "run"), SPACE, [FIRST], data="/gone")
        path = f"models/{FIRST}.safetensors"
        store.write_bytes(path, store.read_bytes(path)[:-1])
        for _ in range(2):
            code, _, errors = run(export, store.uri)
            with pytest.raises(UserError, match=f"{path} is lost or damaged; the command that"):
                load_network(store.uri)

            assert code == 2
            assert f"{path} is lost or damaged" in errors
            if store.has(path):
                store.delete(path)

    def test_an_export_of_which_a_file_is_cut_off_is_made_again_and_told_by_who_uses_it(
        self, run: Any, tmp_path: Path, pictures: Path
    ) -> None:
        store = build_run(str(tmp_path / "run"), SPACE, [FIRST], data="/gone")
        exports = exports_of(store, SPACE, None, with_onnx=False)
        (outcome,) = store.rows("outcomes")
        folder = tmp_path / "run" / "exports" / FIRST
        for name in ("weights.safetensors", "config.json"):
            assert not exports.is_made(outcome)
            exports.make(outcome)
            assert exports.is_made(outcome)
            whole = (folder / name).read_bytes()
            (folder / name).write_bytes(whole[: len(whole) // 2])
            code, _, errors = run(predict, folder, pictures)

            assert code == 2
            assert f"{name} is damaged; launch/export.py RUN writes it anew" in errors

    def test_a_run_that_trained_nothing_yet_is_refused(self, run: Any, tmp_path: Path) -> None:
        build_run(str(tmp_path / "run"), SPACE, [])
        code, _, errors = run(export, tmp_path / "run")

        assert code == 2
        assert "no network there was trained to its end" in errors

    def test_images_that_have_moved_are_found_and_normalised_as_in_the_run(
        self, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moved = tmp_path / "moved"
        write_tree(
            moved,
            {
                f"{part}/{label}": [
                    photographs()[0].resize((8, 8)).convert("L").point(lambda v, n=number: v // n)
                    for number in range(1, count + 1)
                ]
                for part, count in (("train", 16), ("val", 8), ("test", 8))
                for label in "abc"
            },
        )
        mean, std = np.array([[0.25], [0.75]], np.float32)  # as of trained weights
        lettered = replace(named_dataset(), class_names=("a", "b", "c"), mean=mean, std=std)
        made = mock.Mock(side_effect=exports_of)
        monkeypatch.setattr(export, "exports_of", made)
        other = build_run(str(tmp_path / "run"), SPACE, [SECOND], lettered, data="/gone")
        code, output, errors = run(export, other.uri, "--no-onnx", "--data", moved)

        assert code == 0, errors
        assert "noise" not in output
        config = json.loads(other.read_bytes(f"exports/{SECOND}/config.json"))
        assert config["checks"]["images"] == "16 validation images"
        dataset = made.call_args.args[2]
        assert (dataset.mean, dataset.std) == (mean, std)


class TestPredict:
    def test_a_photograph_is_told_with_probabilities_by_the_export_alone(
        self, run: Any, exported: Path, pictures: Path
    ) -> None:
        code, output, errors = run(predict, exported, pictures / "china.jpg")
        path, _, ranking = output.rpartition(".jpg: ")

        assert (code, errors) == (0, "")
        assert path == str(pictures / "china")
        shares = [float(each.rsplit(" ", 1)[1]) for each in ranking.split(", ")]
        assert len(shares) == 3
        assert sum(shares) == pytest.approx(1, abs=0.002)

    def test_module_and_onnx_tell_the_same(self, run: Any, exported: Path, pictures: Path) -> None:
        told = [
            [
                json.loads(line)
                for line in run(predict, exported, pictures, "--json", *how)[1].splitlines()
            ]
            for how in ((), ("--with", "onnx"))
        ]

        assert [each["image"] for each in told[0]] == [each["image"] for each in told[1]]
        for one, other in zip(*told, strict=True):
            names = [[c["class"] for c in each["classes"]] for each in (one, other)]
            shares = [[c["probability"] for c in each["classes"]] for each in (one, other)]
            assert names[0] == names[1]
            assert shares[0] == pytest.approx(shares[1], abs=1e-4)

    def test_onnx_runs_none_of_the_export_s_code(
        self, run: Any, exported: Path, pictures: Path, tmp_path: Path
    ) -> None:
        hostile = tmp_path / "hostile"
        shutil.copytree(exported, hostile)
        (hostile / "model.py").write_text("raise SystemExit('executed')")

        assert run(predict, hostile, pictures / "china.jpg", "--onnx")[0] == 0
        with pytest.raises(SystemExit, match="executed"):
            predict.main([str(hostile), str(pictures / "china.jpg")])

    @pytest.mark.parametrize("how", [(), ("--onnx",)])
    def test_what_is_no_image_gets_a_sentence_and_the_others_are_told(
        self, how: tuple[str, ...], run: Any, exported: Path, pictures: Path
    ) -> None:
        words = [pictures / "notes.txt", pictures, pictures / "gone.jpg"]
        code, output, errors = run(predict, exported, *words, *how, "--top", "1")

        assert code == 0
        assert [Path(line.split(":")[0]).name for line in output.splitlines()] == [
            "china.jpg",
            "flower.png",
        ]
        assert [Path(line.split(":")[0]).name for line in errors.splitlines()] == [
            "notes.txt",
            "cut.jpg",
            "gone.jpg",
        ]
        assert all("cannot be read (" in line for line in errors.splitlines())

    def test_it_fails_only_where_nothing_could_be_read(
        self, run: Any, exported: Path, pictures: Path
    ) -> None:
        code, output, errors = run(predict, exported, pictures / "notes.txt", pictures / "cut.jpg")

        assert (code, output) == (2, "")
        assert errors.splitlines()[-1] == (
            "error: images: none of 2 could be read; check the paths"
        )

    def test_patterns_find_files(self, run: Any, exported: Path, pictures: Path) -> None:
        _, output, errors = run(predict, exported, f"{pictures}/*.png", f"{pictures}/x*")

        assert [Path(line.split(":")[0]).name for line in output.splitlines()] == ["flower.png"]
        assert "x*: cannot be read (" in errors

    def test_folders_and_patterns_pass_over_what_systems_left_there(
        self, run: Any, exported: Path, pictures: Path, tmp_path: Path
    ) -> None:
        for name in ("a.png", "@eaDir/a.png/thumb.png", "in/.thumbs/b.png", "in/__MACOSX/c.png"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pictures / "flower.png", tmp_path / name)
        shutil.copy(pictures / "flower.png", os.fsencode(tmp_path) + b"/in/\xff.png")
        (tmp_path / "in" / "up").symlink_to(tmp_path)
        images = [tmp_path, f"{tmp_path}/**/a.png", f"{tmp_path}/@eaDir/*/*.png"]
        _, output, errors = run(predict, exported, *images)
        told = [line.partition(": ")[0] for line in output.splitlines()]

        assert errors == ""
        wanted = ["a.png", "in/\\xff.png", "a.png", "@eaDir/a.png/thumb.png"]
        assert [path.removeprefix(f"{tmp_path}/") for path in told] == wanted

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (("--top", "0"), "--top: got 0, wanted at least 1"),
            ((), "images: got none, wanted at least one file"),
        ],
    )
    def test_mistakes_are_told_in_a_sentence(
        self, flags: tuple[str, ...], message: str, run: Any, exported: Path, pictures: Path
    ) -> None:
        images = [pictures] if flags else []
        code, _, errors = run(predict, exported, *images, *flags)

        assert code == 2
        assert message in errors

    def test_a_folder_that_is_no_export_is_refused_and_a_run_folder_is_known(
        self, run: Any, store: RunStore, pictures: Path
    ) -> None:
        assert "wanted the folder of one network" in run(predict, pictures, pictures)[2]
        assert "name one of its exports" in run(predict, store.uri, pictures)[2]
        runs = Path(store.uri).parent
        said = run(predict, runs, pictures)[2]
        assert f"it holds runs ({Path(store.uri).name}" in said
        assert "/exports/ARCHITECTURE" in said

    def test_a_missing_file_of_the_export_is_named_with_the_other_way(
        self, run: Any, exported: Path, pictures: Path, tmp_path: Path
    ) -> None:
        for name, how, hint in (
            ("model.py", (), "try --with onnx"),
            ("model.onnx", ("--onnx",), "go without --with onnx"),
            ("model.int8.onnx", ("--with", "int8"), "go without --with int8"),
        ):
            shutil.copytree(exported, tmp_path / name)
            (tmp_path / name / name).unlink()
            code, _, errors = run(predict, tmp_path / name, pictures, *how)

            assert code == 2
            assert f"it has no {name}; {hint}" in errors

    @pytest.mark.parametrize(
        ("name", "left", "message"),
        [
            ("weights.safetensors", None, "it has no weights.safetensors; launch/export.py RUN"),
            ("weights.safetensors", 0.5, "cannot be loaded (SafetensorError: "),
            ("model.py", 0, "cannot be loaded (AttributeError: "),
            ("model.py", 0.9, "cannot be loaded ("),
            ("config.json", "[]", "config.json is damaged"),
            ("config.json", '{"bytes": []}', "config.json is damaged"),
        ],
    )
    def test_an_export_that_is_not_whole_and_does_not_say_how_long_it_was_gets_a_sentence(
        self,
        name: str,
        left: float | str | None,
        message: str,
        run: Any,
        tmp_path: Path,
        store: RunStore,
    ) -> None:
        folder = Folder.create(str(tmp_path))
        exports_of(store, SPACE, None, with_onnx=False, folder=folder, prefix="").make(
            store.rows("outcomes")[0]
        )
        (export_folder,) = tmp_path.iterdir()
        config = json.loads((export_folder / "config.json").read_text())
        del config["bytes"]
        (export_folder / "config.json").write_text(json.dumps(config))
        path = export_folder / name
        whole = path.read_bytes()
        path.unlink()
        if isinstance(left, str):
            path.write_text(left)
        elif left is not None:
            path.write_bytes(whole[: int(left * len(whole))])
        code, _, errors = run(predict, export_folder, tmp_path / "image.png")

        assert code == 2
        assert message in errors
        assert errors.count("\n") == 1

    def test_an_onnx_file_that_is_cut_off_gets_a_sentence(
        self, run: Any, exported: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(exported, folder := tmp_path / "export")
        (folder / "config.json").write_text("{}")
        (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-99])
        code, _, errors = run(predict, folder, tmp_path / "image.png", "--onnx")

        assert code == 2
        assert "model.onnx and what it reads cannot be loaded (" in errors
        assert errors.count("\n") == 1


class TestInt8:
    def test_how_much_may_be_lost_is_a_flag_over_what_the_run_recorded(
        self, run: Any, tmp_path: Path
    ) -> None:
        store = build_run(
            str(tmp_path / "run"), SPACE, [FIRST], data="/gone", export=ExportSettings(max_drop=0.5)
        )
        code, _, errors = run(export, store.uri, "--export.max-drop", "2")
        commands = [export.parse([store.uri, *flags]) for flags in ([], ["--export.max-drop", "0"])]

        assert code == 2
        assert "--export.max-drop: got 2.0, wanted a number in [0, 1]" in errors
        assert [command.export.max_drop for command in commands] == [0.5, 0.0]
        assert not export.parse([store.uri, "--export.no-int8"]).export.int8

    def test_without_the_images_of_the_run_it_is_left_out_unless_nobody_wants_it(
        self, tmp_path: Path
    ) -> None:
        pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
        space = build_space("RN")
        store = build_run(str(tmp_path / "run"), space, ["0-2"])
        (outcome,) = store.rows("outcomes")
        unwanted = exports_of(store, space, None, settings=ExportSettings(int8=False))
        (sentence,) = exports_of(store, space, None).make(outcome)

        assert sentence == (
            "0-2: no model.int8.onnx, it needs the images of the run, which are not at hand"
        )
        assert not unwanted.is_made(outcome)
        assert unwanted.make(outcome) == []
        assert unwanted.is_made(outcome)
        assert not exports_of(store, space, None).is_made(outcome)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with parts of the images that the export was validated and tested on."""
    folder, dataset = tmp_path_factory.mktemp("labelled"), named_dataset()
    for part, images in (("val", dataset.val), ("test", dataset.test)):
        taken = images.take(np.arange(len(images)))
        for number, (pixels, label) in enumerate(zip(taken.pixels, taken.labels, strict=True)):
            place = folder / part / dataset.class_names[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[0]).save(place / f"{number}.png")
    return folder


def picture(folder: Path) -> None:
    """Write an image into a folder."""
    folder.mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(folder / "image.png")


class TestLabelled:
    @pytest.mark.parametrize("kind", ["module", "onnx", "int8"])
    def test_accuracy_and_confusion_are_those_of_the_test_part_counted_by_hand(
        self, kind: str, run: Any, exported: Path, labelled: Path
    ) -> None:
        flags = ("--labelled", "--with", kind)
        told = json.loads(run(predict, exported, labelled, *flags, "--json")[1])
        counted = np.zeros((3, 3), dtype=int)
        for at, name in enumerate(told["classes"]):
            folder = str(labelled / "test" / name)
            lines = run(predict, exported, folder, "--json", "--with", kind)[1].splitlines()
            for line in lines:
                best = json.loads(line)["classes"][0]["class"]
                counted[at, told["classes"].index(best)] += 1
        code, output, errors = run(predict, exported, labelled, *flags)

        assert told["confusion"] == counted.tolist()
        assert (told["part"], told["images"]) == ("test", counted.sum())
        assert told["accuracy"] == counted.trace() / counted.sum()
        assert told["interval"] == list(wilson(told["accuracy"], told["images"]))
        assert told["balanced_accuracy"] == pytest.approx(
            np.mean(counted.diagonal() / counted.sum(axis=1))
        )
        assert (code, errors) == (0, "")
        assert f"by {told['file']}: accuracy {told['accuracy']:.4f} (" in output
        assert output.startswith("part test; 24 images of other parts are passed over\n")

    def test_some_of_the_classes_are_enough_and_a_broken_image_is_passed_over(
        self, run: Any, exported: Path, labelled: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(labelled / "val" / "a|pipe", tmp_path / "a|pipe")
        (tmp_path / "a|pipe" / "broken.png").write_bytes(b"no image")
        code, output, errors = run(predict, exported, tmp_path, "--labelled")

        assert code == 0
        assert "of 8 images)" in output
        assert "broken.png: cannot be read (" in errors

    @pytest.mark.parametrize(("named", "warned"), [("digits", True), ("others", False)])
    def test_images_that_may_be_those_of_the_training_are_warned_of(
        self, named: str, warned: bool, run: Any, exported: Path, labelled: Path, tmp_path: Path
    ) -> None:
        """A folder of classes without parts, which the run has split itself."""
        shutil.copytree(labelled / "val", tmp_path / named)
        code, _, errors = run(predict, exported, tmp_path / named, "--labelled")

        assert code == 0
        assert ("trained on the accuracy is too high, so give others" in errors) == warned

    def test_more_than_twelve_classes_show_the_pairs_that_are_confused_most(self) -> None:
        names = tuple(f"class {number}" for number in range(13))
        labels = np.array([0, 0, 0, 1, 1, 2], dtype=np.int32)
        answers = np.array([5, 5, 0, 1, 3, 2], dtype=np.int32)
        with (console := Console(width=80, file=io.StringIO())).capture() as shown:
            LabelledAnswers(names, labels, answers, 0).show(console)

        assert shown.get().splitlines()[-2:] == [
            "class 0  class 5         2   3",
            "class 1  class 3         1   2",
        ]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (Path.exists, "no images in it"),
            (shutil.rmtree, "no such folder"),
            (lambda folder: picture(folder / "zebra"), "the export knows no class 'zebra'; wanted"),
            (picture, "lies in no class folder"),
        ],
    )
    def test_folders_that_tell_no_classes_of_the_export_are_refused_in_a_sentence(
        self, make: Any, message: str, run: Any, exported: Path, tmp_path: Path
    ) -> None:
        (folder := tmp_path / "given").mkdir()
        make(folder)
        code, output, errors = run(predict, exported, folder, "--labelled")

        assert (code, output) == (2, "")
        assert message in errors
        assert errors.count("\n") == 1


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return where a run folder may be made in an S3."""
    with storage() as found:
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": found.endpoint}).items():
            monkeypatch.setenv(name, value)
        yield f"s3://{BUCKET}/run"


def test_a_run_in_s3_is_exported_and_used_from_there(bucket: str, run: Any, pictures: Path) -> None:
    build_run(bucket, SPACE, [SECOND], data="/gone")
    code, output, errors = run(export, bucket, "--no-onnx")

    assert code == 0, errors
    assert output.splitlines()[-1] == f"{bucket}/exports/{SECOND}"
    code, output, errors = run(predict, f"{bucket}/exports/{SECOND}", pictures / "china.jpg")
    assert code == 0, errors
    assert str(pictures / "china.jpg") in output
