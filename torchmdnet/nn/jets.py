r"""Functions of the distance together with their derivatives.

Everything in these models that depends on the distance alone is evaluated once a distinct distance as a *jet*
:math:`f(d), f'(d)`: the forces then need no backward pass through the radial networks, and training on forces no second
one. Such a result has no second derivative with respect to d. Where one is needed, a jet holds the value alone, and
PyTorch differentiates it.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.nn.activations import SiLU
from torchmdnet.ops.faded_slope import attach_slope
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
    return Jet(*torch.func.jvp(act, (jet.value,), (jet.slope,)))


def attach_jet(jet: Jet, distance: Tensor) -> Tensor:
    """The value as a function of the distance. distance: (P,) -> (P, C)"""
    if jet.slope is None:
        return jet.value
    one = torch.ones_like(distance).unsqueeze(-1)
    return attach_product(jet, Jet(one, torch.zeros_like(one)), distance=distance)


def attach_product(jet: Jet, factor: Jet, *, distance: Tensor) -> Tensor:
    """Product with a factor of one fixed column, as a function of the distance. distance: (P,) -> (P, C)"""
    product = jet.value * factor.value
    if jet.slope is None or factor.slope is None:
        return product
    slopes = {"f": jet.value, "f_slope": jet.slope, "c": factor.value, "c_slope": factor.slope}
    return attach_slope(product, distance, **slopes)
