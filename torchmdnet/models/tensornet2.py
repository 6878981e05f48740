"""TensorNet2: TensorNet whose messages read charges that it predicts for every atom, layer by layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.nn.activations import SiLU, activation_class
from torchmdnet.nn.charge_predictor import ChargePredictor
from torchmdnet.nn.distance_functions import DistanceFunctions
from torchmdnet.nn.jets import Jet, jet_linear
from torchmdnet.nn.radial import radial_basis
from torchmdnet.nn.radial_tables import TableCoordinate, TableWeights
from torchmdnet.nn.representation import AtomFeatures, Representation
from torchmdnet.nn.screened_repulsion import ScreenedRepulsion
from torchmdnet.nn.so3_convention import check_so3_convention, embedding_graph
from torchmdnet.nn.tabulated_layer import RadialInput, TabulatedLayer, TabulatedRadial
from torchmdnet.nn.tensor_interaction import TensorInteraction, check_group
from torchmdnet.nn.tensor_layers import TensorEmbedding, is_fused, reset_defaults
from torchmdnet.nn.tensors import part_squared_norms
from torchmdnet.ops import native
from torchmdnet.ops.charged_message import (
    ChargedMaps,
    PairPolynomials,
    charged_message,
    fixed_polynomials,
    table_polynomials,
)
from torchmdnet.ops.edge_message import edge_message
from torchmdnet.ops.part_norms import part_norms
from torchmdnet.ops.radial_table import interpolate

__all__ = ["ChargedInteraction", "TensorNet2"]


class ChargedInteraction(TensorInteraction, TabulatedLayer):
    r"""One update of the tensors; its message is :math:`M_i = \sum_j w(d_{ij}, c_i, c_j) Y_j` with charges c."""

    def __init__(
        self, hidden_channels: int, num_rbf: int, *, q_dim: int, activation: type[nn.Module], group: str
    ) -> None:
        super().__init__(hidden_channels, num_rbf + 2 * q_dim, activation=activation, group=group)
        self.widths = (num_rbf, q_dim, q_dim)

    def forward(self, x: Tensor, graph: Graph, *, radial: RadialInput, charge: Tensor) -> Tensor:
        """x: (9, N, C), charge: (N, K) -> (9, N, C)"""
        x, y = self.mixed(x)
        message = self.message(y, graph, radial=radial, charge=charge)
        return self.updated(x, y, message=message)

    def message(self, y: Tensor, graph: Graph, *, radial: RadialInput, charge: Tensor) -> Tensor:
        """The sum over neighbours. y: (9, N, C), charge: (N, K) -> (9, N, C)"""
        first, second, third = self._layers()
        # The first map is a sum of one of the distance, one of the receiver and one of the sender.
        _, own_map, other_map = first.weight.split(self.widths, dim=1)
        own, other = nn.functional.linear(charge, own_map), nn.functional.linear(charge, other_map)
        if self._is_fused(y, radial):
            maps = ChargedMaps(
                second.weight.t(), second.weight, second.bias, third.weight.t(), third.weight, third.bias
            )
            own, other = own.to(y.dtype), other.to(y.dtype)
            return charged_message(self._polynomials(radial), y, own=own, other=other, maps=maps, graph=graph)
        known, fade = self._known(radial)
        e = known.index_select(0, graph.pair) + own.index_select(0, graph.receiver)
        e = self.act(e + other.index_select(0, graph.sender))
        for layer in (second, third):
            e = self.act(layer(e))
        e = e * fade.index_select(0, graph.pair)
        return edge_message(e.unflatten(-1, (3, -1)), y, graph)

    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        """The share of the distance in the first layer, and the cutoff function. -> (P, C + 1)"""
        return torch.cat([functions.attach(self._first(functions)), functions.attach(functions.cutoff)], dim=-1)

    def _layers(self) -> list[nn.Linear]:
        return [layer for layer in self.linears_scalar if isinstance(layer, nn.Linear)]

    def _is_fused(self, y: Tensor, radial: RadialInput) -> bool:
        """Whether edges go through all layers in one native pass, which is for weights that are not trained."""
        weights = [weight for layer in self._layers() for weight in (layer.weight, layer.bias)]
        is_tracked = isinstance(radial, DistanceFunctions) and radial.rbf.value.requires_grad
        return (
            isinstance(self.act, SiLU)
            and native.has_kernel("charged_message", y, *weights)
            and not is_tracked
            and not any(weight.requires_grad for weight in weights)
        )

    def _first(self, functions: DistanceFunctions) -> Jet:
        """Share of the distance in the first layer. -> (P, C)"""
        first = self._layers()[0]
        return jet_linear(functions.rbf, first.weight.split(self.widths, dim=1)[0], first.bias)

    def _table(self, radial: TableCoordinate) -> TableWeights:
        weights = self.weights(radial)
        assert isinstance(weights, TableWeights)
        return weights

    def _known(self, radial: RadialInput) -> tuple[Tensor, Tensor]:
        """Share of the distance in the first layer, and the cutoff function. -> (P, C), (P, 1)"""
        if isinstance(radial, DistanceFunctions):
            return radial.attach(self._first(radial)), radial.attach(radial.cutoff)
        known = interpolate(*self._table(radial))
        return known[:, :-1], known[:, -1:]

    def _polynomials(self, radial: RadialInput) -> PairPolynomials:
        """The same as what the native pass reads."""
        if not isinstance(radial, DistanceFunctions):
            return table_polynomials(*self._table(radial))
        known, cutoff = self._first(radial), radial.cutoff
        value, slope = torch.cat([known.value, cutoff.value], dim=-1), None
        if known.slope is not None and cutoff.slope is not None:
            slope = torch.cat([known.slope, cutoff.slope], dim=-1)
        return fixed_polynomials(value, slope, radial.distance)


class TensorNet2(Representation, TabulatedRadial):
    r"""TensorNet2. Features as in TensorNet, and K charges of each atom after the embedding and after each layer.

    Args:
        hidden_channels: Channels C.
        q_dim: Charges K of each atom; with 0 the total charge has no effect.
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
        output_charges: Whether a call of the model itself appends the charges to the features, those of the embedding
            first, then those of each layer: (N, C + (L + 1) K). Heads read them from
            :class:`torchmdnet.nn.representation.AtomFeatures` in any case.
        repulsion: Whether the energy has a term of screened nuclear repulsion,
            :class:`torchmdnet.nn.screened_repulsion.ScreenedRepulsion`, which counts beside the head's term.

    Raises:
        ValueError: A name or a number is out of range.
    """

    conditions = dict.fromkeys(("uses_charge", "predicts_charges"), " with q_dim >= 1")

    def __init__(
        self,
        hidden_channels: int = 128,
        q_dim: int = 16,
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
        output_charges: bool = False,
        repulsion: bool = False,
        so3_convention: str = "2.x",
    ) -> None:
        super().__init__()
        check_group(equivariance_invariance_group)
        check_so3_convention(so3_convention)
        if q_dim < 0:
            raise ValueError(f"q_dim must be at least 0; got {q_dim}")
        act = activation_class(activation)
        self.group = equivariance_invariance_group
        self.so3_convention = so3_convention
        self.q_dim = q_dim
        self.output_charges = output_charges
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.max_z = max_z
        self.distance_expansion = radial_basis(
            rbf_type, cutoff_lower, cutoff_upper=cutoff_upper, num_rbf=num_rbf, trainable=trainable_rbf, dtype=dtype
        )
        self.tensor_embedding = TensorEmbedding(hidden_channels, num_rbf, max_z=max_z, activation=act)
        self.charge_predict_0 = ChargePredictor(hidden_channels, q_dim, activation=act)
        self.layers = nn.ModuleList(
            ChargedInteraction(
                hidden_channels, num_rbf, q_dim=q_dim, activation=act, group=equivariance_invariance_group
            )
            for _ in range(num_layers)
        )
        self.charge_predicts = nn.ModuleList(
            ChargePredictor(hidden_channels, q_dim, activation=act) for _ in range(num_layers)
        )
        self.linear = nn.Linear(3 * hidden_channels, hidden_channels)
        self.out_norm = nn.LayerNorm(3 * hidden_channels)
        self.repulsion = ScreenedRepulsion(max_z, cutoff_upper) if repulsion else None
        self.act = act()
        box = None if box_vecs is None else torch.as_tensor(box_vecs, dtype=dtype)
        self.distance = NeighborList(cutoff_lower, cutoff_upper, loop=True, box=box, dtype=dtype)
        self.to(dtype)

    @property
    def uses_charge(self) -> bool:  # type: ignore[override]
        return self.q_dim > 0

    @property
    def predicts_charges(self) -> bool:  # type: ignore[override]
        return self.q_dim > 0

    @property
    def gives_energies(self) -> bool:  # type: ignore[override]
        return self.repulsion is not None

    def reset_parameters(self) -> None:
        """PyTorch's defaults in every layer; Xavier-uniform weights and zero biases where charges are predicted."""
        self.distance_expansion.reset_parameters()
        for module in (self.tensor_embedding, self.layers, self.linear, self.out_norm):
            reset_defaults(module)
        for predictor in (self.charge_predict_0, *self.charge_predicts):
            if isinstance(predictor, ChargePredictor):
                predictor.reset_parameters()

    def represent(self, system: System, *, second_derivatives: bool = True) -> AtomFeatures:
        graph = self.distance(system)
        radial = self.radial_input(graph, second_derivatives=second_derivatives)
        seen = embedding_graph(graph, group=self.group, convention=self.so3_convention)
        x = self.tensor_embedding(system.z, seen, radial=radial)
        norms = self._norms(x)
        charges = [self.charge_predict_0(x, system, norms=norms)]
        for layer, predictor in zip(self.layers, self.charge_predicts, strict=True):
            x = layer(x, graph, radial=radial, charge=charges[-1])
            norms = self._norms(x)
            charges.append(predictor(x, system, norms=norms))
        features = self.act(self.linear(self.out_norm(norms)))
        if any(weight.requires_grad for weight in self.charge_predicts.parameters()):
            # Every weight takes part in the result: distributed training waits for the gradient of each of them.
            features = features + charges[-1].sum() * 0
        energies = None if self.repulsion is None else self.repulsion(system.z, graph)
        return AtomFeatures(features, None, system, torch.stack(charges, dim=1), energies)

    def returned_features(self, features: AtomFeatures) -> Tensor:
        if not self.output_charges or features.charges is None:
            return features.x
        return torch.cat([features.x, features.charges.flatten(1)], dim=1)

    def _norms(self, x: Tensor) -> Tensor:
        """Squared norms of the parts, side by side. (9, N, C) -> (N, 3 C)"""
        return part_norms(x).flatten(1) if is_fused(x, [self.linear]) else part_squared_norms(x)
