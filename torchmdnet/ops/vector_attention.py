r"""Attention over neighbours of scalars and vectors (Thölke and De Fabritiis 2022), in plain PyTorch.

For an edge from atom j to atom i with direction u and the factors :math:`w^k, w^s, w^1, w^2` that its distance gives,
each head has the weight :math:`a_{ij} = \psi(\sum q_i k_j \odot w^k)`. The atom receives the scalars
:math:`\sum_j a_{ij} \, v^s_j \odot w^s` and the vectors :math:`\sum_j V_j v^1_j \odot w^1 + u_{ij} \, v^2_j \odot w^2`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops.scatter import scatter_sum

__all__ = ["NUM_FACTORS", "AttentionInput", "edge_attention", "head_sums", "split_factors", "vector_attention"]

NUM_FACTORS = 4
"""Of a distance: of the keys, and of the three values."""


class AttentionInput(NamedTuple):
    """What N atoms and E edges bring to the attention."""

    query: Tensor
    """q, with the channels of a head side by side. (N, C)"""
    key: Tensor
    """k. (N, C)"""
    value: Tensor
    """All v^s, then all v^1, then all v^2. (N, 3 C)"""
    vector: Tensor
    """V. (N, 3, C)"""
    direction: Tensor
    """u, the opposite for an edge and its reverse. (E, 3)"""


def vector_attention(
    factors: Tensor, inputs: AttentionInput, *, graph: Graph, num_heads: int, activation: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Scalars and vectors that atoms receive. factors: (P, 4, C) one row a distance -> (N, C), (N, 3, C)"""
    # Taken apart while they are rows of pairs, of which there are half as many.
    of_key, of_value = split_factors(factors)
    return edge_attention(
        of_key.index_select(0, graph.pair),
        of_value.index_select(0, graph.pair),
        inputs,
        receiver=graph.receiver,
        sender=graph.sender,
        num_heads=num_heads,
        activation=activation,
    )


def split_factors(factors: Tensor) -> tuple[Tensor, Tensor]:
    """Those of keys, and those of values. (E, 4, C) -> (E, C), (E, 3 C)"""
    channels = factors.shape[2]
    of_key, of_value = factors.flatten(1).split((channels, 3 * channels), dim=1)
    return of_key, of_value


def edge_attention(
    of_key: Tensor,
    of_value: Tensor,
    inputs: AttentionInput,
    *,
    receiver: Tensor,
    sender: Tensor,
    num_heads: int,
    activation: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Do the same with the factors of each edge. of_key: (E, C), of_value: (E, 3 C) -> (N, C), (N, 3, C)"""
    score = inputs.query.index_select(0, receiver) * inputs.key.index_select(0, sender) * of_key
    weight = activation(head_sums(score, num_heads)).unsqueeze(-1)
    v, v1, v2 = (inputs.value.index_select(0, sender) * of_value).chunk(3, dim=1)
    scalar = (v.unflatten(-1, (num_heads, -1)) * weight).flatten(1)
    vector = inputs.vector.index_select(0, sender) * v1.unsqueeze(1) + inputs.direction.unsqueeze(-1) * v2.unsqueeze(1)
    summed = scatter_sum(torch.cat([scalar.unsqueeze(1), vector], dim=1), receiver, inputs.query.shape[0])
    return summed[:, 0], summed[:, 1:]


def check_heads(channels: int, num_heads: int) -> None:
    """Refuse channels that heads cannot share evenly."""
    if num_heads < 1 or channels % num_heads:
        raise ValueError(
            f"the number of channels must be a multiple of num_heads; got {channels} channels and {num_heads} heads"
        )


def head_sums(x: Tensor, num_heads: int) -> Tensor:
    """Sum over the channels of each head. (E, C) -> (E, heads)"""
    return x.unflatten(-1, (num_heads, -1)).sum(-1)
