"""What attention over neighbours is made of, with or without vector features."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.jets import Jet, jet_activation, jet_linear
from torchmdnet.ops.vector_attention import check_heads

__all__ = [
    "DISTANCE_INFLUENCES",
    "Affine",
    "check_attention",
    "distance_factor",
    "unit_factor",
    "values_apart",
]

DISTANCE_INFLUENCES = ("keys", "values", "both", "none")
"""Which side of the attention reads the distance."""


def check_attention(hidden_channels: int, *, num_heads: int, distance_influence: str) -> None:
    """Refuse channels that heads cannot share evenly, and names that are not in ``DISTANCE_INFLUENCES``."""
    check_heads(hidden_channels, num_heads)
    if distance_influence not in DISTANCE_INFLUENCES:
        raise ValueError(
            f"distance_influence {distance_influence!r} is not known; choose one of {', '.join(DISTANCE_INFLUENCES)}"
        )


class Affine(NamedTuple):
    """Weight and bias of a linear layer."""

    weight: Tensor
    """(C, R)"""
    bias: Tensor
    """(C,)"""


def values_apart(linear: nn.Linear, num_heads: int) -> Affine:
    """A layer whose rows are the three values of a head, then of the next, with all first values before all second."""
    weight, bias = (rows.unflatten(0, (num_heads, 3, -1)).transpose(0, 1) for rows in (linear.weight, linear.bias))
    return Affine(weight.flatten(0, 2), bias.flatten())


def distance_factor(functions: DistanceFunctions, linear: nn.Linear | Affine, act: nn.Module) -> Jet:
    """What a distance multiplies keys or values with. -> (P, C)"""
    return jet_activation(jet_linear(functions.rbf, linear.weight, linear.bias), act)


def unit_factor(functions: DistanceFunctions, num_columns: int) -> Jet:
    """The factor 1 of keys or values that do not know the distance. -> (P, C)"""
    one = functions.rbf.value.new_ones((functions.rbf.value.shape[0], num_columns))
    return Jet(one, None if functions.rbf.slope is None else torch.zeros_like(one))
