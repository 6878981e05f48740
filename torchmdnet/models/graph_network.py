"""Graph network (Schütt et al. 2018, SchNet; variant of TorchMD-NET): continuous filters over neighbours."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.jets import jet_activation, jet_linear
from torchmdnet.nn.mlp import reset_xavier
from torchmdnet.nn.neighbor_embedding import NeighborEmbedding
from torchmdnet.nn.radial import radial_basis
from torchmdnet.nn.radial_tables import TableWeights
from torchmdnet.nn.representation import AtomFeatures, Representation
from torchmdnet.nn.tabulated_layer import RadialInput, TabulatedLayer, TabulatedRadial
from torchmdnet.ops.reduce import from_sums, reduce_rows
from torchmdnet.ops.table_sum import table_sum

__all__ = ["AGGREGATIONS", "CFConv", "InteractionBlock", "TorchMD_GN"]

AGGREGATIONS = ("add", "mean", "max")
"""Ways to bring the neighbours' messages together, see :func:`torchmdnet.ops.reduce.reduce_rows`."""


class CFConv(TabulatedLayer):
    r"""Convolution with a filter that is a function of the distance.

    :math:`y_i = W_2 \, \mathrm{AGG}_{j \ne i} \, C(d_{ij}) \, \mathrm{net}(f(d_{ij})) \odot W_1 x_j + b`.
    """

    def __init__(self, hidden_channels: int, num_filters: int, *, net: nn.Sequential, aggr: str) -> None:
        super().__init__()
        self.aggr = aggr
        self.lin1 = nn.Linear(hidden_channels, num_filters, bias=False)
        self.lin2 = nn.Linear(num_filters, hidden_channels)
        self.net = net

    def forward(self, x: Tensor, graph: Graph, *, radial: RadialInput) -> Tensor:
        """x: (N, C) -> (N, C)"""
        result: Tensor = self.lin2(self._reduced(self.lin1(x), graph, radial))
        return result

    def _reduced(self, x: Tensor, graph: Graph, radial: RadialInput) -> Tensor:
        """The filtered neighbours, brought together. (N, F) -> (N, F)"""
        weights = self.weights(radial)
        if isinstance(weights, TableWeights):
            # Under autocast, linear maps give numbers of lower precision.
            total = table_sum(weights.table, weights.s, x=x.to(weights.table.dtype), graph=graph)
            return total if self.aggr == "add" else from_sums(total, graph.row_ptr.diff(), op=self.aggr)
        message = weights.index_select(0, graph.pair) * x.index_select(0, graph.sender)
        return reduce_rows(message, graph.receiver, x.shape[0], op=self.aggr, count=graph.row_ptr.diff())

    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        """Weight of each channel for each distance. -> (P, F)"""
        jet = functions.rbf
        for layer in self.net:
            if isinstance(layer, nn.Linear):
                jet = jet_linear(jet, layer.weight, layer.bias)
            else:
                jet = jet_activation(jet, layer)
        return functions.attach_faded(jet)


class InteractionBlock(nn.Module):
    """One update of the atoms: a convolution, an activation and a linear map."""

    def __init__(
        self, hidden_channels: int, num_rbf: int, *, num_filters: int, activation: type[nn.Module], aggr: str
    ) -> None:
        super().__init__()
        # The filter network has two names, here and in the convolution, and checkpoints hold it under both.
        self.mlp = nn.Sequential(nn.Linear(num_rbf, num_filters), activation(), nn.Linear(num_filters, num_filters))
        self.conv = CFConv(hidden_channels, num_filters, net=self.mlp, aggr=aggr)
        self.act = activation()
        self.lin = nn.Linear(hidden_channels, hidden_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                reset_xavier(module)

    def forward(self, x: Tensor, graph: Graph, *, radial: RadialInput) -> Tensor:
        """x: (N, C) -> (N, C), to be added."""
        result: Tensor = self.lin(self.act(self.conv(x, graph, radial=radial)))
        return result


class TorchMD_GN(Representation, TabulatedRadial):  # noqa: N801  the public name
    """Graph network: invariant features from filters of the distance.

    Args:
        hidden_channels: Channels C.
        num_filters: Channels of the filters; by default as many.
        num_layers: Interactions.
        num_rbf: Radial functions R.
        rbf_type: Name in ``rbf_class_mapping``.
        trainable_rbf: Whether the radial functions are trained.
        activation: Name in ``act_class_mapping``.
        neighbor_embedding: Whether embeddings know the neighbours' elements.
        cutoff_lower: Å; pairs closer than this are left out.
        cutoff_upper: Å.
        max_z: Atomic numbers are below this.
        max_num_neighbors: Ignored: there is no cap on neighbours.
        aggr: 'add', or TorchMD-NET's 'mean' (one more than the neighbours divides) and 'max' (nothing below zero).
        dtype: Type of the weights.
        box_vecs: Cell that a call without a box gets, rows a, b, c in Å.

    Raises:
        ValueError: A name or a number is out of range.
    """

    def __init__(
        self,
        hidden_channels: int = 128,
        num_filters: int | None = None,
        num_layers: int = 6,
        num_rbf: int = 50,
        rbf_type: str = "expnorm",
        trainable_rbf: bool = True,
        activation: str = "silu",
        neighbor_embedding: bool = True,
        cutoff_lower: float = 0.0,
        cutoff_upper: float = 5.0,
        max_z: int = 100,
        max_num_neighbors: int = 32,
        aggr: str = "add",
        dtype: torch.dtype = torch.float32,
        box_vecs: Sequence[Sequence[float]] | Tensor | None = None,
    ) -> None:
        super().__init__()
        if aggr not in AGGREGATIONS:
            raise ValueError(f"aggr {aggr!r} is not known; choose one of {', '.join(AGGREGATIONS)}")
        act = activation_class(activation)
        self.hidden_channels = hidden_channels
        self.aggr = aggr
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.max_z = max_z
        box = None if box_vecs is None else torch.as_tensor(box_vecs, dtype=dtype)
        self.embedding = nn.Embedding(max_z, hidden_channels)
        self.distance = NeighborList(cutoff_lower, cutoff_upper, loop=False, box=box, dtype=dtype)
        self.distance_expansion = radial_basis(
            rbf_type, cutoff_lower, cutoff_upper=cutoff_upper, num_rbf=num_rbf, trainable=trainable_rbf, dtype=dtype
        )
        self.neighbor_embedding = (
            NeighborEmbedding(hidden_channels, num_rbf, max_z=max_z) if neighbor_embedding else None
        )
        self.interactions = nn.ModuleList(
            InteractionBlock(
                hidden_channels, num_rbf, num_filters=num_filters or hidden_channels, activation=act, aggr=aggr
            )
            for _ in range(num_layers)
        )
        self.to(dtype)

    def reset_parameters(self) -> None:
        """Normal embeddings, Xavier-uniform weights, zero biases."""
        self.embedding.reset_parameters()
        self.distance_expansion.reset_parameters()
        if self.neighbor_embedding is not None:
            self.neighbor_embedding.reset_parameters()
        for block in self.interactions:
            if isinstance(block, InteractionBlock):
                block.reset_parameters()

    def tabulated_layers(self) -> Sequence[TabulatedLayer]:
        """None with 'max': of the largest message there is no sum to be read from a table."""
        return [] if self.aggr == "max" else super().tabulated_layers()

    def represent(self, system: System, *, second_derivatives: bool = True) -> AtomFeatures:
        graph = self.distance(system)
        radial = self.radial_input(graph, second_derivatives=second_derivatives)
        x = self.embedding(system.z)
        if self.neighbor_embedding is not None:
            x = self.neighbor_embedding(x, system.z, graph=graph, radial=radial)
        for block in self.interactions:
            x = x + block(x, graph, radial=radial)
        return AtomFeatures(x, None, system)
