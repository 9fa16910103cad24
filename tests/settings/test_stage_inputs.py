"""What decides which part of a run: every setting has been thought about, none is forgotten."""

import json
from collections import Counter
from typing import get_args

import pytest

from raynas.settings.deciding import FREE, flat
from raynas.settings.settings import Settings
from raynas.settings.stage_inputs import GROUPS, Part, decides, differing_plans
from raynas.storage.plan_facts import PlanFacts

NAMES = frozenset(flat(json.loads(Settings().to_json())))
PARTS: tuple[Part, ...] = get_args(Part)


def test_every_setting_stands_in_one_group_or_decides_no_result() -> None:
    grouped = Counter(name for names in (*GROUPS.values(), FREE) for name in names)

    assert set(grouped) == NAMES  # one that is missing here: put it into a group of deciding.py
    assert set(grouped.values()) == {1}


@pytest.mark.parametrize("part", PARTS)
def test_a_setting_that_nobody_has_thought_about_decides_every_part(part: Part) -> None:
    assert decides(part, "search.brand-new")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("seed", set(PARTS)),
        ("images.crop", set(PARTS)),
        ("pretrain.epochs", {"pretraining", "scores"}),
        ("pretrain.initialisation", {"pretraining", "scores", "checks"}),
        ("pretrain.layer-indicator", {"pretraining", "features", "scores"}),
        ("search.score", {"features", "scores"}),
        ("search.score-images", {"scores"}),
        ("training-epochs", {"checks"}),
        ("retrain.epochs", {"trainings"}),
        ("retrain.batch", {"checks", "trainings"}),
        ("retrain.cpus-per-trial", {"checks", "trainings", "searches"}),
        ("differentiable.batch", {"searches"}),
        ("differentiable.seeds", set()),
        ("max-macs", set()),
        ("min-macs", set()),
        ("min-params", set()),
        ("recipe", set()),
        ("retrain.mixup", {"checks", "trainings"}),
        ("images.lighting", set(PARTS)),
    ],
)
def test_a_setting_decides_the_parts_that_it_enters(name: str, parts: set[Part]) -> None:
    assert {part for part in PARTS if decides(part, name)} == parts


@pytest.mark.parametrize(
    ("part", "name"),
    [("pretraining", "shards"), ("scores", "shards")]
    + [(part, "workers_per_trial") for part in ("checks", "trainings", "searches")],
)
def test_what_plans_make_of_open_settings_decides_too(part: Part, name: str) -> None:
    other = "workers_per_trial" if name == "shards" else "shards"

    def facts(**numbers: int) -> PlanFacts:
        return PlanFacts(**numbers)

    assert differing_plans(part, facts(**{name: 2, other: 3}), facts(**{name: 2, other: 4})) == []
    line = f"{name.replace('_', ' ')}: recorded 2, now 3"
    assert differing_plans(part, facts(**{name: 2}), facts(**{name: 3})) == [line]
    assert differing_plans(part, facts(), facts(**{name: 1})) == []  # older runs did not record it


@pytest.mark.parametrize("part", PARTS)
def test_a_file_of_a_teacher_decides_trainings_whatever_its_name_is(part: Part) -> None:
    found = differing_plans(part, PlanFacts(teacher="a"), PlanFacts(teacher="b"))
    is_taught = part in {"checks", "trainings"}

    assert found == (["teacher: recorded a, now b"] if is_taught else [])
