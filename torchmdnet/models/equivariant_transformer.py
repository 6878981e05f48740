"""Equivariant transformer (Thölke and De Fabritiis 2022): attention over neighbours, scalar and vector features."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.atomwise import atomwise
from torchmdnet.nn.attention import Affine, check_attention, distance_factor, unit_factor, values_apart
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.frozen_attention import FrozenAttention
from torchmdnet.nn.frozen_layers import are_one_node, through_frozen_layers
from torchmdnet.nn.mlp import reset_xavier
from torchmdnet.nn.neighbor_embedding import NeighborEmbedding
from torchmdnet.nn.radial import radial_basis
from torchmdnet.nn.radial_attention import radial_attention
from torchmdnet.nn.representation import AtomFeatures, Representation
from torchmdnet.nn.tabulated_layer import RadialInput, TabulatedLayer, TabulatedRadial
from torchmdnet.ops import native
from torchmdnet.ops.sender_directions import sender_directions
from torchmdnet.ops.vector_attention import AttentionInput

__all__ = ["EquivariantAttention", "TorchMD_ET"]

_Message = tuple[Tensor, Tensor]
"""Scalars (N, C) and vectors (N, 3, C) that atoms receive."""
_Step = Callable[[int, Tensor, Tensor, _Message | None], tuple[Tensor, ...]]
"""What atoms do alone between two sums over neighbours."""


class EquivariantAttention(TabulatedLayer):
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
        self.frozen: FrozenAttention | None = None
        self.register_load_state_dict_pre_hook(_thaw)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        self.layernorm.reset_parameters()
        for module in self.children():
            if isinstance(module, nn.Linear):
                reset_xavier(module)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, all s before all v^1 before all v^2. (N, C) -> (N, C), (N, C), (N, 3 C)"""
        y = self.layernorm(x)
        value = nn.functional.linear(y, *values_apart(self.v_proj, self.num_heads))
        return self.q_proj(y), self.k_proj(y), value

    def freeze(self) -> None:
        """Keep copies of the maps of single atoms for the native ops, until training, loading or :meth:`thaw`."""
        linears = self.q_proj, self.k_proj, self.o_proj
        query, key, received = (Affine(linear.weight, linear.bias) for linear in linears)
        projections = query, key, values_apart(self.v_proj, self.num_heads)
        self.frozen = FrozenAttention(
            self.layernorm, projections=projections, received=received, vectors=self.vec_proj.weight
        )

    def thaw(self) -> None:
        """Drop the copies."""
        self.frozen = None

    def train(self, mode: bool = True) -> "EquivariantAttention":
        """Drop the copies before training: the weights are about to change."""
        if mode:
            self.thaw()
        super().train(mode)
        return self

    def frozen_maps(self) -> FrozenAttention:
        """The copies."""
        if self.frozen is None:
            raise RuntimeError("this layer keeps no copies of its maps: use_radial_tables makes them")
        return self.frozen

    def message(self, inputs: AttentionInput, graph: Graph, *, radial: RadialInput) -> tuple[Tensor, Tensor]:
        """Scalars and vectors from the neighbours. -> (N, C), (N, 3, C)"""
        weights = self.weights(radial)
        return radial_attention(weights, inputs, graph=graph, num_heads=self.num_heads, activation=self.attn_activation)

    def updated(self, x: Tensor, v: Tensor, *, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """x and v, to which the vectors from the neighbours are yet to be added. x, scalars: (N, C), v: (N, 3, C)"""
        p1, p2, p3 = self.vec_proj(v).split(self.hidden_channels, dim=-1)
        o1, o2, o3 = self.o_proj(scalars).split(self.hidden_channels, dim=-1)
        return x + (p1 * p2).sum(1) * o2 + o3, v + p3 * o1.unsqueeze(1)

    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        """Factors d^k of the keys and d^v of the values s, v^1, v^2, with the cutoff. -> (P, 4, C)"""
        channels = self.hidden_channels
        keys, of_scalars, of_vectors = (unit_factor(functions, num * channels) for num in (1, 1, 2))
        if self.dk_proj is not None:
            keys = distance_factor(functions, self.dk_proj, self.act)
        if self.dv_proj is not None:
            rows = values_apart(self.dv_proj, self.num_heads)
            of_scalars = distance_factor(functions, Affine(rows.weight[:channels], rows.bias[:channels]), self.act)
            of_vectors = distance_factor(functions, Affine(rows.weight[channels:], rows.bias[channels:]), self.act)
        attach_vectors = functions.attach_faded if self.vector_cutoff else functions.attach_cut
        factors = functions.attach(keys), functions.attach_faded(of_scalars), attach_vectors(of_vectors)
        return torch.cat(factors, dim=1).unflatten(1, (4, channels))


def _thaw(layer: EquivariantAttention, *_: Any) -> None:
    layer.thaw()


class TorchMD_ET(Representation, TabulatedRadial):  # noqa: N801  the public name
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
        box_vecs: Cell that a call without a box gets, rows a, b, c in Å.
        vector_cutoff: Whether vectors, too, go to zero at the cutoff; without, the energy jumps there.
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
        box_vecs: Sequence[Sequence[float]] | Tensor | None = None,
        vector_cutoff: bool = True,
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
        for layer in self._attentions():
            layer.reset_parameters()
        self.out_norm.reset_parameters()

    def represent(self, system: System, *, second_derivatives: bool = True) -> AtomFeatures:
        graph = self.distance(system)
        direction = sender_directions(graph.vector)
        radial = self.radial_input(graph, second_derivatives=second_derivatives)
        is_frozen = self.is_frozen(radial)
        x = self.embedding(system.z)
        if self.neighbor_embedding is not None:
            x = self.neighbor_embedding(x, system.z, graph=graph, radial=radial)
        layers = self._attentions()
        is_native = is_frozen and native.has_kernel("atom_projection", x)
        if is_native and not second_derivatives and are_one_node(layer.attn_activation for layer in layers):
            maps = [(layer.frozen_maps(), layer.weights(radial)) for layer in layers]
            x, v = through_frozen_layers(x, maps, direction=direction, graph=graph, num_heads=layers[0].num_heads)
            return AtomFeatures(self.out_norm(x), v, system)
        v = x.new_zeros(x.shape[0], 3 * x.shape[1])
        # Sums over neighbours take turns with maps of single atoms, to which v is one row.
        step: _Step = functools.partial(self._step, saves_memory=is_frozen and not second_derivatives)
        if is_native:
            step = self._frozen_step
        x, v, *prepared = step(0, x, v, None)
        for number, layer in enumerate(layers):
            inputs = AttentionInput(prepared[0], prepared[1], prepared[2], v.unflatten(1, (3, -1)), direction)
            x, v, *prepared = step(number + 1, x, v, layer.message(inputs, graph, radial=radial))
        return AtomFeatures(prepared[0], v.unflatten(1, (3, -1)), system)

    def build_radial_tables(self, tolerance: float) -> None:
        super().build_radial_tables(tolerance)
        for layer in self._attentions():
            layer.freeze()

    def drop_radial_tables(self) -> None:
        super().drop_radial_tables()
        for layer in self._attentions():
            layer.thaw()

    def _step(
        self, number: int, x: Tensor, v: Tensor, message: _Message | None, *, saves_memory: bool
    ) -> tuple[Tensor, ...]:
        """From what a layer received to x, v, and what layer ``number`` reads. x: (N, C), v: (N, 3 C)"""
        if message is None:
            return x, v, *atomwise(functools.partial(self._prepare, number), x, saves_memory=saves_memory)
        scalars, vectors = message
        update = functools.partial(self._update, number)
        x, v, *prepared = atomwise(update, x, v, scalars, saves_memory=saves_memory)
        return x, v + vectors.flatten(1), *prepared

    def _frozen_step(self, number: int, x: Tensor, v: Tensor, message: _Message | None) -> tuple[Tensor, ...]:
        """Do the same natively."""
        layers = [layer.frozen_maps() for layer in self._attentions()]
        if message is not None:
            scalars, vectors = message
            x, v = layers[number - 1].exchanged(x, v.unflatten(1, (3, -1)), scalars=scalars, vectors=vectors)
        return x, v.flatten(1), *(layers[number].projected(x) if number < len(layers) else (self.out_norm(x),))

    def _prepare(self, number: int, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of layer ``number``; after the last, features. x: (N, C)"""
        layers = self._attentions()
        return layers[number].projected(x) if number < len(layers) else (self.out_norm(x),)

    def _update(self, number: int, x: Tensor, v: Tensor, scalars: Tensor) -> tuple[Tensor, ...]:
        """To x, v without the sum of vectors that it received, and what layer ``number`` needs. v: (N, 3 C)"""
        x, v = self._attentions()[number - 1].updated(x, v.unflatten(1, (3, -1)), scalars=scalars)
        return x, v.flatten(1), *self._prepare(number, x)

    def _attentions(self) -> list[EquivariantAttention]:
        return [layer for layer in self.attention_layers if isinstance(layer, EquivariantAttention)]
