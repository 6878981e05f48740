"""Tensors of the directions of edges, and gradients by distances as gradients by vectors."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import native
from torchmdnet.ops.along_vectors import along_vectors, along_vectors_reference
from torchmdnet.ops.edge_tensors import (
    direction_components,
    edge_tensors,
    edge_tensors_backward_reference,
    edge_tensors_reference,
)

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
each_type = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
each_size = pytest.mark.parametrize("num_edges", [0, 1, 5, 5000])


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def edges(num_edges: int = 4, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Vectors, every third of length zero, and their lengths."""
    vector = draw(num_edges, 3, dtype=dtype)
    vector[::3] = 0
    return vector, vector.norm(dim=1)


@each_type
@each_size
def test_tensors_and_their_gradient_equal_the_reference(num_edges: int, dtype: torch.dtype, tolerance: float) -> None:
    vector, _ = edges(num_edges, dtype=dtype)
    grad = draw(num_edges, 9, seed=1, dtype=dtype)
    close = {"atol": 100 * tolerance, "rtol": 10 * tolerance}  # a short vector has a large gradient
    torch.testing.assert_close(edge_tensors(vector), edge_tensors_reference(vector), **close)
    ours = torch.ops.torchmdnet.edge_tensors_backward(grad, vector)
    torch.testing.assert_close(ours, edge_tensors_backward_reference(grad, vector), **close)


def test_tensor_depends_on_the_direction_alone() -> None:
    vector = draw(4, 3)
    torch.testing.assert_close(edge_tensors(3 * vector), edge_tensors(vector))
    torch.testing.assert_close(edge_tensors(vector), direction_components(vector / vector.norm(dim=1, keepdim=True)))


def test_tensors_have_first_and_second_derivatives() -> None:
    vector = draw(4, 3).requires_grad_()
    assert gradcheck(edge_tensors, vector)
    assert gradgradcheck(edge_tensors, vector)


def test_a_vector_of_length_zero_has_the_trace_alone_and_no_derivatives() -> None:
    vector = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    value = edge_tensors(vector)
    torch.testing.assert_close(value.detach()[0], torch.tensor([3**0.5, *[0.0] * 8], dtype=torch.float64))
    (slope,) = torch.autograd.grad(value.sin().sum(), vector, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), vector)
    assert not slope.any()
    assert not curvature.any()


@each_type
@each_size
def test_sum_along_vectors_equals_the_reference(num_edges: int, dtype: torch.dtype, tolerance: float) -> None:
    vector, distance = edges(num_edges, dtype=dtype)
    arguments = (draw(num_edges, 3, seed=1, dtype=dtype), draw(num_edges, seed=2, dtype=dtype), vector, distance)
    torch.testing.assert_close(
        along_vectors(*arguments), along_vectors_reference(*arguments), atol=tolerance, rtol=tolerance
    )


def test_sum_along_vectors_has_first_and_second_derivatives() -> None:
    vector = draw(3, 3)
    inputs = [draw(3, 3, seed=1), draw(3, seed=2), vector, vector.norm(dim=1)]
    inputs = [value.requires_grad_() for value in inputs]
    assert gradcheck(along_vectors, inputs)
    assert gradgradcheck(along_vectors, inputs)


def test_a_pair_of_length_zero_adds_nothing() -> None:
    by_vector = draw(1, 3)
    zero = torch.zeros(1, dtype=torch.float64)
    found = along_vectors(by_vector, draw(1, seed=1), torch.zeros(1, 3, dtype=torch.float64), zero)
    assert torch.equal(found, by_vector)


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    vector, distance = edges()
    vector.requires_grad_()
    ops = torch.ops.torchmdnet
    torch.library.opcheck(ops.edge_tensors.default, (draw(4, 3).requires_grad_(),))
    torch.library.opcheck(ops.edge_tensors_backward.default, (draw(4, 9).requires_grad_(), vector))
    grads = (draw(4, 3).requires_grad_(), draw(4).requires_grad_())
    torch.library.opcheck(ops.along_vectors.default, (*grads, vector, distance))


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ValueError, match=r"want vectors \(E, 3\), not \(4, 2\)"):
        edge_tensors(draw(4, 2))


@needs_native
def test_the_ops_refuse_what_would_be_read_out_of_bounds() -> None:
    vector, distance = edges()
    with pytest.raises(RuntimeError, match=r"the gradient must be contiguous, of shape \(E, 9\)"):
        torch.ops.torchmdnet.edge_tensors_backward(draw(3, 9), vector)
    with pytest.raises(RuntimeError, match=r"gradients by vectors must be contiguous, of shape \(E, 3\)"):
        along_vectors(draw(3, 3), draw(4), vector, distance)
    with pytest.raises(RuntimeError, match=r"distances and gradients by them must be contiguous, of shape \(E,\)"):
        along_vectors(draw(4, 3), draw(3), vector, distance)
