from typing import get_args

import pytest

from raynas.nets.proxies import PROXIES
from raynas.search.formulas import FORMULAS
from raynas.settings.scores import (
    INDICATOR_SCORES,
    SCORES,
    ZERO_COST_SCORES,
    IndicatorScore,
    SingleScore,
    is_sum,
)
from tests.builders import ROOT

METHODS = (ROOT / "launch" / "METHODS.md").read_text(encoding="utf-8")


def test_the_list_of_scores_has_every_name_once_and_in_order() -> None:
    assert tuple(SCORES) == (*get_args(IndicatorScore), *get_args(SingleScore))


def test_every_sum_has_a_formula_and_every_other_score_is_computed_by_trials() -> None:
    assert (*FORMULAS, "balanced_saliency") == INDICATOR_SCORES
    assert {name for name in SCORES if not is_sum(name)} == {*PROXIES, "accuracy", "random"}


def test_only_sums_and_accuracies_need_a_supernet() -> None:
    assert {*INDICATOR_SCORES, "accuracy"} == SCORES.keys() - ZERO_COST_SCORES


@pytest.mark.parametrize("name", SCORES)
def test_the_guide_to_methods_names_every_score(name: str) -> None:
    assert f"`{name}`" in METHODS
