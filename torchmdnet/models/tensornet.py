"""TensorNet (Simeon and De Fabritiis 2023): a 3x3 tensor for each atom and channel, updated by matrix products."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.atomwise import atomwise
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.radial import radial_basis
from torchmdnet.nn.radial_tables import radial_message
from torchmdnet.nn.representation import AtomFeatures, Representation
from torchmdnet.nn.so3_convention import check_so3_convention, embedding_graph
from torchmdnet.nn.tabulated_layer import RadialInput, TabulatedLayer, TabulatedRadial
from torchmdnet.nn.tensor_interaction import TensorInteraction, check_group
from torchmdnet.nn.tensor_layers import TensorEmbedding, is_fused, reset_defaults
from torchmdnet.nn.tensors import part_squared_norms
from torchmdnet.ops.part_norms import part_norms

__all__ = ["Interaction", "TensorNet"]


def charge_factor(q: Tensor, batch: Tensor, dtype: torch.dtype) -> Tensor:
    """1 + 0.1 Q for each atom, Q the charge of its system. q: (B,), batch: (N,) -> (N, 1)"""
    return (1 + 0.1 * q.to(dtype))[batch].unsqueeze(-1)


class Interaction(TensorInteraction, TabulatedLayer):
    r"""One update of the tensors; its message is :math:`M_i = \sum_j w(d_{ij}) Y_j`."""

    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        weights: Tensor = self.linears_scalar(functions, self.act)
        return weights

    def message(self, y: Tensor, graph: Graph, *, radial: RadialInput) -> Tensor:
        """The sum over neighbours. (9, N, C) -> (9, N, C)"""
        return radial_message(self.weights(radial), y, graph)


class TensorNet(Representation, TabulatedRadial):
    r"""TensorNet. Features are :math:`\phi(W \, \mathrm{norm}([3 I^2, \|A\|^2, \|S\|^2]) + b)` of the last tensors.

    Args:
        hidden_channels: Channels C.
        num_layers: Interactions.
        num_rbf: Radial functions R.
        rbf_type: Name in ``rbf_class_mapping``.
        trainable_rbf: Whether the radial functions are trained.
        activation: Name in ``act_class_mapping``.
        cutoff_lower: Å; pairs closer than this are left out.
        cutoff_upper: Å.
        max_num_neighbors: Ignored: there is no cap on neighbours.
        max_z: Atomic numbers are below this.
        equivariance_invariance_group: 'O(3)', or 'SO(3)' to tell mirror images apart.
        so3_convention: Release of TorchMD-NET whose SO(3) model this is, '2.x' or '3.x': they are mirror images.
        static_shapes: Has no effect here: see :func:`torchmdnet.neighbors.use_static_shapes`.
        dtype: Type of the weights.
        box_vecs: Cell that a call without a box gets, rows a, b, c in Å.

    Raises:
        ValueError: A name or a number is out of range.
    """

    uses_charge = True

    def __init__(
        self,
        hidden_channels: int = 128,
        num_layers: int = 2,
        num_rbf: int = 32,
        rbf_type: str = "expnorm",
        trainable_rbf: bool = False,
        activation: str = "silu",
        cutoff_lower: float = 0.0,
        cutoff_upper: float = 4.5,
        max_num_neighbors: int = 64,
        max_z: int = 128,
        equivariance_invariance_group: str = "O(3)",
        static_shapes: bool = True,
        dtype: torch.dtype = torch.float32,
        box_vecs: Sequence[Sequence[float]] | Tensor | None = None,
        so3_convention: str = "2.x",
    ) -> None:
        super().__init__()
        check_group(equivariance_invariance_group)
        check_so3_convention(so3_convention)
        self.group = equivariance_invariance_group
        self.so3_convention = so3_convention
        act = activation_class(activation)
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.max_z = max_z
        self.distance_expansion = radial_basis(
            rbf_type, cutoff_lower, cutoff_upper=cutoff_upper, num_rbf=num_rbf, trainable=trainable_rbf, dtype=dtype
        )
        self.tensor_embedding = TensorEmbedding(hidden_channels, num_rbf, max_z=max_z, activation=act)
        self.layers = nn.ModuleList(
            Interaction(hidden_channels, num_rbf, activation=act, group=equivariance_invariance_group)
            for _ in range(num_layers)
        )
        self.linear = nn.Linear(3 * hidden_channels, hidden_channels)
        self.out_norm = nn.LayerNorm(3 * hidden_channels)
        self.act = act()
        box = None if box_vecs is None else torch.as_tensor(box_vecs, dtype=dtype)
        self.distance = NeighborList(cutoff_lower, cutoff_upper, loop=True, box=box, dtype=dtype)
        self.to(dtype)

    def reset_parameters(self) -> None:
        """PyTorch's defaults in every layer."""
        self.distance_expansion.reset_parameters()
        reset_defaults(self)

    def represent(self, system: System, *, second_derivatives: bool = True) -> AtomFeatures:
        graph = self.distance(system)
        radial = self.radial_input(graph, second_derivatives=second_derivatives)
        kappa = None if system.q is None else charge_factor(system.q, system.batch, self.linear.weight.dtype)
        seen = embedding_graph(graph, group=self.group, convention=self.so3_convention)
        saves_memory = not second_derivatives and self.is_frozen(radial)
        x = self.tensor_embedding.surroundings(system.z, seen, radial=radial)
        # Native passes over the atoms need no blocks: they store nothing in between.
        if saves_memory and not is_fused(x, list(self.tensor_embedding.linears_tensor)):
            return AtomFeatures(self._in_blocks(x, kappa, graph, radial=radial), None, system)
        x = self.tensor_embedding.scaled(x, saves_memory=saves_memory)
        for layer in self._interactions():
            x, y = layer.mixed(x)
            x = layer.updated(x, y, message=layer.message(y, graph, radial=radial), kappa=kappa)
        (features,) = atomwise(self._features, self._norms(x), saves_memory=saves_memory)
        return AtomFeatures(features, None, system)

    def _in_blocks(self, x: Tensor, kappa: Tensor | None, graph: Graph, *, radial: RadialInput) -> Tensor:
        """Features from the first sum over neighbours: such sums take turns with maps of single atoms. (9, N, C)"""
        result = atomwise(self._enter, x, saves_memory=True)
        for number, layer in enumerate(self._interactions()):
            x, y = result
            message = layer.message(y, graph, radial=radial)
            result = atomwise(functools.partial(self._update, number), x, y, message, kappa, saves_memory=True)
        return result[0]

    def _enter(self, x: Tensor) -> tuple[Tensor, ...]:
        """From the sum of the embedding to what the first layer needs."""
        return self._prepare(0, self.tensor_embedding.scaled(x))

    def _update(self, number: int, x: Tensor, y: Tensor, message: Tensor, kappa: Tensor | None) -> tuple[Tensor, ...]:
        """From the sum of a layer to what the next one needs."""
        return self._prepare(number + 1, self._interactions()[number].updated(x, y, message=message, kappa=kappa))

    def _prepare(self, number: int, x: Tensor) -> tuple[Tensor, ...]:
        """X and Y for layer ``number``; after the last, features. (9, N, C) -> twice (9, N, C), or (N, C)"""
        layers = self._interactions()
        return layers[number].mixed(x) if number < len(layers) else self._features(self._norms(x))

    def _norms(self, x: Tensor) -> Tensor:
        """Squared norms of the parts, side by side. (9, N, C) -> (N, 3 C)"""
        return part_norms(x).flatten(1) if is_fused(x, [self.linear]) else part_squared_norms(x)

    def _features(self, norms: Tensor) -> tuple[Tensor]:
        """Features from the norms of the parts. (N, 3 C) -> (N, C)"""
        return (self.act(self.linear(self.out_norm(norms))),)

    def _interactions(self) -> list[Interaction]:
        return [layer for layer in self.layers if isinstance(layer, Interaction)]
