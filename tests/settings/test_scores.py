from typing import get_args

import pytest

from raynas.nets.proxies import PROXIES
from raynas.search.formulas import FORMULAS
from raynas.settings.scores import (
    INDICATOR_SCORES,
    SCORES,
    SUMS,
    ZERO_COST_SCORES,
    SingleScore,
    is_sum,
)
from tests.builders import ROOT

METHODS = (ROOT / "launch" / "METHODS.md").read_text(encoding="utf-8")


def test_the_list_of_scores_has_every_name_once_and_in_order() -> None:
    assert tuple(SCORES) == (*SUMS, *get_args(SingleScore))


def test_every_sum_has_a_formula_and_every_other_score_is_computed_by_trials() -> None:
    assert (*FORMULAS, "balanced_saliency") == INDICATOR_SCORES
    assert (*INDICATOR_SCORES, "feature_error") == SUMS
    assert {name for name in SCORES if not is_sum(name)} == {*PROXIES, "accuracy", "random"}


def test_only_indicators_and_accuracies_need_a_supernet() -> None:
    needing = {name for name, score in SCORES.items() if score.needs_supernet}
    assert needing == {*INDICATOR_SCORES, "accuracy"}
    assert needing | {"feature_error"} == SCORES.keys() - ZERO_COST_SCORES


@pytest.mark.parametrize("name", SCORES)
def test_the_guide_to_methods_names_every_score(name: str) -> None:
    assert f"`{name}`" in METHODS
