"""Transformer (TorchMD-NET): attention over neighbours with scalar features alone."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.attention import check_attention, distance_factor, unit_factor
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.mlp import reset_xavier
from torchmdnet.nn.neighbor_embedding import NeighborEmbedding
from torchmdnet.nn.radial import radial_basis
from torchmdnet.nn.radial_scalar_attention import radial_scalar_attention
from torchmdnet.nn.representation import AtomFeatures, Representation
from torchmdnet.nn.tabulated_layer import RadialInput, TabulatedLayer, TabulatedRadial
from torchmdnet.ops.scalar_attention import ScalarAttentionInput

__all__ = ["MultiHeadAttention", "TorchMD_T"]


class MultiHeadAttention(TabulatedLayer):
    r"""Attention over neighbours, the atom itself among them.

    With y the normalised x, the weight of neighbour j at atom i is
    :math:`a_{ij} = \psi(\sum q_i k_j \odot d^k_{ij}) \, C(d_{ij})` for each head and the result
    :math:`W \sum_j a_{ij} \, v_j \odot d^v_{ij} + b`.
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
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.hidden_channels = hidden_channels
        self.layernorm = nn.LayerNorm(hidden_channels)
        self.act = activation()
        self.attn_activation = attn_activation()
        self.q_proj = nn.Linear(hidden_channels, hidden_channels)
        self.k_proj = nn.Linear(hidden_channels, hidden_channels)
        self.v_proj = nn.Linear(hidden_channels, hidden_channels)
        self.o_proj = nn.Linear(hidden_channels, hidden_channels)
        reads_keys = distance_influence in ("keys", "both")
        reads_values = distance_influence in ("values", "both")
        self.dk_proj = nn.Linear(num_rbf, hidden_channels) if reads_keys else None
        self.dv_proj = nn.Linear(num_rbf, hidden_channels) if reads_values else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        self.layernorm.reset_parameters()
        for module in self.children():
            if isinstance(module, nn.Linear):
                reset_xavier(module)

    def forward(self, x: Tensor, graph: Graph, *, radial: RadialInput) -> Tensor:
        """x: (N, C) -> (N, C), to be added."""
        y = self.layernorm(x)
        inputs = ScalarAttentionInput(self.q_proj(y), self.k_proj(y), self.v_proj(y))
        received = radial_scalar_attention(
            self.weights(radial), inputs, graph=graph, num_heads=self.num_heads, activation=self.attn_activation
        )
        result: Tensor = self.o_proj(received)
        return result

    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        """Factors d^k of the keys and d^v of the values, these with the cutoff. -> (P, 2, C)"""
        keys, values = (
            unit_factor(functions, self.hidden_channels)
            if projection is None
            else distance_factor(functions, projection, self.act)
            for projection in (self.dk_proj, self.dv_proj)
        )
        return torch.stack([functions.attach(keys), functions.attach_faded(values)], dim=1)


class TorchMD_T(Representation, TabulatedRadial):  # noqa: N801  the public name
    """Transformer: invariant features after a layer norm.

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
        dtype: Type of the weights.
        box_vecs: Cell that a call without a box gets, rows a, b, c in Å.

    Raises:
        ValueError: A name or a number is out of range.
    """

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
        dtype: torch.dtype = torch.float32,
        box_vecs: Sequence[Sequence[float]] | Tensor | None = None,
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
            MultiHeadAttention(
                hidden_channels,
                num_rbf,
                num_heads=num_heads,
                distance_influence=distance_influence,
                activation=act,
                attn_activation=activation_class(attn_activation),
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
            if isinstance(layer, MultiHeadAttention):
                layer.reset_parameters()
        self.out_norm.reset_parameters()

    def represent(self, system: System, *, second_derivatives: bool = True) -> AtomFeatures:
        graph = self.distance(system)
        radial = self.radial_input(graph, second_derivatives=second_derivatives)
        x = self.embedding(system.z)
        if self.neighbor_embedding is not None:
            x = self.neighbor_embedding(x, system.z, graph=graph, radial=radial)
        for layer in self.attention_layers:
            x = x + layer(x, graph, radial=radial)
        return AtomFeatures(self.out_norm(x), None, system)
