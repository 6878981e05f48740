r"""Functions of the distance together with their derivatives.

Everything in these models that depends on the distance alone is evaluated once a distinct distance as a *jet*
:math:`f(d), f'(d)`: the forces then need no backward pass through the radial networks, and training on forces no second
one. Such a result has no second derivative with respect to d. Where one is needed, a jet holds the value alone, and
PyTorch differentiates it.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.nn.activations import SiLU
from torchmdnet.ops.silu import silu_jet

__all__ = ["Jet", "attach_jet", "attach_product", "jet_activation", "jet_linear"]


class Jet(NamedTuple):
    """A function of P distances."""

    value: Tensor
    """(P, C)"""
    slope: Tensor | None
    """Derivative, of a value that is no function of the distance in PyTorch's graph. (P, C)"""


def jet_linear(jet: Jet, weight: Tensor, bias: Tensor) -> Jet:
    """Affine map of the columns. weight: (C, R), bias: (C,)"""
    value = nn.functional.linear(jet.value, weight, bias)
    return Jet(value, None if jet.slope is None else nn.functional.linear(jet.slope, weight))


def jet_activation(jet: Jet, act: nn.Module) -> Jet:
    """Activation, element by element."""
    if jet.slope is None:
        return Jet(act(jet.value), None)
    if isinstance(act, SiLU):
        return Jet(*silu_jet(jet.value, jet.slope))
    with torch.enable_grad():
        x = jet.value if jet.value.requires_grad else jet.value.detach().requires_grad_()
        value = act(x)
        (derivative,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    return Jet(value, derivative * jet.slope)


def attach_jet(jet: Jet, distance: Tensor) -> Tensor:
    """The value as a function of the distance. distance: (P,) -> (P, C)"""
    if jet.slope is None:
        return jet.value
    one = torch.ones_like(distance).unsqueeze(-1)
    result: Tensor = _AttachProduct.apply(jet.value, jet.slope, one, torch.zeros_like(one), distance)
    return result


def attach_product(jet: Jet, factor: Jet, *, distance: Tensor) -> Tensor:
    """Product with a factor of one fixed column, as a function of the distance. distance: (P,) -> (P, C)"""
    if jet.slope is None or factor.slope is None:
        return jet.value * factor.value
    result: Tensor = _AttachProduct.apply(jet.value, jet.slope, factor.value, factor.slope, distance)
    return result


class _AttachProduct(torch.autograd.Function):
    """(f, f', c, c', d) -> f c, whose derivative by d is f' c + f c'."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, f_slope: Tensor, c: Tensor, c_slope: Tensor, distance: Tensor) -> Tensor:
        ctx.save_for_backward(f, f_slope, c, c_slope)
        return f * c

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, Tensor]:
        f, f_slope, c, c_slope = ctx.saved_tensors
        return grad * c, None, None, None, _ProductSlope.apply(grad, f, f_slope, c, c_slope)


class _ProductSlope(torch.autograd.Function):
    """(g, f, f', c, c') -> sum over columns of g (f' c + f c')."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, f: Tensor, f_slope: Tensor, c: Tensor, c_slope: Tensor) -> Tensor:
        slope = (f_slope * c).addcmul_(f, c_slope)
        ctx.save_for_backward(grad, slope, c, c_slope)
        return (grad * slope).sum(-1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        grad, slope, c, c_slope = ctx.saved_tensors
        column = grad_grad.unsqueeze(-1)
        return slope * column, grad * (column * c_slope), grad * (column * c), None, None
