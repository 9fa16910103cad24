"""The methods in launch/settings/imagenet: they load, and their numbers are the published ones."""

import dataclasses

import numpy as np
import pytest

from raynas.nets.cost import cost_table
from raynas.search.constrained_sampling import LegalSampler
from raynas.settings.compatibility import refuse_unfit
from raynas.settings.deciding import flat
from raynas.settings.methods import load_method
from raynas.settings.settings import Settings
from raynas.settings.toml_files import names_in
from raynas.training.gradients import count_trained
from raynas.training.trained_networks import searched_space
from tests.builders import ROOT, shipped_space
from tests.settings.published import IMAGENET, METHODS

NAMES = [f"imagenet/{name}" for name in IMAGENET]


def test_every_method_of_the_folder_has_published_numbers_and_a_row_on_their_page() -> None:
    page = (ROOT / ".docs" / "pages" / "presets.md").read_text()
    shipped = [name for name in names_in(METHODS) if "/" in name]

    assert shipped == sorted(NAMES)
    assert [name for name in shipped if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_method_s_numbers_are_those_that_were_published(name: str) -> None:
    settings = load_method(name, METHODS)
    found = flat(dataclasses.asdict(settings))
    published = IMAGENET[name.removeprefix("imagenet/")]

    assert {flag: found[flag] for flag in published} == published
    assert settings.method == name


@pytest.mark.parametrize("name", NAMES)
def test_a_method_names_no_setting_that_was_not_published_or_said_to_be_raynas_own(
    name: str,
) -> None:
    changed = (
        flat(dataclasses.asdict(load_method(name, METHODS))).items()
        - flat(dataclasses.asdict(Settings())).items()
    )
    unpublished = {flag for flag, _ in changed} - set(IMAGENET[name.removeprefix("imagenet/")])

    assert {flag for flag in unpublished if not flag.startswith("retrain.")} <= {
        "method",
        "rivals",
        "trainings",
        "images.lighting",
        "images.resolution",
        "images.crop",
        "pretrain.shards",
        "pretrain.initialisation",
        "pretrain.layer-indicator",
        "pretrain.label-smoothing",
        "pretrain.clip",
        "pretrain.checkpoint-seconds",
        "search.recalibration-batches",
        "search.recalibration-batch",
        "search.score-images",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_how_many_numbers_learn(name: str) -> None:
    page = (ROOT / ".docs" / "pages" / "presets.md").read_text()
    settings = load_method(name, METHODS)
    space = searched_space(shipped_space(settings.space), settings.pretrain.layer_indicator)

    assert f"{count_trained(space, settings.pretrain, 3, 1000):,}" in page


@pytest.mark.parametrize("name", NAMES)
def test_a_method_fits_its_space_in_which_networks_keep_its_limit(name: str) -> None:
    settings = load_method(name, METHODS)
    space = searched_space(shipped_space(settings.space), settings.pretrain.layer_indicator)
    refuse_unfit(space, settings)
    costs = cost_table(space, 224, 3, 1000)

    drawn = LegalSampler(costs, settings.limits).draw(np.random.default_rng(0))

    assert drawn is not None
    assert settings.limits.allow(costs.of(drawn))
