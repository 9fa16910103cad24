"""The list of search strategies, and what stands behind each name."""

from typing import get_args

import pytest

from raynas.cluster.strategies.strategy import SearchStrategy, load_strategy
from raynas.settings.strategies import STRATEGIES, StrategyName
from raynas.storage.schemas import SCHEMAS
from tests.builders import ROOT

NAMES: tuple[StrategyName, ...] = get_args(StrategyName)


def test_the_list_of_strategies_has_every_name_once_and_in_order() -> None:
    assert tuple(STRATEGIES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_is_implemented_in_the_module_of_its_name(name: StrategyName) -> None:
    strategy = load_strategy(name)

    assert isinstance(strategy, SearchStrategy)
    assert strategy.search.__module__ == f"raynas.cluster.strategies.{name}"


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_a_strategy_s_own_are_tables_and_no_front_is_refused_without_a_reason(
    name: StrategyName,
) -> None:
    traits = STRATEGIES[name]

    assert set(traits.tables) <= set(SCHEMAS)
    assert traits.no_front or traits.most_costs == 3


@pytest.mark.parametrize("name", NAMES)
def test_the_guide_to_methods_names_every_strategy(name: str) -> None:
    assert name in (ROOT / "launch" / "METHODS.md").read_text()
