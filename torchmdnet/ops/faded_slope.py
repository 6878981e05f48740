r"""Make a product :math:`f(d) \, c(d)`, known with both slopes, a function of the distance d.

The derivative of the product by d is :math:`f' c + f c'`. One value c and one slope c' serve a row of many f.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native

__all__ = ["attach_slope", "faded_slope_reference"]


def attach_slope(
    product: Tensor, distance: Tensor, *, f: Tensor, f_slope: Tensor, c: Tensor, c_slope: Tensor
) -> Tensor:
    """The product f c, unchanged, with its derivative by the distance attached; that is differentiable once.

    Shapes: product, f, f_slope: (P, C), distance: (P,), c, c_slope: (P, 1) -> (P, C).
    """
    result: Tensor = _Attach.apply(product, distance, f, f_slope, c, c_slope)
    return result


def faded_slope_reference(grad: Tensor, f: Tensor, f_slope: Tensor, c: Tensor, c_slope: Tensor) -> Tensor:
    """Sum over each row of g (f' c + f c'). grad, f, f_slope: (P, C), c, c_slope: (P, 1) -> (P,)"""
    return (grad * (f_slope * c + f * c_slope)).sum(-1)


class _Attach(torch.autograd.Function):
    """(p, d, f, f', c, c') -> p, whose derivative by d is f' c + f c'."""

    @staticmethod
    def forward(
        ctx: Any, product: Tensor, distance: Tensor, f: Tensor, f_slope: Tensor, c: Tensor, c_slope: Tensor
    ) -> Tensor:
        ctx.save_for_backward(f, f_slope, c, c_slope)
        return product.view_as(product)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        return grad, _FadedSlope.apply(grad, *ctx.saved_tensors), None, None, None, None


class _FadedSlope(torch.autograd.Function):
    """(g, f, f', c, c') -> sum over a row of g (f' c + f c')."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, f: Tensor, f_slope: Tensor, c: Tensor, c_slope: Tensor) -> Tensor:
        ctx.save_for_backward(grad, f, f_slope, c, c_slope)
        if native.has_kernel("faded_slope", grad, f, f_slope, c, c_slope):
            values = (value.contiguous() for value in (grad, f, f_slope, c, c_slope))
            result: Tensor = native.call("faded_slope", *values)
            return result
        return faded_slope_reference(grad, f, f_slope, c, c_slope)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        grad, f, f_slope, c, c_slope = ctx.saved_tensors
        if native.has_kernel("faded_slope_backward", upstream, grad, f, f_slope, c, c_slope):
            values = (value.contiguous() for value in (upstream, *ctx.saved_tensors))
            grad_grad, grad_f, grad_slope = native.call("faded_slope_backward", *values)
            return grad_grad, grad_f, grad_slope, None, None
        own, other = upstream.unsqueeze(-1) * c, upstream.unsqueeze(-1) * c_slope
        return own * f_slope + other * f, other * grad, own * grad, None, None


def _fake(grad: Tensor, f: Tensor, f_slope: Tensor, c: Tensor, c_slope: Tensor) -> Tensor:
    return f.new_empty(f.shape[:1])


native.describe("faded_slope", fake=_fake)
native.describe("faded_slope_backward", fake=native.like(3, position=1))
