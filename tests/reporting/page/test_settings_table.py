"""Settings beside those of the method, and the command that gives them again."""

import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from raynas.reporting.page.run_snapshot import take_snapshot
from raynas.reporting.page.settings_table import SettingsPart, settings_part
from raynas.settings.following import what_follows
from raynas.settings.methods import load_method
from raynas.settings.recipes import load_recipe, recipes_beside
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from tests.launch.scripts import load_script
from tests.reporting.page.runs import make_run

METHODS = Path(__file__).parents[3] / "launch" / "settings"
SPOS = load_method("spos", METHODS)


def part_of(folder: Path, settings: Settings, methods: Path = METHODS) -> SettingsPart:
    return settings_part(take_snapshot(make_run(folder, settings=settings), methods))


def changed(part: SettingsPart) -> list[list[str]]:
    return [[cell.text for cell in row] for row in part.changed.rows]


def test_what_differs_from_the_method_s_own_defaults_comes_first(tmp_path: Path) -> None:
    values = vars(SPOS) | {"max_macs": 47_000, "retrain": RetrainSettings(epochs=3)}
    part = part_of(tmp_path, Settings(**values))
    retrain = str(SPOS.retrain.epochs)

    assert ["max-macs", "47,000", "unset"] in changed(part)
    assert ["retrain.epochs", "3", retrain] in changed(part)
    assert "the method spos" in part.sentence
    assert not {"pretrain.trainable", "search.score"} & {row[0] for row in changed(part)}


def test_the_command_gives_the_same_settings_to_the_same_folder(tmp_path: Path) -> None:
    settings = Settings(**vars(SPOS) | {"max_macs": 47_000, "data": "my images/it's", "seed": 3})
    words = shlex.split(part_of(tmp_path, settings).command)
    command = load_script("search").parse(words[2:])

    assert words[:2] == ["python", "launch/search.py"]
    assert command.settings == settings
    assert command.run == str(tmp_path / "run")


@pytest.mark.parametrize(
    "flags",
    [
        "--start efficientnet_lite0",
        "--start efficientnet_lite0 --method fair_saliency",
        "--start efficientnet_lite0 --recipe None --max-macs 66M",
        "--start efficientnet_lite0 --recipe modern --method spos",
    ],
)
def test_the_command_of_a_run_that_begins_from_weights_gives_its_method_and_recipe_again(
    tmp_path: Path, flags: str
) -> None:
    search = load_script("search")
    settings = search.parse(flags.split()).settings
    words = shlex.split(part_of(tmp_path, settings).command)

    assert search.parse(words[2:]).settings == settings


def test_the_command_has_units_and_says_what_is_false(tmp_path: Path) -> None:
    darts = load_method("prdarts", METHODS)
    changes = {"differentiable": dataclasses.replace(darts.differentiable, nesterov=False)}
    changes["pretrain"] = dataclasses.replace(darts.pretrain, recompute=True)
    latency = {"max_latency": 12_500_000, "latency_table": "my table.parquet"}
    settings = Settings(**vars(darts) | changes | latency)
    words = shlex.split(part_of(tmp_path, settings).command)

    assert {"12500000ns", "--differentiable.no-nesterov", "--pretrain.recompute"} <= set(words)
    assert load_script("search").parse(words[2:]).settings == settings


def test_the_command_leaves_out_a_setting_that_is_gone(tmp_path: Path) -> None:
    store = make_run(tmp_path, settings=SPOS)
    recorded = json.loads(SPOS.to_json()) | {"of_old": 1}
    store.append("runs", [store.rows("runs")[0] | {"settings": json.dumps(recorded)}], "rows")

    assert "of-old" not in settings_part(take_snapshot(store, METHODS)).command


def test_without_the_method_s_file_raynas_own_defaults_stand_beside(tmp_path: Path) -> None:
    part = part_of(tmp_path, SPOS, tmp_path / "nowhere")

    assert "since the file of its method is not here" in part.sentence
    assert "search.score" in {row[0] for row in changed(part)}


def test_what_a_recipe_says_is_no_difference_and_the_command_names_it(tmp_path: Path) -> None:
    recipe = load_recipe("modern", recipes_beside(METHODS), SPOS)
    settings = dataclasses.replace(recipe, retrain=dataclasses.replace(recipe.retrain, cutout=4))
    part = part_of(tmp_path, settings)
    words = shlex.split(part.command)

    assert changed(part) == [["retrain.cutout", "4", "0"]]
    assert part.sentence.endswith("the defaults of the method spos, with the recipe modern.")
    assert words[words.index("--recipe") :][:2] == ["--recipe", "modern"]
    assert load_script("search").parse(words[2:]).settings == settings


def test_without_the_recipe_s_file_its_numbers_differ_from_the_method_s(tmp_path: Path) -> None:
    settings = load_recipe("modern", recipes_beside(METHODS), SPOS)
    part = part_of(tmp_path, dataclasses.replace(settings, recipe="gone"))

    assert "without the recipe gone, whose file is not here" in part.sentence
    assert "retrain.mixup" in {row[0] for row in changed(part)}


def test_what_a_budget_and_the_images_made_of_settings_stands_beside_what_the_command_asks_for(
    tmp_path: Path,
) -> None:
    retrain = dataclasses.replace(SPOS.retrain, seen=9000)
    asked = dataclasses.replace(SPOS, budget="2h", retrain=retrain)
    shorter = dataclasses.replace(retrain, epochs=7, top_k=2)
    settings = dataclasses.replace(asked, retrain=shorter, trainings=9)
    plan = {"asked": what_follows(asked, settings)}
    part = settings_part(take_snapshot(make_run(tmp_path, settings=settings, plan=plan), METHODS))

    epochs, top_k = SPOS.retrain.epochs, SPOS.retrain.top_k
    assert ["retrain.epochs", f"7 (worked out; {epochs} asked for)", f"{epochs}"] in changed(part)
    assert ["retrain.top-k", f"2 (worked out; {top_k} asked for)", f"{top_k}"] in changed(part)
    assert ["trainings", "9 (worked out; unset asked for)", "unset"] in changed(part)
    words = shlex.split(part.command)
    assert "--budget 2h --retrain.seen 9000" in part.command
    assert load_script("search").parse(words[2:]).settings == asked


def test_a_run_of_the_defaults_says_that(tmp_path: Path) -> None:
    part = part_of(tmp_path, load_method("fair_saliency", METHODS))

    assert part.sentence == "All are defaults of the method fair_saliency."
    assert not changed(part)
