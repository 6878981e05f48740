"""SiLU and its derivatives."""

import torch
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops.silu import silu, silu_jet, silu_jet_reference, silu_reference

X = torch.linspace(-6, 6, 24, dtype=torch.float64).view(6, 4)
SLOPE = torch.linspace(1, -2, 24, dtype=torch.float64).view(6, 4)


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
