"""Sums over neighbours of TensorNet: the tensor of an environment, and messages between tensors."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.ops.block_message import Blocks, block_message, make_blocks
from torchmdnet.ops.pair_message import PART_SIZES, pair_message

__all__ = ["Neighborhood", "environment_tensor", "message_sum", "neighborhood"]


class Neighborhood(NamedTuple):
    """A graph with the tables that the sums over it need. K is the largest number of neighbours of an atom."""

    graph: Graph
    blocks: Blocks | None
    """For systems so small that nearly all pairs are neighbours."""
    edge: Tensor
    """Edges of each receiver, any edge to fill up. (N, K)"""
    pair: Tensor
    """Distinct distance of each, P to fill up. (N, K)"""


def neighborhood(graph: Graph, system: System) -> Neighborhood:
    """Tables of a graph."""
    start, end = graph.row_ptr[:-1, None], graph.row_ptr[1:, None]
    width = int((end - start).max()) if len(start) else 0
    edge = start + torch.arange(width, device=start.device)
    is_filled = edge < end
    edge = torch.where(is_filled, edge, 0)
    pair = torch.where(is_filled, graph.pair[edge], graph.pair_distance.shape[0])
    blocks = None if system.box is not None else make_blocks(graph, system.batch, num_systems=system.num_systems)
    return Neighborhood(graph, blocks, edge, pair)


def environment_tensor(
    weight: Tensor, components: Tensor, *, own: Tensor, other: Tensor, neighbors: Neighborhood
) -> Tensor:
    r"""Tensor of each atom's surroundings: :math:`X_i^c = \sum_j w_{ij}^{p(c)} \odot (a_i + b_j) \, Y_{ij}^c`.

    Shapes: weight: (P, 3, C) one row a distance, components Y: (E, 9), own a: (N, C), other b: (N, C) -> (9, N, C).
    """
    shape, channels = neighbors.edge.shape, own.shape[1]
    edge = neighbors.edge.flatten()
    elements = own.unsqueeze(1) + other.index_select(0, neighbors.graph.sender[edge]).view(*shape, channels)
    padded = torch.cat([weight, weight.new_zeros((1, *weight.shape[1:]))])
    weights = padded.index_select(0, neighbors.pair.flatten()).view(*shape, 3, channels) * elements.unsqueeze(2)
    directions = components.index_select(0, edge).view(*shape, 9).transpose(1, 2)
    parts = zip(directions.split(PART_SIZES, dim=1), weights.unbind(2), strict=True)
    return torch.cat([torch.bmm(direction, part) for direction, part in parts], dim=1).transpose(0, 1)


def message_sum(weight: Tensor, x: Tensor, neighbors: Neighborhood) -> Tensor:
    r"""Sum of the neighbours' tensors: :math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot X_j^c`.

    Shapes: weight: (P, 3, C) one row a distance, x: (9, N, C) -> (9, N, C).
    """
    if neighbors.blocks is not None:
        return block_message(weight, x, neighbors.blocks)
    return pair_message(weight, x, neighbors.graph)
