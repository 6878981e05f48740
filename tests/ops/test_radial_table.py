"""Tables of functions of the distance: polynomials through values and slopes, and their derivatives."""

import math

import pytest
import torch
from torch import Tensor

from torchmdnet.ops.radial_table import gradients_of, interpolate, midpoint_table

KNOTS = torch.arange(9, dtype=torch.float64)
HALVES = torch.arange(17, dtype=torch.float64) / 2


def random_table(num_intervals: int = 8, *shape: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    value, slope = torch.randn((2, 2 * num_intervals + 1, *shape), generator=random, dtype=torch.float64)
    return midpoint_table(value, slope)


def test_has_the_given_values_and_slopes_at_ends_and_middles() -> None:
    random = torch.Generator().manual_seed(0)
    value, slope = torch.randn((2, 17, 3, 2), generator=random, dtype=torch.float64)
    table = midpoint_table(value, slope)
    assert table.shape == (8, 6, 3, 2)
    for order, expected in enumerate((value, slope)):
        torch.testing.assert_close(interpolate(table, HALVES, order=order), expected)
        below = interpolate(table, HALVES[2:] - 1e-10, order=order)
        torch.testing.assert_close(below, expected[2:], rtol=0, atol=1e-7)


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_is_exact_for_polynomials_of_fifth_degree(order: int) -> None:
    def derivative(s: Tensor, order: int) -> Tensor:
        powers = [math.perm(n, order) * (-0.5) ** n * s ** max(n - order, 0) for n in range(order, 6)]
        return torch.stack(powers).sum(0)

    table = midpoint_table(*(derivative(HALVES, n)[:, None] for n in (0, 1)))
    s = torch.linspace(0, 8, 50, dtype=torch.float64)
    found = interpolate(table, s, order=order).squeeze(1)
    torch.testing.assert_close(found, derivative(s, order), rtol=1e-7, atol=1e-7)


def test_error_falls_with_the_sixth_power_of_the_spacing() -> None:
    errors = []
    for num_intervals in (8, 16):
        step = 2 * torch.pi / num_intervals
        angle = step * torch.arange(2 * num_intervals + 1, dtype=torch.float64) / 2
        table = midpoint_table(angle.sin(), step * angle.cos())
        s = torch.linspace(0, num_intervals, 1001, dtype=torch.float64)
        errors.append(float((interpolate(table, s) - (step * s).sin()).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(64, rel=0.1)


def test_the_outermost_polynomials_go_on_outside() -> None:
    table = random_table(8, 2)
    for s, interval in ((-0.7, 0), (9.3, 7)):
        t = s - interval
        expected = sum(table[interval, power] * t**power for power in range(6))
        torch.testing.assert_close(interpolate(table, torch.tensor([s], dtype=torch.float64))[0], expected)


def test_is_continuous_with_its_slope_across_knots() -> None:
    table = random_table(8, 3)
    below, above = (KNOTS[1:-1] + shift for shift in (-1e-9, 1e-9))
    for order in (0, 1):
        torch.testing.assert_close(
            interpolate(table, below, order=order), interpolate(table, above, order=order), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("order", [0, 1, 2])
def test_each_order_is_the_derivative_of_the_one_before(order: int) -> None:
    table = random_table(8, 2)
    s = torch.linspace(-0.4, 8.4, 40, dtype=torch.float64, requires_grad=True)
    value = interpolate(table, s, order=order)
    slopes = [torch.autograd.grad(column.sum(), s, retain_graph=True)[0] for column in value.unbind(1)]
    torch.testing.assert_close(torch.stack(slopes, 1), interpolate(table, s, order=order + 1))


def test_derivatives_by_the_table_are_right() -> None:
    s = torch.tensor([0.3, 2.2, 2.7, -0.1, 3.4], dtype=torch.float64, requires_grad=True)
    table = random_table(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(interpolate, (table, s))
    assert torch.autograd.gradgradcheck(interpolate, (table, s))


def test_no_distances_are_no_rows() -> None:
    assert interpolate(random_table(8, 3, 2), torch.zeros(0, dtype=torch.float64)).shape == (0, 3, 2)


class TestGradientsOf:
    """a b, where b may be made of a: each gradient is the one at fixed other inputs."""

    @staticmethod
    def gradients(*, recording: bool) -> list[Tensor | None]:
        a = torch.tensor([2.0, 3.0], requires_grad=True)
        with torch.set_grad_enabled(recording):
            b = a.square()
            return gradients_of(torch.mul, [a, b], grads=[torch.ones(2)], needed=[True, True])

    @pytest.mark.parametrize("recording", [False, True])
    def test_gradients_are_partial(self, recording: bool) -> None:
        by_a, by_b = self.gradients(recording=recording)
        assert by_a is not None
        assert by_b is not None
        torch.testing.assert_close(by_a, torch.tensor([4.0, 9.0]))
        torch.testing.assert_close(by_b, torch.tensor([2.0, 3.0]))
        assert by_a.requires_grad is recording

    def test_what_is_not_needed_is_none(self) -> None:
        a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
        by_a, by_b = gradients_of(torch.mul, [a, b], grads=[torch.ones(2)], needed=[False, True])
        assert by_a is None
        assert by_b is not None

    def test_no_gradient_of_the_result_is_none_of_the_inputs(self) -> None:
        a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
        assert gradients_of(torch.mul, [a, b], grads=[None], needed=[True, True]) == [None, None]
