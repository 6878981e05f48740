"""Cutoff and radial functions."""

import math

import pytest
import torch
from torch import Tensor

from torchmdnet.nn.radial import CosineCutoff, RadialBasis, cosine_cutoff, cosine_cutoff_jet, radial_basis

DISTANCES = torch.linspace(0.05, 4.95, 50, dtype=torch.float64)


def basis(name: str, lower: float = 0.0, *, num_rbf: int = 12, trainable: bool = False) -> RadialBasis:
    return radial_basis(name, lower, cutoff_upper=5.0, num_rbf=num_rbf, trainable=trainable, dtype=torch.float64)


def derivative(value: Tensor, distance: Tensor) -> Tensor:
    """Of each column. value: (P, R), distance: (P,) -> (P, R)"""
    columns = [torch.autograd.grad(column.sum(), distance, retain_graph=True)[0] for column in value.unbind(1)]
    return torch.stack(columns, dim=1)


def test_cutoff_falls_from_one_to_zero() -> None:
    values = cosine_cutoff(torch.tensor([0.0, 2.5, 5.0, 7.0]), 0.0, 5.0)
    torch.testing.assert_close(values, torch.tensor([1.0, 0.5, 0.0, 0.0]))


def test_cutoff_with_a_lower_end_is_a_bump() -> None:
    values = cosine_cutoff(torch.tensor([0.0, 1.0, 3.0, 5.0]), 1.0, 5.0)
    torch.testing.assert_close(values, torch.tensor([0.0, 0.0, 1.0, 0.0]))


@pytest.mark.parametrize("lower", [0.0, 0.7])
def test_slope_of_the_cutoff_is_its_derivative(lower: float) -> None:
    distance = DISTANCES.clone().requires_grad_()
    (expected,) = torch.autograd.grad(cosine_cutoff(distance, lower, 5.0).sum(), distance)
    torch.testing.assert_close(cosine_cutoff_jet(DISTANCES, lower, 5.0).slope, expected)


def test_module_is_the_function() -> None:
    torch.testing.assert_close(CosineCutoff(0.5, 5.0)(DISTANCES), cosine_cutoff(DISTANCES, 0.5, 5.0))


def test_expnorm_follows_its_formula() -> None:
    start = math.exp(-5.0)
    means = torch.linspace(start, 1, 12, dtype=torch.float64)
    beta = (2 / 12 * (1 - start)) ** -2
    cutoff = 0.5 * (torch.cos(math.pi * DISTANCES / 5) + 1)
    expected = cutoff[:, None] * torch.exp(-beta * (torch.exp(-DISTANCES)[:, None] - means) ** 2)
    torch.testing.assert_close(basis("expnorm")(DISTANCES), expected, rtol=1e-12, atol=1e-20)


def test_gauss_follows_its_formula() -> None:
    centers = torch.linspace(0.5, 5, 12, dtype=torch.float64)
    width = centers[1] - centers[0]
    expected = torch.exp(-0.5 * ((DISTANCES[:, None] - centers) / width) ** 2)
    torch.testing.assert_close(basis("gauss", 0.5)(DISTANCES), expected, rtol=1e-12, atol=1e-20)


@pytest.mark.parametrize("lower", [0.0, 0.7])
@pytest.mark.parametrize("name", ["expnorm", "gauss"])
def test_slopes_of_the_basis_are_its_derivatives(name: str, lower: float) -> None:
    distance = DISTANCES.clone().requires_grad_()
    functions = basis(name, lower)
    torch.testing.assert_close(functions.jet(DISTANCES).slope, derivative(functions(distance), distance))


@pytest.mark.parametrize("name", ["expnorm", "gauss"])
def test_values_are_never_subnormal(name: str) -> None:
    functions = radial_basis(name, 0.0, cutoff_upper=5.0, num_rbf=64, trainable=False, dtype=torch.float32)
    jet = functions.jet(torch.linspace(0, 5, 1001))
    smallest = torch.finfo(torch.float32).tiny
    assert jet.slope is not None
    for values in jet:
        assert not bool(((values != 0) & (values.abs() < smallest)).any())


@pytest.mark.parametrize(("name", "keys"), [("expnorm", {"means", "betas"}), ("gauss", {"offset", "coeff"})])
def test_trainable_functions_are_parameters(name: str, keys: set[str]) -> None:
    assert {key for key, _ in basis(name, trainable=True).named_parameters()} == keys
    assert {key for key, _ in basis(name).named_buffers()} == keys


def test_reset_restores_the_initial_values() -> None:
    functions = basis("expnorm", trainable=True)
    before = {key: value.clone() for key, value in functions.state_dict().items()}
    for parameter in functions.parameters():
        parameter.data.zero_()
    functions.reset_parameters()
    torch.testing.assert_close(dict(functions.state_dict()), before)


def test_an_unknown_basis_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="rbf_type 'bessel' is not known; choose one of gauss, expnorm"):
        basis("bessel")


def test_cutoffs_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0 <= lower < upper; got lower 6\.0 and upper 5\.0"):
        basis("gauss", 6.0)


def test_a_single_function_is_refused() -> None:
    with pytest.raises(ValueError, match="num_rbf must be at least 2; got 1"):
        basis("gauss", num_rbf=1)
