"""Settings that follow from the images: worked out, recorded, and known again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import UserError
from raynas.settings.following import (
    as_asked,
    as_recorded,
    by_images,
    what_follows,
    with_length,
)
from raynas.settings.methods import load_method
from raynas.settings.recipes import load_recipe
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings, differences
from tests.builders import ROOT


def retrained(**settings: float | None) -> Settings:
    return Settings(retrain=RetrainSettings(**settings))  # type: ignore[arg-type]


@given(st.integers(1, 10**7), st.integers(1, 10**6))
def test_the_fewest_epochs_are_chosen_that_show_the_images_asked_for(
    seen: int, images: int
) -> None:
    epochs = by_images(retrained(seen=seen), images).retrain.epochs

    assert epochs * images >= seen
    assert epochs == 1 or (epochs - 1) * images < seen


def test_without_images_to_see_the_epochs_are_as_asked_for() -> None:
    assert by_images(retrained(epochs=7), 100) == retrained(epochs=7)


@given(st.integers(0, 2000), st.integers(1, 10**5), st.integers(2, 256), st.integers(1, 40))
def test_few_images_are_passed_over_until_there_are_the_least_steps_and_no_more_often(
    steps: int, images: int, batch: int, epochs: int
) -> None:
    settings = retrained(least_steps=steps, batch=batch, epochs=epochs)
    found, per_epoch = by_images(settings, images).retrain.epochs, -(-images // batch)

    assert found >= epochs
    assert found * per_epoch >= steps
    assert found == epochs or (found - 1) * per_epoch < steps


def test_a_length_that_somebody_names_takes_the_place_of_the_least_steps() -> None:
    settings = retrained(least_steps=400, epochs=5)

    for name in ("epochs", "seen"):
        assert with_length(settings, [name], "flags").retrain.least_steps == 0
        assert with_length(settings, [name, "least-steps"], "flags").retrain.least_steps == 400
    assert with_length(settings, [], "flags") == settings


def test_fine_tuning_takes_five_epochs_of_some_thousand_images_and_more_of_fewer() -> None:
    recipe = load_recipe("fine_tuning", ROOT / "launch" / "recipes", Settings())

    epochs = {images: by_images(recipe, images).retrain.epochs for images in (100, 2714, 50_000)}
    assert epochs == {100: 100, 2714: 5, 50_000: 5}


def test_epochs_that_all_are_warm_up_are_refused_by_the_images_they_come_from() -> None:
    settings = retrained(seen=3000, warmup_epochs=2, epochs=1)

    assert by_images(settings, 1000).retrain.epochs == 3
    with pytest.raises(UserError) as refusal:
        by_images(settings, 3068)
    assert str(refusal.value) == (
        "--retrain.seen 3,000: of 3,068 training images these are no more epochs (1) than "
        "--retrain.warmup-epochs 2; raise it, or lower the warm-up"
    )


@pytest.mark.parametrize("seen", [0, -5])
def test_no_images_at_all_are_refused(seen: int) -> None:
    with pytest.raises(UserError, match=r"^--retrain.seen: got"):
        retrained(seen=seen)


def test_epochs_that_somebody_names_count_more_than_images_seen_of_somewhere_else(
    tmp_path: Path,
) -> None:
    settings = retrained(seen=100_000)

    assert with_length(settings, ["epochs"], "flags").retrain.seen is None
    assert with_length(settings, ["batch"], "flags") == settings
    with pytest.raises(UserError, match=r"^flags: got epochs and seen of retrain"):
        with_length(settings, ["seen", "epochs"], "flags")
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[retrain]\nepochs = 4\n", encoding="utf-8")
    found = load_recipe(str(recipe), tmp_path, settings).retrain
    assert (found.epochs, found.seen) == (4, None)
    recipe.write_text('[retrain]\nepochs = 4\nseen = "100k"\n', encoding="utf-8")
    for load in (
        lambda: load_recipe(str(recipe), tmp_path, Settings()),
        lambda: load_method(str(recipe), tmp_path),
    ):
        with pytest.raises(UserError, match=r"mine.toml: got epochs and seen of retrain"):
            load()
    recipe.write_text('[retrain]\nseen = "100k"\n', encoding="utf-8")
    assert load_recipe(str(recipe), tmp_path, Settings()).retrain.seen == 100_000


@given(
    epochs=st.integers(1, 30),
    top_k=st.integers(1, 3),
    trainings=st.none() | st.integers(0, 32),
    pretraining=st.floats(0.5, 20),
)
def test_what_a_run_worked_out_is_found_again_by_the_same_command_and_by_no_other(
    epochs: int, top_k: int, trainings: int | None, pretraining: float
) -> None:
    asked = Settings(budget="2h")
    retrain = replace(asked.retrain, epochs=epochs, top_k=top_k)
    pretrain = replace(asked.pretrain, epochs=pretraining)
    settings = replace(asked, retrain=retrain, trainings=trainings, pretrain=pretrain)
    follows = json.loads(json.dumps(what_follows(asked, settings)))
    recorded = settings.to_json()

    assert differences(as_asked(recorded, follows), asked) == []
    assert as_recorded(asked, recorded, follows) == settings
    other = replace(asked, retrain=replace(asked.retrain, epochs=99))
    (line,) = differences(as_asked(recorded, follows), other)
    assert line == f"retrain.epochs: recorded {asked.retrain.epochs}, now 99"


def test_what_decides_nothing_is_that_of_the_command_that_continues() -> None:
    asked = Settings(budget="2h")
    settings = replace(asked, retrain=replace(asked.retrain, epochs=3))
    now = replace(asked, retrain=replace(asked.retrain, max_failures=7))
    found = as_recorded(now, settings.to_json(), what_follows(asked, settings))

    assert (found.retrain.epochs, found.retrain.max_failures) == (3, 7)


def test_a_run_that_worked_out_nothing_is_as_it_was_asked_for() -> None:
    settings = Settings(seed=3)

    assert what_follows(settings, settings) == {}
    assert json.loads(as_asked(settings.to_json(), {})) == json.loads(settings.to_json())
    assert as_recorded(settings, settings.to_json(), {}) == settings
