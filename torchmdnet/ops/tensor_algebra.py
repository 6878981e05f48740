"""Products and normalisation of 3x3 tensors, one for each atom and channel, whose derivatives are a few kernels each.

A derivative of a product is a product again, so that each node is its own second derivative.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = [
    "anticommutator",
    "anticommutator_reference",
    "matrix_product",
    "matrix_product_reference",
    "normalize",
    "normalize_reference",
]


def matrix_product_reference(a: Tensor, b: Tensor) -> Tensor:
    """AB. a, b: (3, 3, N, C) -> (3, 3, N, C)"""
    return torch.einsum("ijnc,jknc->iknc", a, b)


def anticommutator_reference(a: Tensor, b: Tensor) -> Tensor:
    """AB + BA. a, b: (3, 3, N, C) -> (3, 3, N, C)"""
    return matrix_product_reference(a, b) + matrix_product_reference(b, a)


def normalize_reference(x: Tensor) -> Tensor:
    r""":math:`X / (\|X\|^2 + 1)`. (9, N, C) -> (9, N, C)"""
    return x / ((x * x).sum(0) + 1)


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """AB, differentiable to any order. a, b: (3, 3, N, C) -> (3, 3, N, C)"""
    result: Tensor = _MatrixProduct.apply(a, b)
    return result


def anticommutator(a: Tensor, b: Tensor) -> Tensor:
    """AB + BA, differentiable to any order. a, b: (3, 3, N, C) -> (3, 3, N, C)"""
    result: Tensor = _Anticommutator.apply(a, b)
    return result


def normalize(x: Tensor) -> Tensor:
    r""":math:`X / (\|X\|^2 + 1)`, differentiable to any order. (9, N, C) -> (9, N, C)"""
    result: Tensor = _Normalize.apply(x)
    return result


def _add_product(result: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Add AB in place."""
    for k in range(3):
        result.addcmul_(a[:, k].unsqueeze(1), b[k])
    return result


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum over components. (9, N, C) -> (N, C)"""
    return (a * b).sum(0)


class _MatrixProduct(torch.autograd.Function):
    """(A, B) -> AB; the gradients are G Bᵀ and Aᵀ G."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _add_product(torch.zeros_like(a), a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        need_a, need_b = ctx.needs_input_grad
        return (
            _MatrixProduct.apply(grad, b.transpose(0, 1)) if need_a else None,
            _MatrixProduct.apply(a.transpose(0, 1), grad) if need_b else None,
        )


class _Anticommutator(torch.autograd.Function):
    """(A, B) -> AB + BA; the gradients are anticommutators of G with Bᵀ and Aᵀ."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _add_product(_add_product(torch.zeros_like(a), a, b), b, a)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        need_a, need_b = ctx.needs_input_grad
        return (
            _Anticommutator.apply(grad, b.transpose(0, 1)) if need_a else None,
            _Anticommutator.apply(grad, a.transpose(0, 1)) if need_b else None,
        )


class _Normalize(torch.autograd.Function):
    """X -> r X with r = 1 / (|X|² + 1)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * (_dot(x, x) + 1).reciprocal_()

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
        r = (_dot(x, x) + 1).reciprocal_()
        return (grad * r).addcmul_(x, _dot(grad, x).mul_(r).mul_(r), value=-2)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor, Tensor]:
        x, g = ctx.saved_tensors
        r = 1 / (_dot(x, x) + 1)
        hx, gx = _dot(h, x), _dot(g, x)
        along_x = 8 * r**3 * gx * hx - 2 * r**2 * _dot(h, g)
        grad_x = along_x * x - 2 * r**2 * (hx * g + gx * h)
        return grad_x, _NormalizeSlope.apply(x, h)
