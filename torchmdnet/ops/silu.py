r"""SiLU whose derivatives are a few element-wise kernels each.

Training on forces differentiates twice. PyTorch's own silu then records its derivative as a chain of elementary
operations and differentiates every link; here each order is one node that keeps its input alone.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native

__all__ = ["silu", "silu_jet", "silu_jet_reference", "silu_reference"]


def silu_reference(x: Tensor) -> Tensor:
    r""":math:`x \, \sigma(x)` from elementary operations: what :func:`silu` is tested against."""
    return x * torch.sigmoid(x)


def silu(x: Tensor) -> Tensor:
    r""":math:`x \, \sigma(x)`, differentiable to any order. Shape kept."""
    result: Tensor = _SiLU.apply(x)
    return result


def silu_jet_reference(x: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`silu_jet` from elementary operations."""
    sigma = torch.sigmoid(x)
    return x * sigma, sigma * (1 + x * (1 - sigma)) * slope


def silu_jet(x: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    r"""SiLU of a value and of its derivative by some variable: :math:`s(x), s'(x) \, x'`.

    Differentiable once. Shapes: x, slope: (P, C) -> (P, C), (P, C).
    """
    value, value_slope = _SiLUJet.apply(x, slope)
    return value, value_slope


class _SiLU(torch.autograd.Function):
    """x -> x sigma(x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.nn.functional.silu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        # Only a backward pass that is recorded needs a node for its own derivative.
        slope = _SiLUSlope.apply if torch.is_grad_enabled() else _silu_slope
        result: Tensor = slope(x, grad)
        return result


def _silu_slope(x: Tensor, grad: Tensor) -> Tensor:
    return torch.ops.aten.silu_backward(grad, x)


class _SiLUSlope(torch.autograd.Function):
    """(x, g) -> g silu'(x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor) -> Tensor:
        ctx.save_for_backward(x, grad)
        return _silu_slope(x, grad)

    @staticmethod
    def backward(ctx: Any, grad_grad: Tensor) -> tuple[Tensor, Tensor]:
        x, grad = ctx.saved_tensors
        sigma = torch.sigmoid(x)
        curvature = sigma * (1 - sigma) * (2 + x * (1 - 2 * sigma))
        return grad_grad * grad * curvature, _SiLUSlope.apply(x, grad_grad)


class _SiLUJet(torch.autograd.Function):
    """(x, x') -> s(x), s'(x) x'."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        sigma = torch.sigmoid(x)
        ctx.save_for_backward(x, slope, sigma)
        if native.has_kernel("silu_jet", x, sigma, slope):
            value, value_slope = native.call("silu_jet", x.contiguous(), sigma.contiguous(), slope.contiguous())
            return value, value_slope
        value = x * sigma
        return value, (sigma + value * (1 - sigma)) * slope

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_slope: Tensor) -> tuple[Tensor, Tensor]:
        x, slope, sigma = ctx.saved_tensors
        if native.has_kernel("silu_jet_backward", grad, grad_slope, x, sigma, slope):
            values = (value.contiguous() for value in (grad, grad_slope, x, sigma, slope))
            grad_x, grad_of_slope = native.call("silu_jet_backward", *values)
            return grad_x, grad_of_slope
        value = x * sigma
        first = sigma + value * (1 - sigma)
        second = (1 - sigma) * (2 * first - value)
        return grad * first + grad_slope * slope * second, grad_slope * first


native.describe("silu_jet", fake=native.like(2))
native.describe("silu_jet_backward", fake=native.like(2))
