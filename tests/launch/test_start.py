"""Searches that begin from trained weights."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from raynas.settings.settings import Settings
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.rival_names import OF_START
from raynas.storage.run_store import RunStore
from raynas.training.starts.inheriting import SUPERNET
from raynas.training.starts.start import read_start
from tests.builders import shipped_space
from tests.data.samples import build_dataset, write_tree
from tests.exported import build_run, photographs
from tests.launch.scripts import TINY, InProcess, load_script
from tests.training.starts.conftest import random_network

search = load_script("search")
SPACE = shipped_space("small_mobile", identity=True)
SOURCE = "0-4-2-3-1-4"
FLAGS = (
    *(flag for flag in TINY if flag != "--no-export"),
    *("--trainings", "1", "--training-epochs", "1", "--retrain.epochs", "1"),
    *("--retrain.top-k", "1", "--rivals", "random", "--pretrain.batch", "8"),
    *("--method", "fair_saliency", "--pretrain.initialisation", "start", "--recipe", "None"),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a run of another task, whose network was trained on images of 16 pixels."""
    return Path(build_run(str(tmp_path / "source"), SPACE, [SOURCE], build_dataset(side=16)).uri)


@pytest.fixture
def few_photographs(tmp_path: Path) -> str:
    """Return a folder of 16 pieces of each of two photographs, 64 pixels wide."""
    return write_tree(
        tmp_path / "photographs",
        {
            f"class{label}": [_piece(each, n) for n in range(16)]
            for label, each in enumerate(photographs())
        },
    )


def _piece(image: Image.Image, number: int) -> Image.Image:
    left, top = 128 * (number % 4), 96 * (number // 4)
    return image.crop((left, top, left + 128, top + 128)).resize((64, 64))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.cluster
def test_a_run_begins_from_weights_keeps_them_and_goes_on_without_their_source(
    in_process: InProcess, source: Path, few_photographs: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ("--data", few_photographs, "--start", str(source), *FLAGS)
    end = in_process.run(run, *flags)
    assert end.code == 0, end.errors
    store = RunStore.open(str(run))
    start, facts = read_start(store), PlanFacts.from_json(store.rows("runs")[0]["plan"])

    assert f"start     {source} (the best network of a run), member {SOURCE}" in end.output
    assert str(start.architecture) == SOURCE
    assert store.has(SUPERNET)
    assert (tuple(facts.mean or ()), tuple(facts.std or ())) == start.normalisation
    assert {row["initialisation"] for row in store.rows("isometry")} == {"start"}
    (outcome,) = store.rows("outcomes")
    assert outcome["status"] == "finished"
    assert [row["status"] for row in store.rows("rivals")] == ["finished"]
    config = json.loads(store.read_bytes(f"exports/{outcome['architecture']}/config.json"))
    assert config["preprocessing"]["mean"] == list(facts.mean or ())

    weights = safetensors.torch.load(store.read_bytes(outcome["checkpoint"]))
    for path in (outcome["checkpoint"], outcome["checkpoint"].replace("models", "checkpoints")):
        store.delete(path)
    store.drop("outcomes", lambda _: True)
    shutil.rmtree(source)
    again = in_process.run(run, *flags, "--no-export")
    assert again.code == 0, again.errors
    trained = safetensors.torch.load(store.read_bytes(outcome["checkpoint"]))
    assert all(torch.equal(trained[name], each) for name, each in weights.items())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.cluster
def test_beside_a_run_s_winners_stands_what_a_person_makes_of_its_start_without_a_search(
    in_process: InProcess, few_photographs: str, tmp_path: Path
) -> None:
    weights, run = tmp_path / "small.pth", tmp_path / "run"
    torch.save(random_network("mobilenet_v3_small").state_dict(), weights)
    flags = (
        *(flag for flag in TINY if flag != "--no-export"),
        *("--data", few_photographs, "--space", "mobilenet_v3_small", "--start", str(weights)),
        *("--resolution", "48", "--max-macs", "2.5M", "--pretrain.epochs", "0"),
        *("--recipe", "None", "--retrain.top-k", "1"),
    )
    end = in_process.run(run, *flags)
    assert end.code == 0, end.errors
    store = RunStore.open(str(run))
    rows = {row["rival"]: row for row in store.rows("rivals")}
    facts = PlanFacts.from_json(store.rows("runs")[0]["plan"])

    assert tuple(facts.auto_rivals or ()) == (*OF_START, "random")
    assert {row["status"] for row in rows.values()} == {"finished"}
    assert {row["begun_from"] for row in rows.values()} == {"start"}
    over = [name for name, row in rows.items() if row["macs"] > 2_500_000]
    assert over == ["start"]
    assert f"rivals    start with {rows['start']['macs'] / 1e6:.3f}M MACs (" in end.output
    table = store.table("indicators", ["kind", "value"])
    assert set(table["kind"].to_pylist()) == {"score"}
    assert max(table["value"].to_pylist()) == 0.0 > min(table["value"].to_pylist())
    assert "every candidate is fitted to the features of the start" in end.output
    assert (
        "What each candidate adds to the score feature_error"
        in store.read_bytes("report.html").decode()
    )
    assert "the start itself, with" in end.output

    models = {name: store.read_bytes(row["checkpoint"]) for name, row in rows.items()}
    store.delete(rows["random"]["checkpoint"])  # of which the last checkpoint is there
    for kind in ("models", "checkpoints"):
        store.delete(rows["scaled_start"]["checkpoint"].replace("models", kind))
    best = {"start": 1.0, "narrow_start": 0.99}
    better = [row | {"val_accuracy": best.get(name, 0.0)} for name, row in rows.items()]
    store.append("rivals", better, part="rivals")
    weights.unlink()
    again = in_process.run(run, *flags)
    assert again.code == 0, again.errors
    assert "every candidate is fitted" not in again.output  # it was recorded
    for name, row in rows.items():
        assert store.read_bytes(row["checkpoint"]) == models[name], name
    config = json.loads(store.read_bytes("exports/rival-narrow_start/config.json"))
    assert config["checks"]["module"] < 1e-5
    assert not store.has("exports/rival-start/config.json")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--start", "no_such_weights"), "neither a network of a package or of torchvision"),
        (("--start", "weights.pt"), "there is no such file"),
        (("--space", "darts_cells_small", "--start", "mobilenet_v2"), "is a space of cells"),
        (("--pretrain.initialisation", "start"), "add --start SOURCE"),
        (
            ("--start", "mobilenet_v2", "--pretrain.initialisation", "start"),
            "start with --method feature_error: no supernet is pretrained",
        ),
        (("--method", "feature_error"), "--search.score feature_error: it is read off trained"),
        (("--rivals", "narrow_start,start"), "--rivals narrow_start: no trained weights are named"),
        (
            ("--space", "darts_cells_small", "--start", "mobilenet_v2", "--rivals", "scaled_start"),
            "is a space of cells",
        ),
        (("--retrain.teacher", "start"), "the run begins from no trained network; add --start"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_a_sentence_and_nothing_is_made(
    flags: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "darts_cells_small" in flags:
        flags = (*flags, "--method", "random")
    code = search.main(["--run", str(tmp_path / "run"), *flags])
    errors = capsys.readouterr().err

    assert code == 2
    assert errors.startswith("error: ")
    assert said in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_runs_that_begin_from_weights_read_them_unless_a_method_is_named() -> None:
    asked = {
        (): Settings().method,
        ("--start", "mobilenet_v2"): "feature_error",
        ("--start", "mobilenet_v2", "--method", "naswot"): "naswot",
        ("--start", "None"): Settings().method,
    }

    for flags, method in asked.items():
        settings = search.parse(flags).settings
        assert settings.method == method
        assert settings.search.reads_start == (method == "feature_error")


def test_a_network_s_name_says_which_space_is_searched_unless_one_is_named() -> None:
    asked = {
        ("--start", "mobilenet_v2"): "mobilenet_v2_imagenet",
        ("--start", "timm/mobilenetv2_100"): "mobilenet_v2_imagenet",
        ("--start", "efficientnet_lite0", "--space", "small_mobile"): "small_mobile",
        ("--start", "weights.pt"): Settings().space,
        (): Settings().space,
    }

    for flags, space in asked.items():
        assert search.parse(flags).settings.space == space


def test_trainings_that_begin_from_weights_are_fine_tuned_unless_a_recipe_is_named() -> None:
    tuned = search.parse(["--start", "mobilenet_v2"]).settings
    named = search.parse(["--start", "mobilenet_v2", "--recipe", "modern"]).settings
    plain = search.parse(["--start", "mobilenet_v2", "--recipe", "None"]).settings

    assert tuned.recipe == "fine_tuning"
    assert tuned.retrain.optimiser == "adamw"
    assert named.recipe == "modern"
    assert (plain.recipe, plain.retrain) == (None, Settings().retrain)
    assert search.parse([]).settings.recipe is None
    assert search.parse(["--start", "None"]).settings.recipe is None


def test_the_three_flags_that_take_something_over_name_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        search.main(["--help"])
    shown = capsys.readouterr().out
    words = " ".join(shown.replace("│", " ").split())

    for flag, others in {
        "--start {None}|STR": ("--pretrained", "--from"),
        "--pretrained {None}|STR": ("--start", "--from"),
        "--from {None}|STR": ("--pretrained", "--start"),
    }.items():
        told = words.split(flag)[1].split("(default")[0]
        assert all(other in told for other in others), (flag, told)
