"""What open gates cost and earn, by hand on small cells.

At temperature 1 and the stretch (-0.1, 1.1) the probability of an open gate is the sigmoid of
alpha + ln 11, so that any probability can be asked for.
"""

import math
from dataclasses import replace

import pytest
import torch

from raynas.differentiable.penalties import Terms, group_term, groups_of, path_term, penalty, terms
from tests.builders import shipped_cells
from tests.settings.published import PRDARTS

SPACE = replace(shipped_cells(), nodes=2)  # edges: 0-0, 1-0; 0-1, 1-1, 2-1
GROUPS = groups_of(SPACE)
NONE, SKIP, SEP3, SEP5, DIL3, AVERAGE, MAX = 0, 1, 2, 3, 4, 6, 7

Cell = tuple[torch.Tensor, torch.Tensor]


def cell(*gates: tuple[int, int, float]) -> Cell:
    """Return theta and what is chosen: (edge, operation, probability); others are 0.99 and not."""
    theta = torch.full((5, 8), 0.99, dtype=torch.float64)
    chosen = torch.zeros(5, 8, dtype=torch.float64)
    for edge, operation, probability in gates:
        theta[edge, operation] = probability
        chosen[edge, operation] = 1
    return theta, chosen


def found(normal: Cell, reduction: Cell, pooling: str = "group") -> dict[str, float]:
    """Return the terms of two cells at temperature 1."""
    alphas = {
        "normal": normal[0].logit() - math.log(11),
        "reduction": reduction[0].logit() - math.log(11),
    }
    chosen = {"normal": normal[1], "reduction": reduction[1]}
    settings = replace(PRDARTS, pooling=pooling)
    values = terms(alphas, chosen, GROUPS, 1.0, settings)
    return {name: value.item() for name, value in vars(values).items()}


def test_groups_are_what_the_operations_build() -> None:
    groups = groups_of(shipped_cells("darts_cells"))

    assert (groups.none, groups.skip, groups.pooling) == ((0,), (1,), (6, 7))
    assert groups.parametric == (2, 3, 4, 5)
    assert groups.path == (1, 4, 8, 13)  # state 1 to node 0, and each node to the next
    assert GROUPS.path == (1, 4)


def test_reading_the_groups_uses_up_nobody_s_random_numbers() -> None:
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    groups_of(replace(SPACE, operations=SPACE.operations[1:3]))

    assert torch.equal(torch.rand(3), wanted)


class TestGroups:
    def test_a_group_costs_the_mean_probability_of_its_chosen_gates(self) -> None:
        theta, chosen = cell((0, SKIP, 0.9), (1, SKIP, 0.5), (1, SEP3, 0.1))

        assert group_term(theta, chosen, (SKIP,)).item() == pytest.approx(0.7)

    def test_a_group_of_which_none_is_chosen_costs_nothing(self) -> None:
        theta, chosen = cell((0, SEP3, 0.9))

        assert group_term(theta, chosen, (SKIP,)).item() == 0

    def test_terms_are_the_mean_of_the_normal_and_the_reduction_cell(self) -> None:
        normal = cell(
            (0, SKIP, 0.9),
            (1, SKIP, 0.5),
            (2, AVERAGE, 0.2),
            (3, MAX, 0.6),
            (2, NONE, 0.3),
            (3, DIL3, 0.5),
        )
        reduction = cell((0, SKIP, 0.3), (2, SEP5, 0.8))

        values = found(normal, reduction)
        assert values["skip"] == pytest.approx((0.7 + 0.3) / 2)
        assert values["pooling"] == pytest.approx((0.4 + 0) / 2)
        assert values["others"] == pytest.approx((0.4 + 0.8) / 2)

    def test_pooling_may_be_among_the_others_as_in_the_article(self) -> None:
        normal = cell((2, AVERAGE, 0.2), (2, NONE, 0.3), (3, DIL3, 0.7))
        values = found(normal, normal, "others")

        assert values["pooling"] == 0
        assert values["others"] == pytest.approx(0.4)


class TestPath:
    def test_it_is_the_product_along_the_edges_from_each_node_to_the_next(self) -> None:
        theta, chosen = cell(
            (1, SEP3, 0.5), (1, SKIP, 0.1), (4, SEP5, 0.8), (4, DIL3, 0.4), (3, SEP3, 0.01)
        )

        assert path_term(theta, chosen, GROUPS).item() == pytest.approx(0.5 * 0.6)

    def test_an_edge_without_chosen_weights_is_passed_over(self) -> None:
        theta, chosen = cell((1, SEP3, 0.5), (4, AVERAGE, 0.8), (4, SKIP, 0.4))

        assert path_term(theta, chosen, GROUPS).item() == pytest.approx(0.5)

    def test_without_any_chosen_weights_along_it_it_is_zero(self) -> None:
        theta, chosen = cell((1, SKIP, 0.5), (4, AVERAGE, 0.8), (0, SEP3, 0.9))

        assert path_term(theta, chosen, GROUPS).item() == 0

    def test_it_is_the_mean_of_the_normal_and_the_reduction_cell(self) -> None:
        values = found(cell((1, SEP3, 0.5), (4, DIL3, 0.8)), cell((0, SEP3, 0.9)))

        assert values["path"] == pytest.approx((0.4 + 0) / 2)

    def test_it_grows_with_the_alphas_of_the_chosen_gates_along_it_alone(self) -> None:
        theta, chosen = cell((1, SEP3, 0.5), (4, DIL3, 0.8), (4, SKIP, 0.5), (2, SEP5, 0.5))
        theta.requires_grad_()
        path_term(theta, chosen, GROUPS).backward()

        assert theta.grad is not None
        assert theta.grad.nonzero().tolist() == [[1, SEP3], [4, DIL3]]
        assert theta.grad[1, SEP3].item() == pytest.approx(0.8)
        assert theta.grad[4, DIL3].item() == pytest.approx(0.5)


class TestPenalty:
    def test_groups_cost_what_is_beyond_the_free_share_and_the_path_earns(self) -> None:
        values = Terms(*(torch.tensor(value) for value in (0.7, 0.6, 0.1, 0.4)))

        wanted = 0.01 * 0.5 + 0.005 * (0.4 + 0) - 0.005 * 0.4
        assert penalty(values, PRDARTS).item() == pytest.approx(wanted)

    def test_without_a_free_share_it_is_the_article_s(self) -> None:
        values = Terms(*(torch.tensor(value) for value in (0.7, 0.6, 0.1, 0.4)))

        wanted = 0.01 * 0.7 + 0.005 * 0.7 - 0.005 * 0.4
        assert penalty(values, replace(PRDARTS, free_share=0)).item() == pytest.approx(wanted)

    def test_its_gradient_is_that_of_finite_differences(self) -> None:
        theta, chosen = cell((0, SKIP, 0.9), (1, SEP3, 0.5), (4, DIL3, 0.8), (3, MAX, 0.7))

        def of(alpha: torch.Tensor) -> torch.Tensor:
            cells = {"normal": chosen, "reduction": chosen}
            values = terms(dict.fromkeys(cells, alpha), cells, GROUPS, 0.8, PRDARTS)
            return penalty(values, PRDARTS)

        alpha = (theta.logit() - math.log(11)).requires_grad_()
        assert torch.autograd.gradcheck(of, (alpha,))
