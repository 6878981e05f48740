"""A product that carries its derivative by the distance."""

import pytest
import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.faded_slope import attach_slope, faded_slope_reference

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


def inputs(channels: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """f, f', c, c'."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, channels), (4, channels), (4, 1), (4, 1)]
    values = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]
    return [value.requires_grad_(number < 2) for number, value in enumerate(values)]


def gradients(channels: int, dtype: torch.dtype, *, by_reference: bool) -> tuple[Tensor, ...]:
    """Derivative by the distance, and the gradients of its square by f and f', as in training on forces."""
    f, f_slope, c, c_slope = inputs(channels, dtype)
    distance = torch.ones(4, dtype=dtype, requires_grad=True)
    if by_reference:
        # To first order in the distance, around 1.
        value = (f + (distance - 1)[:, None] * f_slope) * (c + (distance - 1)[:, None] * c_slope)
    else:
        value = attach_slope(f * c, distance, f=f, f_slope=f_slope, c=c, c_slope=c_slope)
    (slope,) = torch.autograd.grad(value.sin().sum(), distance, create_graph=True)
    return slope.detach(), *torch.autograd.grad(slope.square().sum(), (f, f_slope))


@pytest.mark.parametrize("channels", [1, 5, 16, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivatives_are_those_of_a_linear_function(dtype: torch.dtype, channels: int) -> None:
    got, expected = (gradients(channels, dtype, by_reference=flag) for flag in (False, True))
    torch.testing.assert_close(got, expected, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-5)


def test_derivative_equals_its_reference() -> None:
    f, f_slope, c, c_slope = inputs(7)
    distance, grad = torch.ones(4, dtype=torch.float64, requires_grad=True), torch.randn(4, 7, dtype=torch.float64)
    value = attach_slope(f * c, distance, f=f, f_slope=f_slope, c=c, c_slope=c_slope)
    (slope,) = torch.autograd.grad(value, distance, grad)
    torch.testing.assert_close(slope, faded_slope_reference(grad, f, f_slope, c, c_slope))


def test_value_is_unchanged() -> None:
    f, f_slope, c, c_slope = inputs(7)
    value = attach_slope(f * c, torch.ones(4).double(), f=f, f_slope=f_slope, c=c, c_slope=c_slope)
    assert torch.equal(value, f * c)


def test_no_rows_have_no_slopes() -> None:
    distance, f, c = torch.zeros(0, requires_grad=True), torch.zeros(0, 3), torch.zeros(0, 1)
    value = attach_slope(f, distance, f=f, f_slope=f, c=c, c_slope=c)
    (slope,) = torch.autograd.grad(value.sum(), distance)
    assert slope.shape == (0,)


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    f, f_slope, c, c_slope = (value.detach() for value in inputs(7))
    ops = torch.ops.torchmdnet
    torch.library.opcheck(ops.faded_slope.default, (f.sin(), f, f_slope, c, c_slope))
    torch.library.opcheck(ops.faded_slope_backward.default, (c.flatten(), f.sin(), f, f_slope, c, c_slope))


@needs_native
def test_the_bare_op_refuses_what_would_read_out_of_bounds() -> None:
    f, f_slope, c, c_slope = (value.detach() for value in inputs(7))
    for wrong in (c[1:], c.float(), c.expand(4, 2).contiguous(), c[0, 0]):
        with pytest.raises(RuntimeError, match="a column must hold a number for each of the P rows"):
            torch.ops.torchmdnet.faded_slope(f, f, f_slope, wrong, c_slope)
