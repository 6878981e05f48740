"""What attention over neighbours is made of, with or without vector features."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.jets import Jet, jet_activation, jet_linear

__all__ = [
    "DISTANCE_INFLUENCES",
    "Affine",
    "attention_scores",
    "check_attention",
    "distance_factor",
    "split_heads",
    "unit_factor",
    "values_apart",
]

DISTANCE_INFLUENCES = ("keys", "values", "both", "none")
"""Which side of the attention reads the distance."""


def check_attention(hidden_channels: int, *, num_heads: int, distance_influence: str) -> None:
    """Refuse channels that heads cannot share evenly, and names that are not in ``DISTANCE_INFLUENCES``."""
    if hidden_channels % num_heads:
        raise ValueError(
            f"the number of channels must be a multiple of num_heads; got {hidden_channels} channels "
            f"and {num_heads} heads"
        )
    if distance_influence not in DISTANCE_INFLUENCES:
        raise ValueError(
            f"distance_influence {distance_influence!r} is not known; choose one of {', '.join(DISTANCE_INFLUENCES)}"
        )


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(E, C) -> (E, heads, C / heads)"""
    return x.unflatten(-1, (num_heads, -1))


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


def attention_scores(query: Tensor, key: Tensor, *, factor: Tensor | None, graph: Graph, num_heads: int) -> Tensor:
    r""":math:`\sum q_i k_j \odot d_{ij}` of each head and edge, receiver i and sender j.

    Shapes: query, key: (N, C), factor: (P, C) one row a distance -> (E, heads).
    """
    product = query.index_select(0, graph.receiver) * key.index_select(0, graph.sender)
    if factor is not None:
        product = product * factor.index_select(0, graph.pair)
    return split_heads(product, num_heads).sum(-1)
