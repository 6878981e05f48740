"""Products and normalisation of 3x3 tensors."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import tensor_algebra

Op = Callable[..., Tensor]
PRODUCTS = ["matrix_product", "anticommutator"]


def op(name: str) -> tuple[Op, Op]:
    return getattr(tensor_algebra, name), getattr(tensor_algebra, f"{name}_reference")


def inputs(name: str, *, num_atoms: int = 2) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(9, num_atoms, 3)] if name == "normalize" else [(3, 3, num_atoms, 3)] * 2
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes)


@pytest.mark.parametrize("name", [*PRODUCTS, "normalize"])
def test_equals_its_reference(name: str) -> None:
    function, reference = op(name)
    for arguments in (inputs(name), [x.float() for x in inputs(name)], inputs(name, num_atoms=0)):
        torch.testing.assert_close(function(*arguments), reference(*arguments))


@pytest.mark.parametrize("name", [*PRODUCTS, "normalize"])
def test_first_and_second_derivatives_are_right(name: str) -> None:
    function, _ = op(name)
    assert gradcheck(function, inputs(name))
    assert gradgradcheck(function, inputs(name))


@pytest.mark.parametrize("name", PRODUCTS)
def test_square_of_one_tensor_has_the_right_derivative(name: str) -> None:
    function, _ = op(name)
    (x, _) = inputs(name)
    assert gradcheck(lambda a: function(a, a), (x,))


def test_a_matrix_commutes_with_itself() -> None:
    x, _ = inputs("anticommutator")
    torch.testing.assert_close(tensor_algebra.anticommutator(x, x), 2 * tensor_algebra.matrix_product(x, x))
