"""Atom embedding that knows the neighbours' elements."""

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.jets import jet_linear
from torchmdnet.nn.mlp import reset_xavier
from torchmdnet.nn.radial_tables import RadialWeights, TableWeights
from torchmdnet.nn.tabulated_layer import RadialInput, TabulatedLayer
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.table_sum import table_sum

__all__ = ["NeighborEmbedding"]


class NeighborEmbedding(TabulatedLayer):
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

    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        """Weights of each distance. -> (P, C)"""
        projection = self.distance_proj
        return functions.attach_faded(jet_linear(functions.rbf, projection.weight, projection.bias))

    def forward(self, x: Tensor, z: Tensor, *, graph: Graph, radial: RadialInput) -> Tensor:
        """x: (N, C), z: (N,) -> (N, C)"""
        neighbors = sum_of_others(self.weights(radial), self.embedding(z), graph)
        result: Tensor = self.combine(torch.cat([x, neighbors], dim=-1))
        return result


def sum_of_others(weights: RadialWeights, x: Tensor, graph: Graph) -> Tensor:
    """Weighted sum over neighbours without the atom itself. weights: (P, C), x: (N, C) -> (N, C)"""
    # A self pair is the only one at distance zero, lest atoms coincide: an image of the atom itself does count.
    is_self = graph.pair_distance == 0
    if isinstance(weights, TableWeights):
        at_cutoff = weights.s.masked_fill(is_self, 0)  # where these weights are zero
        return table_sum(weights.table, at_cutoff, x=x, graph=graph)
    others = weights.masked_fill(is_self.unsqueeze(-1), 0)
    message = others.index_select(0, graph.pair) * x.index_select(0, graph.sender)
    return scatter_sum(message, graph.receiver, x.shape[0])
