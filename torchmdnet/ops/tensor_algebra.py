r"""Products and normalisation of 3x3 tensors, one for each atom and channel, given by nine components.

Components are those of an orthonormal basis of the irreducible parts: 0 is the trace part, 1 to 3 the antisymmetric
part, 4 to 8 the symmetric tracefree part. Derivatives of a product are products, so that each node is its own second
derivative; the native kernels are one pass each over (9, N, C).
"""

import functools
import math
from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native

__all__ = [
    "NUM_COMPONENTS",
    "PART_SIZES",
    "anticommutator",
    "from_matrix",
    "matrix_product",
    "normalize",
    "normalize_reference",
    "tensor_basis",
    "tensor_product_reference",
    "to_matrix",
]

PART_SIZES = (1, 3, 5)
"""Components of the trace, antisymmetric and symmetric tracefree parts."""

NUM_COMPONENTS = sum(PART_SIZES)


def tensor_basis() -> Tensor:
    r"""The basis as rows of flattened 3x3 matrices. () -> (9, 9) float64

    Trace :math:`1/\sqrt3`; antisymmetric :math:`K(e_k)/\sqrt2`, where K(w) v is the cross product w × v; symmetric
    xy, yz, xz, x² - y², 2z² - x² - y², each of norm 1.
    """
    basis = torch.zeros(NUM_COMPONENTS, 3, 3, dtype=torch.float64)
    basis[0] = torch.eye(3, dtype=torch.float64) / math.sqrt(3)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        basis[1 + k, j, i] = 1 / math.sqrt(2)
        basis[1 + k, i, j] = -1 / math.sqrt(2)
    for component, (i, j) in zip((4, 5, 6), ((0, 1), (1, 2), (0, 2)), strict=True):
        basis[component, i, j] = basis[component, j, i] = 1 / math.sqrt(2)
    basis[7] = torch.diag(torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)) / math.sqrt(2)
    basis[8] = torch.diag(torch.tensor([-1.0, -1.0, 2.0], dtype=torch.float64)) / math.sqrt(6)
    return basis.reshape(NUM_COMPONENTS, 9)


@functools.lru_cache(maxsize=8)
def _made_basis(dtype: torch.dtype, device: torch.device) -> Tensor:
    return tensor_basis().to(device=device, dtype=dtype)


def _basis(dtype: torch.dtype, device: torch.device) -> Tensor:
    # Compiled code holds the basis as a constant. (torch.compiler.assume_constant_result would load the compiler, which
    # takes a second, whenever this module is imported.)
    return (
        tensor_basis().to(device=device, dtype=dtype) if torch.compiler.is_compiling() else _made_basis(dtype, device)
    )


def to_matrix(x: Tensor) -> Tensor:
    """Components to matrices. (9, N, C) -> (3, 3, N, C)"""
    return (_basis(x.dtype, x.device).t() @ x.flatten(1)).reshape(3, 3, *x.shape[1:])


def from_matrix(matrix: Tensor) -> Tensor:
    """Matrices to components. (3, 3, N, C) -> (9, N, C)"""
    flat = matrix.reshape(NUM_COMPONENTS, -1)
    return (_basis(matrix.dtype, matrix.device) @ flat).reshape(NUM_COMPONENTS, *matrix.shape[2:])


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """AB, differentiable to any order. a, b: (9, N, C) -> (9, N, C)"""
    # torch.compile does not take one tensor for two arguments of a Function.
    b = b.view_as(b) if b is a else b
    result: Tensor = _Product.apply(a, b, False, False, False)
    return result


def anticommutator(a: Tensor, b: Tensor) -> Tensor:
    """AB + BA, differentiable to any order. a, b: (9, N, C) -> (9, N, C)"""
    result: Tensor = _Product.apply(a, b, False, False, True)
    return result


def normalize(x: Tensor) -> Tensor:
    r""":math:`X / (\|X\|^2 + 1)`, differentiable to any order. (9, N, C) -> (9, N, C)"""
    result: Tensor = _Normalize.apply(x)
    return result


def tensor_product_reference(
    a: Tensor, b: Tensor, *, transpose_a: bool = False, transpose_b: bool = False, both: bool = False
) -> Tensor:
    """AB, or with ``both`` AB + BA, of tensors or their transposes. a, b: (9, N, C) -> (9, N, C)"""
    left, right = to_matrix(a), to_matrix(b)
    left = left.transpose(0, 1) if transpose_a else left
    right = right.transpose(0, 1) if transpose_b else right
    product = (left.unsqueeze(2) * right.unsqueeze(0)).sum(1)
    if both:
        product = product + (right.unsqueeze(2) * left.unsqueeze(0)).sum(1)
    return from_matrix(product)


def normalize_reference(x: Tensor) -> Tensor:
    r""":math:`X / (\|X\|^2 + 1)`. (9, N, C) -> (9, N, C)"""
    return x / (_dot(x, x) + 1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum over components. (9, N, C) -> (N, C)"""
    return (a * b).sum(0)


def _product(a: Tensor, b: Tensor, transpose_a: bool, transpose_b: bool, both: bool) -> Tensor:
    if native.has_kernel("tensor_product", a, b):
        flags = (int(transpose_a), int(transpose_b), int(both))
        result: Tensor = native.call("tensor_product", a.contiguous(), b.contiguous(), *flags)
        return result
    return tensor_product_reference(a, b, transpose_a=transpose_a, transpose_b=transpose_b, both=both)


class _Product(torch.autograd.Function):
    """(A, B) -> A B, or A B + B A; transposed where the flags say so. The gradients are G Bᵀ and Aᵀ G."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, transpose_a: bool, transpose_b: bool, both: bool) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.flags = (transpose_a, transpose_b, both)
        return _product(a, b, transpose_a, transpose_b, both)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        a, b = ctx.saved_tensors
        of_a, of_b, both = ctx.flags
        grad_a = grad_b = None
        if ctx.needs_input_grad[0]:
            grad_a = (
                _Product.apply(b, grad, of_b, True, both) if of_a else _Product.apply(grad, b, False, not of_b, both)
            )
        if ctx.needs_input_grad[1]:
            grad_b = (
                _Product.apply(grad, a, True, of_a, both) if of_b else _Product.apply(a, grad, not of_a, False, both)
            )
        return grad_a, grad_b, None, None, None


class _Normalize(torch.autograd.Function):
    """X -> r X with r = 1 / (|X|² + 1)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        if native.has_kernel("tensor_normalize", x):
            result: Tensor = native.call("tensor_normalize", x.contiguous())
            return result
        return normalize_reference(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = _NormalizeSlope.apply(x, grad)
        return result


class _NormalizeSlope(torch.autograd.Function):
    """(X, G) -> r G - 2 r² (G·X) X, which as a map of G is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor) -> Tensor:
        ctx.save_for_backward(x, grad)
        if native.has_kernel("tensor_normalize_slope", x, grad):
            result: Tensor = native.call("tensor_normalize_slope", x.contiguous(), grad.contiguous())
            return result
        r = 1 / (_dot(x, x) + 1)
        return r * grad - 2 * r**2 * _dot(grad, x) * x

    @staticmethod
    def backward(ctx: Any, other: Tensor) -> tuple[Tensor, Tensor]:
        x, grad = ctx.saved_tensors
        # Only a first backward pass has no graph to keep: any further derivative goes through PyTorch's operations.
        has_kernel = native.has_kernel("tensor_normalize_curvature", x, grad, other)
        is_last = not torch.is_grad_enabled() and has_kernel
        grad_x = _native_curvature(x, grad, other) if is_last else _curvature(x, grad, other)
        return grad_x, _NormalizeSlope.apply(x, other)


def _native_curvature(x: Tensor, grad: Tensor, other: Tensor) -> Tensor:
    values = (x.contiguous(), grad.contiguous(), other.contiguous())
    result: Tensor = native.call("tensor_normalize_curvature", *values)
    return result


def _curvature(x: Tensor, grad: Tensor, other: Tensor) -> Tensor:
    """The derivative by X of H·(r G - 2 r² (G·X) X). x, grad, other: (9, N, C) -> (9, N, C)"""
    r = 1 / (_dot(x, x) + 1)
    gx, hx = _dot(grad, x), _dot(other, x)
    along_x = 8 * r**3 * gx * hx - 2 * r**2 * _dot(grad, other)
    return along_x * x - 2 * r**2 * (hx * grad + gx * other)


for _name in ("tensor_product", "tensor_normalize", "tensor_normalize_slope", "tensor_normalize_curvature"):
    native.describe(_name, fake=native.like())
