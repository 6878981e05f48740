"""Atom embedding that knows the neighbours' elements."""

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.jets import jet_linear
from torchmdnet.nn.mlp import reset_xavier
from torchmdnet.ops.scatter import scatter_sum

__all__ = ["NeighborEmbedding"]


class NeighborEmbedding(nn.Module):
    r"""Mix each atom's embedding with those of its neighbours (TorchMD-NET).

    :math:`x_i \leftarrow W [x_i, \sum_{j \ne i} C(d_{ij}) \, W_d f(d_{ij}) \odot e(z_j)] + b`, self pairs left out.
    """

    def __init__(self, hidden_channels: int, num_rbf: int, *, max_z: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(max_z, hidden_channels)
        self.distance_proj = nn.Linear(num_rbf, hidden_channels)
        self.combine = nn.Linear(2 * hidden_channels, hidden_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases, normal embedding."""
        self.embedding.reset_parameters()
        reset_xavier(self.distance_proj)
        reset_xavier(self.combine)

    def forward(self, x: Tensor, z: Tensor, *, graph: Graph, functions: DistanceFunctions) -> Tensor:
        """x: (N, C), z: (N,) -> (N, C)"""
        projection = self.distance_proj
        weight = functions.attach_faded(jet_linear(functions.rbf, projection.weight, projection.bias))
        # A self pair is the only one at distance zero, lest atoms coincide: an image of the atom itself does count.
        weight = weight.masked_fill((graph.pair_distance == 0).unsqueeze(-1), 0)
        message = weight.index_select(0, graph.pair) * self.embedding(z).index_select(0, graph.sender)
        neighbors = scatter_sum(message, graph.receiver, x.shape[0])
        result: Tensor = self.combine(torch.cat([x, neighbors], dim=-1))
        return result
