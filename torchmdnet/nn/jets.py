r"""Functions of the distance together with their derivatives.

Everything in these models that depends on the distance alone is evaluated once a distinct distance as a *jet*
:math:`[f(d), f'(d)]`, one tensor (2, P, C): the forces then need no backward pass through the radial networks, and
training on forces no second one. Such a result has no second derivative with respect to d. Where one is needed, a jet
holds the value alone, (1, P, C), and PyTorch differentiates it.
"""

from typing import Any

import torch
from torch import Tensor, nn

from torchmdnet.nn.activations import SiLU
from torchmdnet.ops.silu import silu_jet

__all__ = ["attach_jet", "jet_activation", "jet_linear"]


def jet_linear(jet: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Affine map. jet: (K, P, R), weight: (C, R), bias: (C,) -> (K, P, C)"""
    if jet.shape[0] == 1:
        return nn.functional.linear(jet, weight, bias)
    return nn.functional.linear(jet, weight) + torch.stack([bias, torch.zeros_like(bias)]).unsqueeze(1)


def jet_activation(jet: Tensor, linear: nn.Linear, act: nn.Module) -> Tensor:
    """Activation of an affine map. jet: (K, P, R) -> (K, P, C)"""
    if jet.shape[0] == 1:
        result: Tensor = act(linear(jet))
        return result
    mapped = nn.functional.linear(jet, linear.weight)
    if isinstance(act, SiLU):
        return silu_jet(mapped, linear.bias)
    return _any_activation(mapped, linear.bias, act)


def _any_activation(jet: Tensor, bias: Tensor, act: nn.Module) -> Tensor:
    with torch.enable_grad():
        x = jet[0] + bias
        x = x if x.requires_grad else x.requires_grad_()
        value = act(x)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    return torch.stack([value, slope * jet[1]])


def attach_jet(jet: Tensor, distance: Tensor, *, factor: Tensor | None = None) -> Tensor:
    """The value, made a function of the distance, times a factor that is one.

    Shapes: jet: (K, P, C), distance: (P,), factor: (K, P, 1) -> (P, C).
    """
    if jet.shape[0] == 1:
        return jet[0] if factor is None else jet[0] * factor[0]
    value, slope = jet.unbind(0)
    if factor is not None:
        slope = torch.addcmul(slope * factor[0], value, factor[1])
        value = value * factor[0]
    result: Tensor = _Attach.apply(value, slope, distance)
    return result


class _Attach(torch.autograd.Function):
    """(f, f', d) -> f, whose derivative with respect to d is f'."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, slope: Tensor, distance: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor]:
        (slope,) = ctx.saved_tensors
        return grad, None, (grad * slope).sum(-1)
