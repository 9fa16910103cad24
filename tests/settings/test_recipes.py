"""Recipes: TOML files of how networks are trained, over what a method says."""

from dataclasses import replace
from pathlib import Path

import pytest

from raynas.errors import UserError
from raynas.settings.methods import load_method
from raynas.settings.recipes import load_recipe, recipes_beside
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings, differences
from raynas.settings.stage_inputs import decides
from tests.builders import ROOT

METHODS = ROOT / "launch" / "settings"
RECIPES = recipes_beside(METHODS)
NAMES = sorted(path.stem for path in RECIPES.glob("*.toml"))


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_recipe_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, "[retrain]\nmixup = 0.2\n[images]\nlighting = 0.1\n")
    method = load_method("spos", METHODS)
    found = load_recipe(path, Path("elsewhere"), method)
    images = replace(method.images, lighting=0.1)

    assert found == replace(
        method, recipe=path, retrain=replace(method.retrain, mixup=0.2), images=images
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pretrain]\nbatch = 3\n", r"mine.toml: got pretrain, but a recipe holds \[retrain\]"),
        ('seed = 1\nspace = "x"\n', "got seed, space, but"),
        ("[retrain]\nmixupp = 0.2\n", "no setting 'mixupp'; did you mean mixup"),
        ('[retrain]\naugment = "much"\n', "augment = 'much' is not of type"),
        ("[retrain]\nwarmup-epochs = 99.0\n", "--retrain.warmup-epochs 99 with --retrain.epochs"),
    ],
)
def test_what_is_no_setting_of_a_training_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        load_recipe(write(tmp_path, text), tmp_path, Settings())


def test_a_missing_recipe_names_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"recipe 'moder': no such file .* did you mean modern"):
        load_recipe("moder", RECIPES, Settings())


def test_a_method_names_no_recipe_whose_numbers_it_would_not_have(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mine.toml: got a recipe, .* by --recipe"):
        load_method(write(tmp_path, 'recipe = "modern"\n'), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_a_shipped_recipe_has_its_source_beside_it(name: str) -> None:
    lines = (RECIPES / f"{name}.toml").read_text().splitlines()
    numbers = [line for line in lines if line and not line.startswith(("#", "["))]

    assert len(numbers) > 10
    assert all(len(line.partition("#")[2]) > 2 for line in numbers)


def test_the_recipe_of_the_papers_is_as_published() -> None:
    found = load_recipe("papers", RECIPES, Settings()).retrain

    assert (found.epochs, found.batch, found.learning_rate) == (240, 1024, 0.5)
    assert (found.optimiser, found.momentum, found.nesterov) == ("sgd", 0.9, False)
    assert (found.schedule, found.warmup_epochs) == ("linear", 0.0)
    assert (found.weight_decay, found.label_smoothing, found.clip) == (4e-5, 0.1, 5.0)
    assert (found.dropout, found.ema_decay) == (0.2, 0.0)


def test_the_modern_recipe_is_torchvision_s_but_for_what_it_says_is_scaled() -> None:
    found = load_recipe("modern", RECIPES, Settings()).retrain

    assert (found.augment, found.mixup, found.cutmix) == ("trivial", 0.2, 1.0)
    assert (found.random_erasing, found.label_smoothing) == (0.1, 0.1)
    assert (found.schedule, found.warmup_epochs, found.decayed) == ("cosine", 5.0, "weights")
    assert found.learning_rate / found.batch == 0.5 / 1024
    assert found.ema_decay > 0
    assert found.epochs > RetrainSettings().epochs


def test_the_recipe_of_fine_tuning_is_short_and_gentle() -> None:
    found = load_recipe("fine_tuning", RECIPES, Settings())
    retrain, usual = found.retrain, RetrainSettings()

    assert retrain.epochs < usual.epochs
    assert 0 < retrain.warmup_epochs < 1 < retrain.epochs
    assert (retrain.optimiser, retrain.inherited_factor) == ("adamw", 1.0)
    assert retrain.learning_rate < usual.learning_rate
    assert (retrain.mixup, retrain.cutmix, retrain.augment) == (0.0, 0.0, "none")
    assert found.images.crop_area > Settings().images.crop_area


def test_a_recipe_s_name_decides_nothing_but_its_numbers_do() -> None:
    parts = ("pretraining", "scores", "checks", "trainings", "searches")
    found = load_recipe("modern", RECIPES, Settings())

    assert not any(decides(part, "recipe") for part in parts)
    assert all(decides(part, "retrain.mixup") for part in ("checks", "trainings"))
    assert not decides("pretraining", "retrain.mixup")
    assert decides("pretraining", "images.lighting")
    assert "recipe: recorded None, now 'modern'" in differences(Settings().to_json(), found)
    assert found.digest != Settings().digest
