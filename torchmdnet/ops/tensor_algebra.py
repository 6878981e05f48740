"""Products and norms of 3x3 tensors, differentiable twice at the cost of a few kernels."""

from typing import Any

import torch
from torch import Tensor


def _product(a: Tensor, b: Tensor) -> Tensor:
    out = a[:, 0].unsqueeze(1) * b[0]
    out.addcmul_(a[:, 1].unsqueeze(1), b[1])
    return out.addcmul_(a[:, 2].unsqueeze(1), b[2])


class _MatrixProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _product(a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        need_a, need_b = ctx.needs_input_grad
        return (
            _MatrixProduct.apply(grad, b.transpose(0, 1)) if need_a else None,
            _MatrixProduct.apply(a.transpose(0, 1), grad) if need_b else None,
        )


class _Anticommutator(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        out = _product(a, b)
        for k in range(3):
            out.addcmul_(b[:, k].unsqueeze(1), a[k])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        need_a, need_b = ctx.needs_input_grad
        return (
            _Anticommutator.apply(grad, b.transpose(0, 1)) if need_a else None,
            _Anticommutator.apply(grad, a.transpose(0, 1)) if need_b else None,
        )


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * _inverse(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return _NormalizeSlope.apply(x, grad)


def _dot(a, b):
    return torch.einsum("knc,knc->nc", a, b) if False else (a * b).sum(0)


def _inverse(x):
    return (_dot(x, x) + 1).reciprocal_()


class _NormalizeSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor) -> Tensor:
        ctx.save_for_backward(x, grad)
        r = _inverse(x)
        out = grad * r
        return out.addcmul_(x, _dot(grad, x).mul_(r).mul_(r), value=-2)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, g = ctx.saved_tensors
        r = 1 / ((x * x).sum(0) + 1)
        r2 = r * r
        hx, gx = (h * x).sum(0), (g * x).sum(0)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = x * (8 * r * r2 * gx * hx - 2 * r2 * (h * g).sum(0))
            grad_x = torch.addcmul(grad_x, -2 * r2 * hx, g)
            grad_x = torch.addcmul(grad_x, -2 * r2 * gx, h)
        return grad_x, torch.addcmul(r * h, -2 * r2 * hx, x) if ctx.needs_input_grad[1] else None


def matrix_product(a, b):
    return _MatrixProduct.apply(a, b)


def anticommutator(a, b):
    return _Anticommutator.apply(a, b)


def normalize(x):
    return _Normalize.apply(x)
