"""Equivariant transformer (Thölke and De Fabritiis 2022): attention over neighbours, scalar and vector features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.attention import attention_scores, check_attention, distance_factor, split_heads
from torchmdnet.nn.distance_functions import DistanceFunctions, distance_functions
from torchmdnet.nn.mlp import reset_xavier
from torchmdnet.nn.neighbor_embedding import NeighborEmbedding
from torchmdnet.nn.radial import radial_basis
from torchmdnet.nn.representation import AtomFeatures, Representation
from torchmdnet.ops.scatter import scatter_sum

__all__ = ["EquivariantAttention", "TorchMD_ET"]


def sender_direction(graph: Graph) -> Tensor:
    """Unit vector from receiver to sender, zero for a self pair. -> (E, 3)"""
    length = graph.distance.masked_fill(graph.distance == 0, 1)
    return -graph.vector / length.unsqueeze(-1)


class EquivariantAttention(nn.Module):
    r"""Attention over neighbours and an exchange between scalars x and vectors V.

    With y the normalised x, the weight of sender i at receiver j is
    :math:`a_{ij} = \psi(\sum q_j k_i \odot d^k_{ij}) \, C(d_{ij})` for each head, the value
    :math:`[s, v^1, v^2] = v_i \odot d^v_{ij}`; scalars receive :math:`\sum_i a_{ij} s`, vectors
    :math:`\sum_i V_i v^1 + u_{ij} v^2`. With ``vector_cutoff`` C multiplies the values instead of the attention, so
    that the vectors too are continuous at the cutoff.
    """

    def __init__(
        self,
        hidden_channels: int,
        num_rbf: int,
        *,
        num_heads: int,
        distance_influence: str,
        activation: type[nn.Module],
        attn_activation: type[nn.Module],
        vector_cutoff: bool,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.hidden_channels = hidden_channels
        self.vector_cutoff = vector_cutoff
        self.layernorm = nn.LayerNorm(hidden_channels)
        self.act = activation()
        self.attn_activation = attn_activation()
        self.q_proj = nn.Linear(hidden_channels, hidden_channels)
        self.k_proj = nn.Linear(hidden_channels, hidden_channels)
        self.v_proj = nn.Linear(hidden_channels, 3 * hidden_channels)
        self.o_proj = nn.Linear(hidden_channels, 3 * hidden_channels)
        self.vec_proj = nn.Linear(hidden_channels, 3 * hidden_channels, bias=False)
        reads_keys = distance_influence in ("keys", "both")
        reads_values = distance_influence in ("values", "both")
        self.dk_proj = nn.Linear(num_rbf, hidden_channels) if reads_keys else None
        self.dv_proj = nn.Linear(num_rbf, 3 * hidden_channels) if reads_values else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        self.layernorm.reset_parameters()
        for module in self.children():
            if isinstance(module, nn.Linear):
                reset_xavier(module)

    def forward(
        self, x: Tensor, v: Tensor, *, graph: Graph, direction: Tensor, functions: DistanceFunctions
    ) -> tuple[Tensor, Tensor]:
        """x: (N, C), v: (N, 3, C), direction: (E, 3) -> (N, C) and (N, 3, C), to be added."""
        y = self.layernorm(x)
        p1, p2, p3 = self.vec_proj(v).split(self.hidden_channels, dim=-1)
        weight = self._weights(y, graph, functions)
        values = self._values(y, graph, functions)
        scalars, vectors = self._messages(values, weight, v=v, graph=graph, direction=direction)
        o1, o2, o3 = self.o_proj(scalars).split(self.hidden_channels, dim=-1)
        return (p1 * p2).sum(1) * o2 + o3, p3 * o1.unsqueeze(1) + vectors

    def _weights(self, y: Tensor, graph: Graph, functions: DistanceFunctions) -> Tensor:
        """Attention of each edge. (E, heads, 1)"""
        factor = None
        if self.dk_proj is not None:
            factor = functions.attach(distance_factor(functions, self.dk_proj, self.act))
        query, key = self.q_proj(y), self.k_proj(y)
        scores = attention_scores(query, key, factor=factor, graph=graph, num_heads=self.num_heads)
        weight = self.attn_activation(scores)
        if not self.vector_cutoff:
            weight = weight * functions.attach(functions.cutoff).index_select(0, graph.pair)
        return weight.unsqueeze(-1)

    def _values(self, y: Tensor, graph: Graph, functions: DistanceFunctions) -> Tensor:
        """Values [s, v1, v2] of each head and edge. (E, heads, 3 C / heads)"""
        values = self.v_proj(y).index_select(0, graph.sender)
        if self.dv_proj is not None:
            jet = distance_factor(functions, self.dv_proj, self.act)
            factor = functions.attach_faded(jet) if self.vector_cutoff else functions.attach_cut(jet)
        else:
            factor = functions.attach(functions.cutoff if self.vector_cutoff else functions.step)
        values = values * factor.index_select(0, graph.pair)
        return split_heads(values, self.num_heads)

    def _messages(
        self, values: Tensor, weight: Tensor, *, v: Tensor, graph: Graph, direction: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sums over senders. -> (N, C), (N, 3, C)"""
        s, v1, v2 = (part.unsqueeze(1) for part in values.split(self.hidden_channels // self.num_heads, dim=-1))
        scalar = s * weight.unsqueeze(1)
        vector = split_heads(v.index_select(0, graph.sender), self.num_heads) * v1 + direction[:, :, None, None] * v2
        summed = scatter_sum(torch.cat([scalar, vector], dim=1), graph.receiver, v.shape[0]).flatten(2)
        return summed[:, 0], summed[:, 1:]


class TorchMD_ET(Representation):  # noqa: N801  the public name
    """Equivariant transformer: invariant features after a layer norm, and vector features.

    Args:
        hidden_channels: Channels C.
        num_layers: Attention layers.
        num_rbf: Radial functions R.
        rbf_type: Name in ``rbf_class_mapping``.
        trainable_rbf: Whether the radial functions are trained.
        activation: Name in ``act_class_mapping``.
        attn_activation: The same, for the attention weights.
        neighbor_embedding: Whether embeddings know the neighbours' elements.
        num_heads: Attention heads, a divisor of the channels.
        distance_influence: 'keys', 'values', 'both' or 'none'.
        cutoff_lower: Å; pairs closer than this are left out.
        cutoff_upper: Å.
        max_z: Atomic numbers are below this.
        max_num_neighbors: Ignored: there is no cap on neighbours.
        vector_cutoff: Whether vectors, too, go to zero at the cutoff; without, the energy jumps there.
        box_vecs: Cell that a call without a box gets, rows a, b, c in Å.
        dtype: Type of the weights.

    Raises:
        ValueError: A name or a number is out of range.
    """

    is_equivariant = True

    def __init__(
        self,
        hidden_channels: int = 128,
        num_layers: int = 6,
        num_rbf: int = 50,
        rbf_type: str = "expnorm",
        trainable_rbf: bool = True,
        activation: str = "silu",
        attn_activation: str = "silu",
        neighbor_embedding: bool = True,
        num_heads: int = 8,
        distance_influence: str = "both",
        cutoff_lower: float = 0.0,
        cutoff_upper: float = 5.0,
        max_z: int = 100,
        max_num_neighbors: int = 32,
        vector_cutoff: bool = True,
        box_vecs: Sequence[Sequence[float]] | Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_attention(hidden_channels, num_heads=num_heads, distance_influence=distance_influence)
        act = activation_class(activation)
        self.hidden_channels = hidden_channels
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.max_z = max_z
        box = None if box_vecs is None else torch.as_tensor(box_vecs, dtype=dtype)
        self.embedding = nn.Embedding(max_z, hidden_channels)
        self.distance = NeighborList(cutoff_lower, cutoff_upper, loop=True, box=box, dtype=dtype)
        self.distance_expansion = radial_basis(
            rbf_type, cutoff_lower, cutoff_upper=cutoff_upper, num_rbf=num_rbf, trainable=trainable_rbf, dtype=dtype
        )
        self.neighbor_embedding = (
            NeighborEmbedding(hidden_channels, num_rbf, max_z=max_z) if neighbor_embedding else None
        )
        self.attention_layers = nn.ModuleList(
            EquivariantAttention(
                hidden_channels,
                num_rbf,
                num_heads=num_heads,
                distance_influence=distance_influence,
                activation=act,
                attn_activation=activation_class(attn_activation),
                vector_cutoff=vector_cutoff,
            )
            for _ in range(num_layers)
        )
        self.out_norm = nn.LayerNorm(hidden_channels)
        self.to(dtype)

    def reset_parameters(self) -> None:
        """Normal embeddings, Xavier-uniform weights, zero biases."""
        self.embedding.reset_parameters()
        self.distance_expansion.reset_parameters()
        if self.neighbor_embedding is not None:
            self.neighbor_embedding.reset_parameters()
        for layer in self.attention_layers:
            if isinstance(layer, EquivariantAttention):
                layer.reset_parameters()
        self.out_norm.reset_parameters()

    def represent(self, system: System, *, second_derivatives: bool = True) -> AtomFeatures:
        graph = self.distance(system)
        direction = sender_direction(graph)
        functions = distance_functions(graph, self.distance_expansion, second_derivatives=second_derivatives)
        x = self.embedding(system.z)
        if self.neighbor_embedding is not None:
            x = self.neighbor_embedding(x, system.z, graph=graph, functions=functions)
        v = x.new_zeros(x.shape[0], 3, x.shape[1])
        for layer in self.attention_layers:
            dx, dv = layer(x, v, graph=graph, direction=direction, functions=functions)
            x, v = x + dx, v + dv
        return AtomFeatures(self.out_norm(x), v, system)
