"""Tables and atoms' features on a small periodic graph for attention and sums that read a table of fifth degree."""

from typing import NamedTuple

import torch
from table_cases import features, make_table_case, padded_case
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops.radial_table import midpoint_table
from torchmdnet.ops.vector_attention import AttentionInput


class AttentionCase(NamedTuple):
    """What the attention reads."""

    graph: Graph
    table: Tensor
    s: Tensor
    inputs: AttentionInput


def quintic_table(*columns: int, intervals: int = 6, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random functions."""
    value, slope = 0.5 * features(2, 2 * intervals + 1, *columns, seed=3)
    return midpoint_table(value, slope).to(dtype)


def edge_directions(of_pairs: Tensor, graph: Graph) -> Tensor:
    """A direction for one edge of a pair, the opposite for the reverse, none for self pairs. (P, 3) -> (E, 3)"""
    num_pairs, num_edges = len(graph.pair_distance), int(graph.row_ptr[-1])
    numbers = torch.arange(num_edges)
    first = torch.full((num_pairs,), num_edges).scatter_reduce(0, graph.pair[:num_edges].long(), numbers, "amin")
    sign = torch.where(torch.arange(len(graph.pair)) == first[graph.pair.long()], 1, -1)
    sign = sign.masked_fill(graph.distance == 0, 0).to(of_pairs.dtype)
    return sign[:, None] * of_pairs[graph.pair.long()]


def make_attention_case(
    channels: int = 6,
    dtype: torch.dtype = torch.float64,
    *,
    num_atoms: int = 7,
    cutoff: float = 2.5,
    padding: bool = False,
) -> AttentionCase:
    """A crystal so small that atoms see their own images; some coordinates lie outside the table."""
    case = make_table_case(num_atoms, dtype=dtype, cutoff=cutoff)
    if padding:
        case = padded_case(case, s=1.3)
    shapes = [(num_atoms, channels)] * 2 + [(num_atoms, 3 * channels), (num_atoms, 3, channels)]
    arrays = [features(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes)]
    of_pairs = features(5000, 3, seed=9, dtype=dtype)[: len(case.s)]
    inputs = AttentionInput(*arrays, edge_directions(of_pairs, case.graph))  # type: ignore[call-arg]
    return AttentionCase(case.graph, quintic_table(4, channels, dtype=dtype), case.s, inputs)
