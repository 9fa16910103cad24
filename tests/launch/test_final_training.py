"""ImageNet's folders, train/ and val/: choices on a slice of train/, and all of it in the end."""

import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from PIL import Image

from raynas.api import load_network
from raynas.recording.rows import run_row
from raynas.seeds import VERSION
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from tests.data.samples import build_images, write_tree
from tests.launch.scripts import (
    TINY,
    Ended,
    InProcess,
    Launcher,
    load_script,
    results_of,
    rows_of,
    running,
    wait_until,
)

pytestmark = pytest.mark.cluster

TRAIN, VAL = 240, 60
CHOSEN_ON = 36  # 0.15 of each class of train/
FLAGS = (
    *[flag for flag in TINY if flag != "--no-export"],
    *shlex.split("--search exact --pretrain.epochs 0.5 --retrain.on all"),
)


@pytest.fixture(scope="session")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images that can be learned, in the layout of ImageNet."""
    root = tmp_path_factory.mktemp("imagenet") / "images"
    for part, count, seed in (("train", TRAIN, 0), ("val", VAL, 1)):
        images = build_images(count, 8, 1, 3, seed)
        pictures = {
            f"class{label}": [Image.fromarray(p[0]) for p in images.pixels[images.labels == label]]
            for label in np.unique(images.labels)
        }
        write_tree(root / part, pictures)
    return root


@pytest.fixture(scope="module")
def ranked(
    in_process: InProcess, imagenet: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Ended]:
    """Return a run that trains the better of two networks once more."""
    run = tmp_path_factory.mktemp("runs") / "ranked"
    end = in_process.run(run, "--data", str(imagenet), *FLAGS)
    assert end.code == 0, end.errors
    return run, end


def trained(run: Path, trained_on: str) -> list[dict[str, Any]]:
    """Return the outcomes of trainings on some images."""
    return [row for row in rows_of(run, "outcomes") if row["trained_on"] == trained_on]


@pytest.mark.slow
class TestRanked:
    def test_the_plan_says_which_part_serves_for_what(self, ranked: tuple[Path, Ended]) -> None:
        _, end = ranked

        assert "204 training, 36 validation, 60 test images" in end.output
        assert (
            "val/ is kept for the final test; choices are made on 36 images cut off train/"
            in end.output
        )
        assert "then the first-ranked one once more on all 240 training and validation images" in (
            end.output
        )

    def test_the_first_ranked_network_has_a_row_of_its_own_for_its_training_on_all(
        self, ranked: tuple[Path, Ended]
    ) -> None:
        run, _ = ranked
        first, second = sorted(trained(run, "train"), key=lambda row: row["rank"])
        (final,) = trained(run, "all")

        assert first["val_accuracy"] >= second["val_accuracy"]
        assert (first["rank"], second["rank"], final["rank"]) == (1, 2, 1)
        assert final["architecture"] == first["architecture"]
        assert final["score"] == first["score"]
        assert final["val_accuracy"] is final["val_balanced_accuracy"] is None
        assert final["test_images"] == VAL
        assert 0 < final["test_accuracy"] <= 1
        assert final["checkpoint"] == f"models/{first['architecture']}-all.safetensors"
        assert rows_of(run, "outcomes")[0] == final
        epochs = [row for row in rows_of(run, "trials") if row["trained_on"] == "all"]
        assert [row["epoch"] for row in epochs] == [1, 2]
        assert {row["val_accuracy"] for row in epochs} == {None}
        assert len(rows_of(run, "trials")) == 6

    def test_it_is_what_is_exported_shown_first_and_loaded(
        self, ranked: tuple[Path, Ended]
    ) -> None:
        run, end = ranked
        (final,) = trained(run, "all")
        architecture = final["architecture"]
        config = json.loads((run / "exports" / architecture / "config.json").read_text())
        card = (run / "exports" / architecture / "README.md").read_text()
        page = (run / "report.html").read_text()

        assert sorted(path.name for path in (run / "exports").iterdir()) == sorted(
            row["architecture"] for row in trained(run, "train")
        )
        assert config["accuracy"]["test"]["accuracy"] == final["test_accuracy"]
        assert "validation" not in config["accuracy"]
        assert (config["found_by"]["trained_on"], config["found_by"]["networks"]) == ("all", 2)
        assert "on all 240 training and validation images" in card
        assert f"{100 * final['test_accuracy']:.2f}" in page
        assert "all training and validation images" in page
        rows = [line for line in end.output.splitlines() if architecture in line]
        assert f"{final['test_accuracy']:.4f}" in "".join(rows)
        weights = safetensors.torch.load(RunStore(str(run)).read_bytes(final["checkpoint"]))
        loaded = load_network(str(run)).state_dict()
        assert all(bool((loaded[name] == value).all()) for name, value in weights.items())


@pytest.mark.slow
def test_one_network_is_trained_once_on_all_images(
    in_process: InProcess, imagenet: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    end = in_process.run(run, "--data", str(imagenet), *FLAGS, "--retrain.top-k", "1")
    (outcome,) = rows_of(run, "outcomes")

    assert end.code == 0, end.errors
    assert "on all 240 training and validation images, since there is nothing to choose" in (
        end.output
    )
    assert (outcome["trained_on"], outcome["val_accuracy"]) == ("all", None)
    assert outcome["test_accuracy"] is not None
    assert len(rows_of(run, "trials")) == 2
    assert (run / "exports" / outcome["architecture"] / "config.json").is_file()
    again = in_process.run(run, "--data", str(imagenet), *FLAGS, "--retrain.top-k", "1")
    assert (again.code, len(rows_of(run, "trials"))) == (0, 2)


def test_a_run_that_made_choices_on_val_is_not_continued(
    in_process: InProcess, imagenet: Path, tmp_path: Path
) -> None:
    """An older raynas cut its test off the training images, and recorded nothing of val/."""
    run, flags = tmp_path / "run", ("--data", str(imagenet), *TINY)
    facts = {"train": 192, "val": 60, "test": 48, "random_numbers": VERSION}
    row = run_row("run", load_script("search").parse(flags).settings, PlanFacts())
    older = row | {"plan": json.dumps(facts)}
    RunStore.create(str(run)).append("runs", [older], "run")
    end = in_process.run(run, *flags)

    assert end.code == 2
    assert (
        "run folder: its val/ served for choices when it began, and is kept for the test now; "
        "choose another --run" in end.errors
    )


@pytest.mark.slow
def test_a_training_on_all_images_that_is_killed_goes_on_where_it_was(
    launcher: Launcher, ranked: tuple[Path, Ended], imagenet: Path, tmp_path: Path
) -> None:
    run, flags = tmp_path / "run", ("--data", str(imagenet), *FLAGS, "--no-export")
    store = RunStore(str(run))

    def seconds() -> list[float]:
        rows = sorted(store.rows("trials"), key=lambda row: row["epoch"])
        return [row["seconds"] for row in rows if row["trained_on"] == "all"]

    with running(launcher.start(run, *flags)) as process:
        wait_until(seconds, process)
        os.kill(process.pid, signal.SIGKILL)
    before = seconds()
    assert store.rows("runs")[0]["finished"] is None
    end = launcher.run(run, *flags)

    assert end.code == 0, end.errors
    assert seconds()[: len(before)] == before  # not trained again
    assert results_of(run) == results_of(ranked[0])
