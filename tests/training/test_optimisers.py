"""Optimisers: what decays, and that a checkpoint has all that each of them remembers."""

from typing import Literal

import pytest
import torch
from torch import nn

from raynas.settings.retrain import RetrainSettings
from raynas.training.optimisers import make_optimiser, restore_state, set_rates, state_of

Name = Literal["sgd", "rmsprop", "adamw"]
NAMES: tuple[Name, ...] = ("sgd", "rmsprop", "adamw")
INHERITED = frozenset({"0.weight", "0.bias", "1.weight"})


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2)
    return nn.Sequential(*parts)


def step(module: nn.Module, optimiser: torch.optim.Optimizer, number: int) -> None:
    optimiser.zero_grad()
    images = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(number))
    module(images).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_restored_goes_on_to_the_same_bits(name: Name) -> None:
    settings = RetrainSettings(optimiser=name, learning_rate=0.01, inherited_factor=0.1)
    first, second = network(), network()
    one, two = (make_optimiser(each, settings, INHERITED) for each in (first, second))
    for optimiser in (one, two):
        set_rates(optimiser, 0.01)
    for number in range(3):
        step(first, one, number)
    second.load_state_dict(first.state_dict())
    restore_state(two, {key: value.clone() for key, value in state_of(one).items()})
    for number in range(3, 6):
        step(first, one, number)
        step(second, two, number)

    for mine, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_checkpoint_of_an_older_raynas_holds_momenta_under_numbers_alone() -> None:
    settings, module = RetrainSettings(), network()
    before, after = make_optimiser(module, settings), make_optimiser(module, settings)
    step(module, before, 0)
    wanted = state_of(before)
    restore_state(after, {key.partition(".")[0]: value for key, value in wanted.items()})

    assert {key.partition(".")[2] for key in wanted} == {"momentum_buffer"}
    assert state_of(after).keys() == wanted.keys()
    assert all(torch.equal(value, wanted[key]) for key, value in state_of(after).items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("decayed", "names"),
    [
        ("weights", {"0.weight", "3.weight"}),
        ("convolutions", {"0.weight"}),
        ("all", {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"}),
    ],
)
def test_what_decays_is_what_the_setting_says(
    name: Name, decayed: Literal["weights", "convolutions", "all"], names: set[str]
) -> None:
    module = network()
    optimiser = make_optimiser(
        module, RetrainSettings(optimiser=name, weight_decay=0.25, decayed=decayed)
    )
    decays = {
        id(parameter): group["weight_decay"]
        for group in optimiser.param_groups
        for parameter in group["params"]
    }

    assert decays == {
        id(parameter): 0.25 if key in names else 0.0 for key, parameter in module.named_parameters()
    }


@pytest.mark.parametrize("name", NAMES)
def test_what_is_inherited_learns_at_its_share_of_the_rate_and_decays_as_ever(name: Name) -> None:
    module = network()
    settings = RetrainSettings(optimiser=name, weight_decay=0.25, inherited_factor=0.1)
    optimiser = make_optimiser(module, settings, INHERITED)
    set_rates(optimiser, 0.5)
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for parameter in group["params"]
    }

    assert found == {
        id(parameter): (
            0.05 if key in INHERITED else 0.5,
            0.25 if key in {"0.weight", "3.weight"} else 0.0,
        )
        for key, parameter in module.named_parameters()
    }


@pytest.mark.parametrize(("factor", "inherited"), [(0.1, frozenset()), (1.0, INHERITED)])
def test_groups_stay_as_they_are_in_older_checkpoints_where_all_learn_at_one_rate(
    factor: float, inherited: frozenset[str]
) -> None:
    module = network()
    optimiser = make_optimiser(module, RetrainSettings(inherited_factor=factor), inherited)
    names = {id(parameter): key for key, parameter in module.named_parameters()}
    groups = [[names[id(each)] for each in group["params"]] for group in optimiser.param_groups]

    assert groups == [["0.weight", "3.weight"], ["0.bias", "1.weight", "1.bias", "3.bias"]]
    set_rates(optimiser, 0.3)
    assert [group["lr"] for group in optimiser.param_groups] == [0.3, 0.3]


def test_each_name_gives_torch_s_own_with_the_momentum_that_was_asked_for() -> None:
    kinds = {
        name: make_optimiser(network(), RetrainSettings(optimiser=name, momentum=0.7))
        for name in NAMES
    }
    plain = make_optimiser(network(), RetrainSettings(nesterov=False))

    assert type(kinds["sgd"]) is torch.optim.SGD
    assert type(kinds["rmsprop"]) is torch.optim.RMSprop
    assert type(kinds["adamw"]) is torch.optim.AdamW
    assert kinds["sgd"].defaults["momentum"] == kinds["rmsprop"].defaults["momentum"] == 0.7
    assert kinds["adamw"].defaults["betas"] == (0.7, 0.999)
    assert kinds["sgd"].defaults["nesterov"] is not plain.defaults["nesterov"]
