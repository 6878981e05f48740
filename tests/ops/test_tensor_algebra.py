"""Components, products and normalisation of 3x3 tensors."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import native
from torchmdnet.ops.tensor_algebra import (
    anticommutator,
    from_matrix,
    matrix_product,
    normalize,
    normalize_reference,
    tensor_basis,
    tensor_product_reference,
    to_matrix,
)

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


def tensors(count: int = 2, *, num_atoms: int = 2, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (9, num_atoms, 3)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for _ in range(count)
    ]


def test_basis_is_orthonormal() -> None:
    basis = tensor_basis()
    torch.testing.assert_close(basis @ basis.t(), torch.eye(9, dtype=torch.float64))


def test_matrices_and_components_are_inverse() -> None:
    (x,) = tensors(1)
    torch.testing.assert_close(from_matrix(to_matrix(x)), x)


@pytest.mark.parametrize(("first", "last", "sign"), [(0, 1, 1), (1, 4, -1), (4, 9, 1)])
def test_parts_are_trace_antisymmetric_and_symmetric_tracefree(first: int, last: int, sign: int) -> None:
    (x,) = tensors(1)
    alone = torch.zeros_like(x)
    alone[first:last] = x.detach()[first:last]
    matrix = to_matrix(alone)
    trace = matrix.diagonal().sum(-1)
    torch.testing.assert_close(matrix.transpose(0, 1), sign * matrix)
    eye = torch.eye(3, dtype=torch.float64)[:, :, None, None]
    if first == 0:
        torch.testing.assert_close(matrix, eye * trace / 3)
    else:
        torch.testing.assert_close(trace, torch.zeros_like(trace))


def test_product_is_that_of_the_matrices() -> None:
    a, b = tensors()
    expected = torch.einsum("ijnc,jknc->iknc", to_matrix(a), to_matrix(b))
    torch.testing.assert_close(to_matrix(matrix_product(a, b)), expected)


@pytest.mark.parametrize("num_atoms", [0, 1, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_its_reference(dtype: torch.dtype, num_atoms: int) -> None:
    a, b = tensors(num_atoms=num_atoms, dtype=dtype)
    torch.testing.assert_close(matrix_product(a, b), tensor_product_reference(a, b))
    torch.testing.assert_close(anticommutator(a, b), tensor_product_reference(a, b, both=True))
    torch.testing.assert_close(normalize(a), normalize_reference(a))


@pytest.mark.parametrize("product", [matrix_product, anticommutator])
def test_derivatives_of_a_product_are_right(product: object) -> None:
    assert callable(product)
    assert gradcheck(product, tensors())
    assert gradgradcheck(product, tensors())


def test_derivative_of_a_square_is_right() -> None:
    assert gradcheck(lambda a: matrix_product(a, a), tensors(1))


def test_derivatives_of_normalisation_are_right() -> None:
    assert gradcheck(normalize, tensors(1))
    assert gradgradcheck(normalize, tensors(1))


def test_training_step_through_normalisation_is_that_of_the_reference() -> None:
    """The last pass of a training step has a kernel of its own, which gradgradcheck does not reach."""
    results = []
    for function in (normalize, normalize_reference):
        (x,) = tensors(1)
        (slope,) = torch.autograd.grad(function(x).sin().sum(), x, create_graph=True)
        slope.square().sum().backward()
        results.append(x.grad)
    torch.testing.assert_close(*results)


def test_third_derivative_is_that_of_the_reference() -> None:
    results = []
    for function in (normalize, normalize_reference):
        (x,) = tensors(1)
        value = function(x).sin().sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(value, x, create_graph=True)
            value = gradient.square().sum()
        results.append(gradient.detach())
    torch.testing.assert_close(*results)


def test_a_matrix_commutes_with_itself() -> None:
    (x,) = tensors(1)
    torch.testing.assert_close(anticommutator(x, x), 2 * matrix_product(x, x))


@needs_native
def test_a_wrong_shape_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"a tensor must have shape \(9, N, C\)"):
        normalize(torch.zeros(8, 2, 3))


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    a, b, c = (value.detach() for value in tensors(3))
    ops = torch.ops.torchmdnet
    for flags in ((0, 0, 0), (1, 0, 1)):
        torch.library.opcheck(ops.tensor_product.default, (a, b, *flags))
    torch.library.opcheck(ops.tensor_normalize.default, (a,))
    torch.library.opcheck(ops.tensor_normalize_slope.default, (a, b))
    torch.library.opcheck(ops.tensor_normalize_curvature.default, (a, b, c))


def test_no_channels_give_no_columns() -> None:
    nothing = torch.zeros(9, 4, 0, requires_grad=True)
    result = normalize(matrix_product(nothing, nothing))
    (gradient,) = torch.autograd.grad(result.sum(), nothing)
    assert result.shape == gradient.shape == (9, 4, 0)


def test_takes_inputs_in_any_memory_order() -> None:
    a, b = tensors()
    strided = a.detach().permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not strided.is_contiguous()
    torch.testing.assert_close(normalize(matrix_product(strided, b)), normalize(matrix_product(a, b)))
