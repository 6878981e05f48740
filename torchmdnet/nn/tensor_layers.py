"""Layers that TensorNet and its successors are made of."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.atomwise import atomwise
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.jets import jet_activation, jet_linear
from torchmdnet.nn.radial_tables import radial_environment
from torchmdnet.nn.tabulated_layer import RadialInput, TabulatedLayer
from torchmdnet.nn.tensors import squared_norm
from torchmdnet.ops import native
from torchmdnet.ops.edge_tensors import edge_tensors, edge_tensors_reference
from torchmdnet.ops.part_norms import part_norms
from torchmdnet.ops.tensor_algebra import PART_SIZES
from torchmdnet.ops.tensor_scale import tensor_scale

__all__ = [
    "RadialNetwork",
    "TensorEmbedding",
    "edge_components",
    "fused_maps",
    "is_fused",
    "part_linear",
    "reset_defaults",
    "tensor_linears",
    "weights_of",
]

MANY_ATOMS = 256


def edge_components(graph: Graph) -> Tensor:
    """Components of every edge's direction; a self pair has none but the trace part. -> (E, 9)"""
    # Under autocast, or where there is no library, the plain operations.
    tensors = edge_tensors if native.has_kernel("edge_tensors", graph.vector) else edge_tensors_reference
    return tensors(graph.vector)


def reset_defaults(model: nn.Module) -> None:
    """PyTorch's own initialisation of every linear map, embedding and layer norm in a model."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm):
            module.reset_parameters()


def tensor_linears(hidden_channels: int, count: int) -> nn.ModuleList:
    """Maps of channels without bias, which would break equivariance."""
    return nn.ModuleList(nn.Linear(hidden_channels, hidden_channels, bias=False) for _ in range(count))


def weights_of(linears: Iterable[nn.Module]) -> list[Tensor]:
    """Weights of linear maps."""
    return [cast(Tensor, linear.weight) for linear in linears]


def is_fused(x: Tensor, linears: Sequence[nn.Module]) -> bool:
    """Whether what is done around some maps goes through one native pass, which computes again what it does not keep.

    That is faster and takes less memory, but for training, which needs the derivatives by the maps.
    """
    return fused_maps(x, linears) is not None


def fused_maps(x: Tensor, linears: Sequence[nn.Module]) -> list[Tensor] | None:
    """Weights of maps, for what :func:`is_fused`; None for what is not."""
    weights = weights_of(linears)
    if True in [weight.requires_grad for weight in weights] or not native.has_kernel("tensor_mix", x, *weights):
        return None
    return weights


def part_linear(x: Tensor, linears: Iterable[nn.Module]) -> Tensor:
    """Mix channels, each irreducible part by its own map. x: (9, N, C), three linears without bias -> (9, N, C)"""
    if torch.compiler.is_compiling() or x.shape[1] < MANY_ATOMS:
        return torch.cat([linear(part) for linear, part in zip(linears, x.split(PART_SIZES), strict=True)])
    # Copies of the maps are smaller than copies of the results.
    parts = zip(linears, PART_SIZES, strict=True)
    maps = torch.cat([linear.get_parameter("weight").t().expand(size, -1, -1) for linear, size in parts])
    return torch.bmm(x, maps)


class RadialNetwork(nn.ModuleList):
    """Weights of the three parts for each distance: a network of the radial functions, times the cutoff."""

    def __init__(self, hidden_channels: int, num_features: int) -> None:
        widths = (num_features, hidden_channels, 2 * hidden_channels, 3 * hidden_channels)
        super().__init__(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, functions: DistanceFunctions, act: nn.Module) -> Tensor:
        """-> (P, 3, C)"""
        jet = functions.rbf
        for linear in self:
            if isinstance(linear, nn.Linear):
                jet = jet_activation(jet_linear(jet, linear.weight, linear.bias), act)
        return functions.attach_faded(jet).unflatten(-1, (3, -1))


class TensorEmbedding(TabulatedLayer):
    r"""First tensor of each atom, from its neighbours' elements, distances and directions.

    With :math:`Z_{ij} = W_2 [e(z_i), e(z_j)] + b`, f the radial basis and C the cutoff,
    :math:`X_i = \sum_j C(d_{ij}) Z_{ij} \odot (D_1 f \, 1 + D_2 f \, K(u) + D_3 f \, (u \otimes u - \tfrac13))`;
    its parts are mixed over channels and scaled by a network that reads the norm of :math:`X_i`.
    """

    def __init__(self, hidden_channels: int, num_rbf: int, *, max_z: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        self.distance_proj1 = nn.Linear(num_rbf, hidden_channels)
        self.distance_proj2 = nn.Linear(num_rbf, hidden_channels)
        self.distance_proj3 = nn.Linear(num_rbf, hidden_channels)
        self.emb = nn.Embedding(max_z, hidden_channels)
        self.emb2 = nn.Linear(2 * hidden_channels, hidden_channels)
        self.act = activation()
        self.linears_tensor = tensor_linears(hidden_channels, 3)
        self.linears_scalar = nn.ModuleList(
            [nn.Linear(hidden_channels, 2 * hidden_channels), nn.Linear(2 * hidden_channels, 3 * hidden_channels)]
        )
        self.init_norm = nn.LayerNorm(hidden_channels)

    def forward(self, z: Tensor, graph: Graph, *, radial: RadialInput) -> Tensor:
        """z: (N,) -> (9, N, C)"""
        return self.scaled(self.surroundings(z, graph, radial=radial))

    def surroundings(self, z: Tensor, graph: Graph, *, radial: RadialInput) -> Tensor:
        """The sum over neighbours. z: (N,) -> (9, N, C)"""
        own, other = self._element_features(z)
        return radial_environment(self.weights(radial), edge_components(graph), own=own, other=other, graph=graph)

    def scaled(self, x: Tensor, *, saves_memory: bool = False) -> Tensor:
        """Its parts mixed over channels and scaled, each atom alone; memory as in :func:`atomwise`. (9, N, C), kept"""
        linears = list(self.linears_tensor)
        maps = fused_maps(x, linears)
        if maps is not None:
            (scales,) = atomwise(self._scales, part_norms(x).sum(1), saves_memory=saves_memory)
            return tensor_scale(x, scales.unflatten(-1, (3, -1)).to(x.dtype), maps)
        (scales,) = self._scales(squared_norm(x))
        parts = zip(part_linear(x, linears).split(PART_SIZES), scales.unflatten(-1, (3, -1)).unbind(1), strict=True)
        return torch.cat([part * scale for part, scale in parts])

    def _scales(self, norm: Tensor) -> tuple[Tensor]:
        """Factors of the parts. (N, C) -> (N, 3 C)"""
        scale = self.init_norm(norm)
        for linear in self.linears_scalar:
            scale = self.act(linear(scale))
        return (scale,)

    def _element_features(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The two halves of Z_ij = a_i + b_j, so that the dense map runs once an atom and not once an edge."""
        embedding = self.emb(z)
        own_weight, other_weight = self.emb2.weight.split(self.hidden_channels, dim=1)
        own = nn.functional.linear(embedding, own_weight, self.emb2.bias)
        return own, nn.functional.linear(embedding, other_weight)

    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        projections = (self.distance_proj1, self.distance_proj2, self.distance_proj3)
        weight = torch.cat([projection.weight for projection in projections])
        bias = torch.cat([projection.bias for projection in projections])
        return functions.attach_faded(jet_linear(functions.rbf, weight, bias)).unflatten(-1, (3, -1))
