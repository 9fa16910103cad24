"""Which networks stand beside the winners: what ``auto`` comes to, and what each name comes to."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from raynas.cluster.planning.rival_choices import RivalChoices
from raynas.cluster.planning.rivals import Rivals, plan_rivals, weights_of_libraries
from raynas.costs.costs import CostTable, Limits
from raynas.costs.latency_table import Task
from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.narrow_networks import NarrowNetwork
from raynas.nets.rivals import Rival
from raynas.nets.smaller_images import ScaledNetwork
from raynas.search.constrained_sampling import LegalSampler
from raynas.settings.settings import Settings
from raynas.spaces.chain import SearchSpace
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.rival_names import OF_START
from raynas.storage.run_store import RunStore
from raynas.training.starts.library_weights import LibraryWeights
from tests.builders import build_space, shipped_space
from tests.data.samples import build_dataset

SPACE = shipped_space("mobilenet_v3_small")
assert isinstance(SPACE, SearchSpace)
MEMBER = SPACE.parse("mobilenet_v3_small")
PHOTOGRAPHS, SMALL = build_dataset(side=64), build_dataset(side=32)
MACS = 5_614_000  # of the member, about, at 64 pixels and with three classes


@cache
def costs_at(resolution: int) -> CostTable:
    return cost_table(SPACE, resolution, 3, 3)


def choices(settings: Settings, dataset: Dataset = PHOTOGRAPHS, **rest: Any) -> RivalChoices:
    """Return what decides the rivals of a run on the space around MobileNetV3-Small."""
    task = Task(dataset.channels, dataset.resolution, dataset.num_classes)
    costs = costs_at(task.resolution)
    member = MEMBER if settings.start else None
    sampler = LegalSampler(costs, settings.limits)
    return RivalChoices(settings, SPACE, task, costs, sampler, None, member, **rest)


def planned(settings: Settings, dataset: Dataset = PHOTOGRAPHS) -> Rivals:
    return plan_rivals(choices(settings, dataset), dataset, None)


@pytest.mark.parametrize(
    ("settings", "dataset", "names"),
    [
        (
            {"start": "S", "max_macs": 3_000_000},
            PHOTOGRAPHS,
            f"{' '.join(OF_START)} random",
        ),
        ({"start": "S"}, PHOTOGRAPHS, "start random"),
        ({"start": "S", "max_macs": 100_000_000}, SMALL, "start random"),
        ({}, PHOTOGRAPHS, "mobilenet_v3_large efficientnet_b0 random"),
        ({}, SMALL, ""),
        ({"rivals": "none"}, PHOTOGRAPHS, ""),
        ({"rivals": "random"}, PHOTOGRAPHS, "random"),
        ({"rivals": "auto, resnet18", "start": "S"}, PHOTOGRAPHS, "start random resnet18"),
    ],
)
def test_they_follow_from_settings_and_images(
    settings: dict[str, Any], dataset: Dataset, names: str
) -> None:
    found = planned(Settings(**settings), dataset)

    assert [each.name for each in found.planned] == names.split()
    assert found.left_out == ()
    assert (found.auto is None) == (settings.get("rivals") in {"none", "random"})


def test_a_run_that_goes_on_keeps_what_it_recorded_and_an_older_one_has_none() -> None:
    settings = Settings(start="S", max_macs=3_000_000)
    first = planned(settings)
    facts = PlanFacts(rivals=first.recorded, auto_rivals=first.auto)
    again = plan_rivals(choices(settings), PHOTOGRAPHS, PlanFacts.from_json(facts.to_json()))
    older = plan_rivals(choices(settings), PHOTOGRAPHS, PlanFacts())

    assert again == first
    assert older.planned == ()
    assert first.recorded["start"] == str(MEMBER)


def test_the_start_may_exceed_the_limits_and_says_how_far_and_the_others_keep_them() -> None:
    limits = Limits(max_macs=3_000_000)
    start, *others = planned(Settings(start="S", max_macs=3_000_000)).planned

    assert start.words == (
        f"start with {start.cost.macs / 1e6:.3f}M MACs ({start.cost.macs / 3e6:.2f} times the "
        "limit of 3M MACs)"
    )
    assert all(limits.allow(each.cost) and not each.beyond for each in others)
    assert {each.begun_from for each in (start, *others)} == {"start"}


@pytest.mark.parametrize("share", [0.45, 0.71, 0.9])
def test_the_larger_neighbours_of_what_is_made_of_the_start_exceed_the_limit(share: float) -> None:
    limit = int(share * MACS)
    decided = choices(Settings(start="S", max_macs=limit))
    scaled, narrow = (decided.choose(name) for name in ("scaled_start", "narrow_start"))
    assert isinstance(scaled.chosen, ScaledNetwork)
    assert isinstance(narrow.chosen, NarrowNetwork)
    larger = replace(scaled.chosen, resolution=scaled.chosen.resolution + 4)
    wider = replace(narrow.chosen, hundredths=narrow.chosen.hundredths + 1)

    assert max(scaled.cost.macs, narrow.cost.macs) <= limit
    assert scaled.chosen.resolution % 4 == 0
    for each in (larger, wider):
        assert each.cost(SPACE, decided.task).macs > limit


def test_fewer_pixels_save_no_parameters_and_narrower_layers_do() -> None:
    decided = choices(Settings(start="S", max_params=1_200_000))

    assert decided.choose("narrow_start").cost.params <= 1_200_000
    with pytest.raises(UserError, match=r"^scaled_start@32 has 1\.5\d+M parameters, and 1"):
        decided.choose("scaled_start")


@pytest.mark.parametrize(
    ("name", "settings", "dataset", "why"),
    [
        ("scaled_start", {}, PHOTOGRAPHS, "the network of the start keeps the limits as it is"),
        ("narrow_start", {}, PHOTOGRAPHS, "the network of the start keeps the limits as it is"),
        ("scaled_start", {"max_macs": 2_000_000}, SMALL, "images of fewer than 32 pixels say"),
        ("narrow_start", {"max_macs": 1_000_000}, PHOTOGRAPHS, r"narrow_start@0\.01 has 1\."),
    ],
)
def test_what_cannot_be_is_left_out_with_a_sentence(
    name: str, settings: dict[str, Any], dataset: Dataset, why: str
) -> None:
    asked = Settings(start="S", rivals=name, **settings)
    decided = replace(choices(Settings(start="S"), dataset), settings=asked)
    found = plan_rivals(decided, dataset, None)

    assert found.planned == ()
    assert found.warnings[0].startswith(f"rival {name} is left out: ")
    with pytest.raises(UserError, match=why):
        raise UserError(found.left_out[0][1])


def test_layers_that_are_not_wider_inside_cannot_be_cut() -> None:
    space = build_space("RN")
    costs = cost_table(space, 32, 3, 3)
    settings = Settings(start="S", rivals="narrow_start", max_macs=costs.of((0, 0)).macs)
    costly = replace(
        RivalChoices(settings, space, Task(3, 32, 3), costs, LegalSampler(costs, settings.limits)),
        member=space.parse("1-1"),  # expansions of 1
    )

    with pytest.raises(UserError, match="no layer of the start's network is wider inside"):
        costly.choose("narrow_start")


WEIGHTS = {"mobilenet_v2": LibraryWeights("mobilenet_v2", b"some", "torchvision, V2")}


def test_a_family_begins_from_its_own_weights_at_the_width_that_they_are_of() -> None:
    task_macs = planned(Settings(rivals="mobilenet_v2")).planned[0].cost.macs
    wide, narrow = (
        choices(Settings(start="S", rivals="mobilenet_v2", max_macs=limit))
        for limit in (task_macs, task_macs - 1)
    )
    own = replace(wide, weights=WEIGHTS).choose("mobilenet_v2")
    cut = replace(narrow, weights=WEIGHTS).choose("mobilenet_v2")
    lacking = replace(
        wide, weights={"mobilenet_v2": LibraryWeights("mobilenet_v2", b"", "no network")}
    )

    assert own.chosen == Rival("mobilenet_v2", pretrained=True)
    assert own.words.endswith(", from torchvision, V2")
    assert isinstance(cut.chosen, Rival)
    assert (cut.chosen.width, cut.chosen.pretrained) == (0.95, False)
    assert cut.words.endswith("MACs, from new weights")
    assert plan_rivals(lacking, PHOTOGRAPHS, None).warnings == (
        "rival mobilenet_v2 begins from new weights: no network",
    )
    kept = replace(wide, weights=WEIGHTS, recorded={"mobilenet_v2": str(own.chosen)})
    assert kept.choose("mobilenet_v2") == own
    with pytest.raises(UserError, match="its weights in the run folder are lost"):
        replace(kept, weights={}).choose("mobilenet_v2")


def test_only_runs_that_begin_from_trained_weights_ask_for_those_of_libraries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "raynas.cluster.planning.rivals.library_weights",
        lambda name, *_: (asked.append(name), WEIGHTS["mobilenet_v2"])[1],
    )
    store = RunStore(str(tmp_path))
    named = "mobilenet_v2,random,start,resnet18"
    begun = PlanFacts(
        rivals={
            "mobilenet_v2": "mobilenet_v2, pretrained",
            "scaled_start": "scaled_start@32 of 0-1",
            "resnet18": "resnet18",
        }
    )

    assert weights_of_libraries(Settings(rivals="mobilenet_v2"), store, None, Task(3, 32, 3)) == {}
    weights_of_libraries(Settings(start="S", rivals=named), store, None, Task(3, 32, 3))
    weights_of_libraries(Settings(start="S", rivals=named), store, begun, Task(3, 32, 3))
    assert asked == ["mobilenet_v2", "resnet18", "mobilenet_v2"]
