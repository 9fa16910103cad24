"""Hard-concrete gates: gradients, limits of the temperature, probabilities, and what is chosen."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raynas.differentiable.gates import (
    draw_gates,
    edge_softmax,
    open_probability,
    soft_gates,
    straight_through,
)
from tests.builders import build_generator
from tests.settings.published import PRDARTS

LOW, HIGH = PRDARTS.low, PRDARTS.high


def alpha_of(seed: int = 0, rows: int = 5, columns: int = 8) -> torch.Tensor:
    """Return alphas in double that gradients go to."""
    numbers = torch.randn(rows, columns, dtype=torch.float64, generator=build_generator(seed))
    return numbers.requires_grad_()


def noise_of(alpha: torch.Tensor, seed: int = 1) -> torch.Tensor:
    """Return uniform noise of the same shape."""
    return torch.rand(alpha.shape, dtype=alpha.dtype, generator=build_generator(seed))


class TestSoftGates:
    @pytest.mark.parametrize("temperature", [0.5, 1.0, 10.0])
    def test_their_gradient_is_that_of_finite_differences_where_they_are_not_clipped(
        self, temperature: float
    ) -> None:
        alpha = alpha_of()
        noise = noise_of(alpha)
        gates = soft_gates(alpha, noise, temperature, LOW, HIGH).detach()
        inside = (gates > 0.01) & (gates < 0.99)

        def of_those(values: torch.Tensor) -> torch.Tensor:
            return soft_gates(values, noise, temperature, LOW, HIGH)[inside]

        assert inside.sum() > 8
        assert torch.autograd.gradcheck(of_those, (alpha,))

    def test_a_gate_that_is_clipped_has_no_gradient(self) -> None:
        alpha = alpha_of()
        gates = soft_gates(alpha, noise_of(alpha), 0.3, LOW, HIGH)
        gates.sum().backward()
        clipped = (gates == 0) | (gates == 1)

        assert 0 < clipped.sum() < clipped.numel()
        assert alpha.grad is not None
        assert torch.equal(alpha.grad == 0, clipped)

    def test_noise_of_exactly_zero_closes_a_gate_and_gives_no_nan(self) -> None:
        alpha = alpha_of(rows=1, columns=1)
        gates = soft_gates(alpha, torch.zeros_like(alpha), 1.0, LOW, HIGH)
        gates.sum().backward()

        assert gates.item() == 0
        assert alpha.grad is not None
        assert alpha.grad.item() == 0

    def test_towards_temperature_zero_they_are_whether_the_noisy_alpha_is_positive(self) -> None:
        alpha = alpha_of(rows=40)
        noise = noise_of(alpha)
        gates = soft_gates(alpha, noise, 1e-6, LOW, HIGH)

        assert torch.equal(gates, (alpha + noise.logit() > 0).double())

    def test_towards_an_infinite_temperature_they_are_all_the_middle_of_the_stretch(self) -> None:
        alpha = alpha_of()
        gates = soft_gates(alpha, noise_of(alpha), 1e9, -0.1, 1.3)

        assert torch.allclose(gates, torch.full_like(gates, (1.3 - 0.1) / 2), atol=1e-6)


class TestOpenProbability:
    @pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
    @pytest.mark.parametrize("alpha", [-2.0, 0.0, 1.0])
    def test_it_is_the_share_of_drawn_gates_that_are_open(
        self, alpha: float, temperature: float
    ) -> None:
        alphas = torch.full((100_000,), alpha)
        gates = soft_gates(alphas, noise_of(alphas), temperature, LOW, HIGH)
        wanted = open_probability(alphas[:1], temperature, LOW, HIGH).item()
        error = math.sqrt(wanted * (1 - wanted) / len(gates))

        assert (gates > 0).float().mean().item() == pytest.approx(wanted, abs=4 * error)

    def test_its_limits_are_the_sigmoid_of_alpha_and_one(self) -> None:
        alpha = alpha_of().detach()

        assert torch.allclose(open_probability(alpha, 1e-9, LOW, HIGH), alpha.sigmoid())
        assert torch.allclose(open_probability(alpha, 50, LOW, HIGH), torch.ones_like(alpha))

    def test_its_value_at_zero_and_temperature_one_is_eleven_twelfths(self) -> None:
        assert open_probability(torch.zeros(1), 1.0, -0.1, 1.1).item() == pytest.approx(11 / 12)

    def test_its_gradient_is_that_of_finite_differences(self) -> None:
        assert torch.autograd.gradcheck(
            lambda alpha: open_probability(alpha, 0.7, LOW, HIGH), (alpha_of(),)
        )


class TestChoice:
    def test_the_largest_gates_of_each_edge_are_one_and_the_others_zero(self) -> None:
        gates = torch.tensor([[0.1, 0.9, 0.5, 0.4], [0.8, 0.0, 0.2, 0.3]])
        drawn = straight_through(gates, torch.zeros(2, 4, dtype=torch.bool), torch.arange(4), 2)

        assert drawn.chosen.tolist() == [[0, 1, 1, 0], [1, 0, 0, 1]]

    def test_what_is_dropped_is_taken_only_where_others_do_not_suffice(self) -> None:
        gates = torch.tensor([[0.1, 0.9, 0.5, 0.4]] * 2)
        dropped = torch.tensor([[False, True, False, False], [True, True, True, False]])
        drawn = straight_through(gates, dropped, torch.arange(4), 2)

        assert drawn.chosen.tolist() == [[0, 0, 1, 1], [0, 1, 0, 1]]

    def test_of_equal_gates_those_that_come_first_in_the_order_are_taken(self) -> None:
        gates, order = torch.tensor([[1.0, 1.0, 0.2, 1.0]]), torch.tensor([2, 3, 1, 0])
        drawn = straight_through(gates, torch.zeros(1, 4, dtype=torch.bool), order, 2)

        assert drawn.chosen.tolist() == [[0, 1, 0, 1]]

    def test_the_gradient_goes_straight_through_to_every_soft_gate(self) -> None:
        alpha, slopes = alpha_of(), torch.arange(40.0, dtype=torch.float64).reshape(5, 8)
        noise = noise_of(alpha)
        soft = soft_gates(alpha, noise, 1.0, LOW, HIGH)
        hard = straight_through(soft, noise > 0.7, torch.arange(8), 2)
        (through,) = torch.autograd.grad((hard.gates * slopes).sum(), alpha, retain_graph=True)
        (wanted,) = torch.autograd.grad((soft * slopes).sum(), alpha)

        assert torch.equal(through, wanted)
        assert not hard.chosen.requires_grad

    @given(st.integers(0, 2**31), st.sampled_from([0.05, 1.0, 10.0]), st.integers(1, 4))
    def test_drawn_gates_are_zero_or_one_to_the_bit_and_as_many_as_asked_for(
        self, seed: int, temperature: float, count: int
    ) -> None:
        settings = replace(PRDARTS, open_gates=count)
        drawn = draw_gates(alpha_of(seed).float(), temperature, settings, build_generator(seed))

        assert torch.equal(drawn.gates, drawn.chosen)
        assert drawn.chosen.sum(dim=1).tolist() == [count] * 5
        assert set(drawn.chosen.unique().tolist()) == {0, 1}

    def test_the_generator_alone_decides_what_is_drawn(self) -> None:
        first, again, other = (
            draw_gates(alpha_of(), 1.0, PRDARTS, build_generator(seed)).chosen for seed in (3, 3, 4)
        )

        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    @pytest.mark.parametrize("dropout", [0.0, 0.4])
    def test_equal_operations_are_chosen_equally_often(self, dropout: float) -> None:
        settings = replace(PRDARTS, operation_dropout=dropout)
        generator = build_generator()
        alpha = torch.full((14, 8), 9.0)  # nearly all gates are 1: ties all over
        draws = [draw_gates(alpha, 0.1, settings, generator).chosen for _ in range(2000)]
        shares = torch.stack(draws).mean(dim=(0, 1))

        assert shares.tolist() == pytest.approx([2 / 8] * 8, abs=0.05)

    @pytest.mark.parametrize(("dropout", "share"), [(0.0, 1.0), (0.4, 0.88)])
    def test_dropout_gives_a_gate_that_is_shut_the_place_of_one_that_is_open(
        self, dropout: float, share: float
    ) -> None:
        """The open one is taken at 1 - p, and else if the other is dropped, or it wins the tie."""
        settings = replace(PRDARTS, operation_dropout=dropout, open_gates=1)
        generator, alpha = build_generator(), torch.tensor([[40.0, -40.0]])
        draws = [draw_gates(alpha, 1.0, settings, generator).chosen[0, 0] for _ in range(3000)]

        wanted = 1 - dropout + dropout * (dropout + 0.5 * (1 - dropout))
        assert wanted == pytest.approx(share)
        assert torch.stack(draws).mean().item() == pytest.approx(wanted, abs=0.025)

    def test_a_larger_alpha_is_chosen_more_often(self) -> None:
        generator = build_generator()
        alpha = torch.arange(-4.0, 4.0).repeat(14, 1)
        draws = [draw_gates(alpha, 1.0, PRDARTS, generator).chosen for _ in range(200)]
        shares = torch.stack(draws).mean(dim=(0, 1))

        assert torch.equal(shares.argsort(), torch.arange(8))


def test_edge_weights_add_up_to_one_over_the_edges_that_enter_a_node() -> None:
    beta = torch.randn(14, generator=build_generator())
    weights = edge_softmax(beta, 4)

    assert [round(part.sum().item(), 6) for part in weights.split([2, 3, 4, 5])] == [1] * 4
    assert torch.allclose(weights[2:5], beta[2:5].exp() / beta[2:5].exp().sum())
