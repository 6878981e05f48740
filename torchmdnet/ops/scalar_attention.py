r"""Attention over neighbours of scalars alone, in plain PyTorch.

For an edge from atom j to atom i and the factors :math:`w^k, w^v` that its distance gives, each head has the weight
:math:`a_{ij} = \psi(\sum q_i k_j \odot w^k)`, and the atom receives :math:`\sum_j a_{ij} \, v_j \odot w^v`.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.vector_attention import head_sums

__all__ = ["NUM_SCALAR_FACTORS", "ScalarAttentionInput", "edge_scalar_attention", "scalar_attention"]

NUM_SCALAR_FACTORS = 2
"""Of a distance: of the keys, and of the values."""


class ScalarAttentionInput(NamedTuple):
    """What N atoms bring to the attention, with the channels of a head side by side."""

    query: Tensor
    """q. (N, C)"""
    key: Tensor
    """k. (N, C)"""
    value: Tensor
    """v. (N, C)"""


def scalar_attention(
    factors: Tensor,
    inputs: ScalarAttentionInput,
    *,
    graph: Graph,
    num_heads: int,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Scalars that atoms receive. factors: (P, 2, C) one row a distance -> (N, C)"""
    # Taken apart while they are rows of pairs, of which there are half as many.
    of_key, of_value = factors.unbind(1)
    return edge_scalar_attention(
        of_key.index_select(0, graph.pair),
        of_value.index_select(0, graph.pair),
        inputs,
        receiver=graph.receiver,
        sender=graph.sender,
        num_heads=num_heads,
        activation=activation,
    )


def edge_scalar_attention(
    of_key: Tensor,
    of_value: Tensor,
    inputs: ScalarAttentionInput,
    *,
    receiver: Tensor,
    sender: Tensor,
    num_heads: int,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Do the same with the factors of each edge. of_key, of_value: (E, C) -> (N, C)"""
    product = inputs.query.index_select(0, receiver) * inputs.key.index_select(0, sender) * of_key
    weight = activation(head_sums(product, num_heads)).unsqueeze(-1)
    value = (inputs.value.index_select(0, sender) * of_value).unflatten(-1, (num_heads, -1))
    return scatter_sum((value * weight).flatten(1), receiver, inputs.query.shape[0])
