"""TensorNet2: TensorNet whose messages read charges that it predicts for every atom, layer by layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.charge_predictor import ChargePredictor
from torchmdnet.nn.distance_functions import DistanceFunctions, distance_functions
from torchmdnet.nn.jets import jet_linear
from torchmdnet.nn.radial import radial_basis
from torchmdnet.nn.representation import AtomFeatures, Representation
from torchmdnet.nn.screened_repulsion import ScreenedRepulsion
from torchmdnet.nn.so3_convention import check_so3_convention, embedding_graph
from torchmdnet.nn.tabulated_layer import TabulatedRadial
from torchmdnet.nn.tensor_interaction import TensorInteraction, check_group
from torchmdnet.nn.tensor_layers import TensorEmbedding, reset_defaults
from torchmdnet.nn.tensors import part_squared_norms
from torchmdnet.ops.edge_message import edge_message

__all__ = ["ChargedInteraction", "TensorNet2"]


class ChargedInteraction(TensorInteraction):
    r"""One update of the tensors; its message is :math:`M_i = \sum_j w(d_{ij}, c_i, c_j) Y_j` with charges c."""

    def __init__(
        self, hidden_channels: int, num_rbf: int, *, q_dim: int, activation: type[nn.Module], group: str
    ) -> None:
        super().__init__(hidden_channels, num_rbf + 2 * q_dim, activation=activation, group=group)
        self.widths = (num_rbf, q_dim, q_dim)

    def forward(self, x: Tensor, graph: Graph, *, functions: DistanceFunctions, charge: Tensor) -> Tensor:
        """x: (9, N, C), charge: (N, K) -> (9, N, C)"""
        x, y = self.mixed(x)
        message = edge_message(self._weights(charge, graph, functions), y, graph)
        return self.updated(x, y, message=message)

    def _weights(self, charge: Tensor, graph: Graph, functions: DistanceFunctions) -> Tensor:
        """Weights of the three parts for each edge. -> (E, 3, C)"""
        first, *others = (layer for layer in self.linears_scalar if isinstance(layer, nn.Linear))
        # The first map is a sum of one of the distance, one of the receiver and one of the sender.
        radial, own, other = first.weight.split(self.widths, dim=1)
        e = functions.attach(jet_linear(functions.rbf, radial, first.bias)).index_select(0, graph.pair)
        e = e + nn.functional.linear(charge, own).index_select(0, graph.receiver)
        e = self.act(e + nn.functional.linear(charge, other).index_select(0, graph.sender))
        for layer in others:
            e = self.act(layer(e))
        e = e * functions.attach(functions.cutoff).index_select(0, graph.pair)
        return e.unflatten(-1, (3, -1))


class TensorNet2(Representation, TabulatedRadial):
    r"""TensorNet2. Features as in TensorNet, and K charges of each atom after the embedding and after each layer.

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
        q_dim: Charges K of each atom; with 0 the total charge has no effect.
        repulsion: Whether the energy has a term of screened nuclear repulsion,
            :class:`torchmdnet.nn.screened_repulsion.ScreenedRepulsion`, which counts beside the head's term.
        box_vecs: Cell that a call without a box gets, rows a, b, c in Å.
        dtype: Type of the weights.

    Raises:
        ValueError: A name or a number is out of range.
    """

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
        q_dim: int = 16,
        box_vecs: Sequence[Sequence[float]] | Tensor | None = None,
        dtype: torch.dtype = torch.float32,
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
        # Charges, besides the distance, decide the messages of the layers: only the embedding may have a table.
        functions = (
            radial
            if isinstance(radial, DistanceFunctions)
            else distance_functions(graph, self.distance_expansion, second_derivatives=second_derivatives)
        )
        seen = embedding_graph(graph, group=self.group, convention=self.so3_convention)
        x = self.tensor_embedding(system.z, seen, radial=radial)
        charges = [self.charge_predict_0(x, system)]
        for layer, predictor in zip(self.layers, self.charge_predicts, strict=True):
            x = layer(x, graph, functions=functions, charge=charges[-1])
            charges.append(predictor(x, system))
        features = self.act(self.linear(self.out_norm(part_squared_norms(x))))
        # Every weight takes part in the result: distributed training waits for the gradient of each of them.
        features = features + charges[-1].sum() * 0
        energies = None if self.repulsion is None else self.repulsion(system.z, graph)
        return AtomFeatures(features, None, system, torch.stack(charges, dim=1), energies)
