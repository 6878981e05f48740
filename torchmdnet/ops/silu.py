r"""SiLU whose derivatives are a few element-wise kernels each.

Training on forces differentiates twice. PyTorch's own silu then records its derivative as a chain of elementary
operations and differentiates every link; here each order is one node that keeps its input alone.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["silu", "silu_jet", "silu_jet_reference", "silu_reference"]


def silu_reference(x: Tensor) -> Tensor:
    r""":math:`x \, \sigma(x)` from elementary operations: what :func:`silu` is tested against."""
    return x * torch.sigmoid(x)


def silu(x: Tensor) -> Tensor:
    r""":math:`x \, \sigma(x)`, differentiable to any order. Shape kept."""
    result: Tensor = _SiLU.apply(x)
    return result


def silu_jet_reference(jet: Tensor, bias: Tensor) -> Tensor:
    """:func:`silu_jet` from elementary operations."""
    shifted = jet[0] + bias
    sigma = torch.sigmoid(shifted)
    return torch.stack([shifted * sigma, sigma * (1 + shifted * (1 - sigma)) * jet[1]])


def silu_jet(jet: Tensor, bias: Tensor) -> Tensor:
    r"""SiLU of a value h and the derivative h' that goes with it: :math:`[s(h + b), s'(h + b) h']`.

    Differentiable once. Shapes: jet: (2, P, C), bias: (C,) -> (2, P, C).
    """
    result: Tensor = _SiLUJet.apply(jet, bias)
    return result


class _SiLU(torch.autograd.Function):
    """x -> x sigma(x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.nn.functional.silu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = _SiLUSlope.apply(x, grad)
        return result


class _SiLUSlope(torch.autograd.Function):
    """(x, g) -> g silu'(x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor) -> Tensor:
        ctx.save_for_backward(x, grad)
        return torch.ops.aten.silu_backward(grad, x)

    @staticmethod
    def backward(ctx: Any, grad_grad: Tensor) -> tuple[Tensor, Tensor]:
        x, grad = ctx.saved_tensors
        sigma = torch.sigmoid(x)
        curvature = sigma * (1 - sigma) * (2 + x * (1 - 2 * sigma))
        return grad_grad * grad * curvature, _SiLUSlope.apply(x, grad_grad)


class _SiLUJet(torch.autograd.Function):
    """([h, h'], b) -> [s(h + b), s'(h + b) h']."""

    @staticmethod
    def forward(ctx: Any, jet: Tensor, bias: Tensor) -> Tensor:
        x = jet[0] + bias
        sigma = torch.sigmoid(x)
        result = torch.empty_like(jet)
        torch.mul(x, sigma, out=result[0])
        slope = torch.addcmul(sigma, result[0], 1 - sigma)
        torch.mul(slope, jet[1], out=result[1])
        ctx.save_for_backward(jet, x, sigma, slope)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        jet, x, sigma, slope = ctx.saved_tensors
        # s'' = sigma (1 - sigma) (2 + x (1 - 2 sigma)) = (1 - sigma) (2 sigma + x sigma (1 - 2 sigma))
        complement = 1 - sigma
        curvature = (complement - sigma).mul_(x).add_(2).mul_(sigma).mul_(complement)
        result = grad * slope
        result[0].addcmul_(curvature.mul_(jet[1]), grad[1])
        return result, result[0].sum(0)
