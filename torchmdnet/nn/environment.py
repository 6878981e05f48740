"""The tensor that TorchMD-NET's TensorNet starts from: each atom's surroundings, summed over neighbours."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops.tensor_algebra import PART_SIZES

__all__ = ["EdgeTable", "edge_table", "environment_tensor"]


class EdgeTable(NamedTuple):
    """Edges of each receiver in a row of a table. K is the largest number of neighbours of an atom."""

    edge: Tensor
    """Edges of each receiver, edge 0 to fill up. (N, K)"""
    pair: Tensor
    """Distinct distance of each, P to fill up. (N, K)"""


def edge_table(graph: Graph) -> EdgeTable:
    """Turn rows of different lengths to a table, so that a sum over neighbours is a batched matrix product."""
    start, end = graph.row_ptr[:-1, None], graph.row_ptr[1:, None]
    width = int((end - start).max()) if len(start) else 0
    edge = start + torch.arange(width, device=start.device)
    is_filled = edge < end
    edge = torch.where(is_filled, edge, 0)
    return EdgeTable(edge, torch.where(is_filled, graph.pair[edge], graph.pair_distance.shape[0]))


def environment_tensor(weight: Tensor, components: Tensor, *, own: Tensor, other: Tensor, graph: Graph) -> Tensor:
    r"""Tensor of each atom's surroundings: :math:`X_i^c = \sum_j w_{ij}^{p(c)} \odot (a_i + b_j) \, Y_{ij}^c`.

    Shapes: weight: (P, 3, C) one row a distance, components Y: (E, 9), own a: (N, C), other b: (N, C) -> (9, N, C).
    """
    table = edge_table(graph)
    shape, channels = table.edge.shape, own.shape[1]
    edge = table.edge.flatten()
    elements = own.unsqueeze(1) + other.index_select(0, graph.sender[edge]).view(*shape, channels)
    padded = torch.cat([weight, weight.new_zeros((1, *weight.shape[1:]))])
    weights = padded.index_select(0, table.pair.flatten()).view(*shape, 3, channels) * elements.unsqueeze(2)
    directions = components.index_select(0, edge).view(*shape, 9).transpose(1, 2)
    parts = zip(directions.split(PART_SIZES, dim=1), weights.unbind(2), strict=True)
    return torch.cat([torch.bmm(direction, part) for direction, part in parts], dim=1).transpose(0, 1)
