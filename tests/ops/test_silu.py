"""SiLU and its derivatives."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import native
from torchmdnet.ops.silu import silu, silu_jet, silu_jet_reference, silu_reference

X = torch.linspace(-6, 6, 24, dtype=torch.float64).view(6, 4)
SLOPE = torch.linspace(1, -2, 24, dtype=torch.float64).view(6, 4)

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


def test_equals_its_reference() -> None:
    for x in (X, X.float()):
        torch.testing.assert_close(silu(x), silu_reference(x))


def test_first_and_second_derivatives_are_right() -> None:
    x = X.clone().requires_grad_()
    assert gradcheck(silu, x)
    assert gradgradcheck(silu, x)


def test_third_derivative_is_that_of_the_reference() -> None:
    results = []
    for function in (silu, silu_reference):
        x = X.clone().requires_grad_()
        value = function(x)
        for _ in range(3):
            (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        results.append(value.detach())
    torch.testing.assert_close(*results)


def test_jet_equals_its_reference() -> None:
    torch.testing.assert_close(silu_jet(X, SLOPE), silu_jet_reference(X, SLOPE))


def test_derivative_of_the_jet_is_right() -> None:
    assert gradcheck(silu_jet, (X.clone().requires_grad_(), SLOPE.clone().requires_grad_()))


def test_takes_no_elements() -> None:
    assert silu(torch.zeros(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_nothing_has_nothing_as_its_jet(shape: tuple[int, int]) -> None:
    nothing = torch.zeros(shape, requires_grad=True)
    value, slope = silu_jet(nothing, nothing)
    (gradient,) = torch.autograd.grad((value + slope).sum(), nothing)
    assert value.shape == slope.shape == gradient.shape == shape


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    ops = torch.ops.torchmdnet
    torch.library.opcheck(ops.silu_jet.default, (X, X.sigmoid(), SLOPE))
    torch.library.opcheck(ops.silu_jet_backward.default, (SLOPE, X, X, X.sigmoid(), SLOPE))


@needs_native
def test_the_bare_op_refuses_what_would_read_out_of_bounds() -> None:
    op = torch.ops.torchmdnet.silu_jet
    for wrong in (SLOPE[:-1], SLOPE.float(), SLOPE.flatten(), SLOPE.expand(6, 4).t().contiguous().t()):
        with pytest.raises(RuntimeError, match=r"arrays must be contiguous and of one shape \(P, C\) and type"):
            op(X, X.sigmoid(), wrong)
    whole = torch.zeros(6, 4, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="an array must be float32 or float64"):
        op(whole, whole, whole)
