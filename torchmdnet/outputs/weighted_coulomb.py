"""Energy head with a Coulomb term between the charges that a model predicts."""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList, neighbor_graph
from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.mlp import MLP
from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.ops import recording
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.outputs.output_model import OutputModel

__all__ = ["ScalarPlusWeightedCoulomb", "charge_weights", "reaction_field", "short_range_damping"]

_COULOMB_CONSTANT = 27.211386024367243 * 0.5291772105638411
"""e²/(4πε₀) in eV Å from CODATA 2014: published weights were trained with this value (it differs by 1e-8)."""

_DAMPING_RADIUS = 4.6
"""Å; beyond, charges interact fully."""

_CONTACT = 1e-6
"""Å; nearer atoms count as this far apart, where the damping leaves nothing of their interaction."""

_ANY_EXTENT = 1e4
"""Å; no molecule is as large. Compiled code, which cannot read how large one is, lists the pairs up to here."""

_DIELECTRIC_CONSTANT = 78.3
"""That of water, outside the cutoff of the reaction field."""

Weights = Sequence[float | Sequence[float]]
Number = TypeVar("Number", int, float)


def short_range_damping(distance: Tensor) -> Tensor:
    r"""From 0 at contact to 1 at :math:`d_0` = 4.6 Å: :math:`1 - e \exp(-1 / (1 - (d / d_0)^2))`. Shape kept."""
    squared = (distance / _DAMPING_RADIUS).clamp(max=1 - 1e-6).square()
    return -torch.expm1(-squared / (1 - squared))


def reaction_field(distance: Tensor, cutoff: float) -> Tensor:
    r"""Inverse distance inside a sphere in a dielectric, zero from the sphere on (Tironi et al. 1995).

    :math:`\frac1d + \frac{(\epsilon - 1) d^2}{(2 \epsilon + 1) r_c^3} - \frac{3 \epsilon}{(2 \epsilon + 1) r_c}`
    with :math:`\epsilon = 78.3`. Shape kept, distance in Å, result in 1/Å.
    """
    epsilon = _DIELECTRIC_CONSTANT
    curvature = (epsilon - 1) / ((2 * epsilon + 1) * cutoff**3)
    inside = 1 / distance + curvature * distance * distance - 3 * epsilon / ((2 * epsilon + 1) * cutoff)
    return inside.masked_fill(distance >= cutoff, 0)


def charge_weights(q_weights: Weights | None, *, num_layers: int, q_dim: int) -> Tensor:
    """Weights of the embedding's charges, then of each layer's; all 1 when none are given. -> ((L + 1) K,) float64

    Raises:
        ValueError: There are not as many as charges, or they add up to zero.
    """
    if not q_weights:
        q_weights = [1.0] * (num_layers + 1)
    if len(q_weights) != num_layers + 1:
        raise ValueError(
            f"q_weights: got {len(q_weights)} entries, expected {num_layers + 1}: one for the embedding "
            f"and one for each of the {num_layers} layers"
        )
    rows = [list(row) if isinstance(row, Sequence) else [row] * q_dim for row in q_weights]
    for row in rows:
        if len(row) != q_dim:
            raise ValueError(f"q_weights: got {row}, expected a number or {q_dim} numbers, as q_dim is {q_dim}")
    weights = torch.tensor(rows, dtype=torch.float64).flatten()
    if float(weights.sum()) == 0:
        raise ValueError(f"q_weights: got {list(q_weights)}, which add up to 0; expected another sum")
    return weights


class ScalarPlusWeightedCoulomb(OutputModel):
    r"""A network on the invariant features plus the Coulomb energy of predicted charges, for TensorNet2.

    A pair has the energy :math:`\frac{e^2}{4 \pi \epsilon_0} \frac{\sum_k w_k c_{ik} c_{jk}}{\sum_k w_k} \rho(d) f(d)`
    with :func:`short_range_damping` f, half of it at either atom. Without ``coulomb_cutoff`` :math:`\rho = 1/d` and
    all pairs of a system count; with one, :math:`\rho` is the :func:`reaction_field` of all pairs, images among them,
    within it.

    Args:
        hidden_channels: Channels C.
        activation: Name in ``act_class_mapping``.
        allow_prior_model, reduce_op, static_shapes, **options: As of :class:`OutputModel`.
        dtype: Type of the weights.
        cutoff: TorchMD-NET's name of ``coulomb_cutoff``.
        num_layers: Layers L of the model: it has L + 1 sets of charges.
        q_dim: Charges K in a set.
        q_weights: A number, or K numbers, for each set; by default all charges count alike.
        output_mlp_num_layers: Further hidden layers of the network; ``num_hidden_layers`` is TorchMD-NET's name of it.
        coulomb_cutoff: Å; needed for periodic systems.
        box_vecs: Cell that a call without a box gets, rows a, b, c in Å.

    Raises:
        ValueError: A number is out of range, or two names of one have different values; in a call, a system is
            periodic and there is no ``coulomb_cutoff``.
    """

    needs_charges = True
    qweights: Tensor

    def __init__(
        self,
        hidden_channels: int,
        activation: str = "silu",
        allow_prior_model: bool | None = None,
        reduce_op: str = "add",
        dtype: torch.dtype = torch.float32,
        static_shapes: bool = False,
        cutoff: float | None = None,
        *,
        num_layers: int = 2,
        q_dim: int = 16,
        q_weights: Weights | None = None,
        output_mlp_num_layers: int = 0,
        num_hidden_layers: int = 0,
        coulomb_cutoff: float | None = None,
        box_vecs: Sequence[Sequence[float]] | Tensor | None = None,
        **options: Any,
    ) -> None:
        super().__init__(allow_prior_model, reduce_op, static_shapes, **options)
        coulomb_cutoff = _one_of(coulomb_cutoff, cutoff, names="coulomb_cutoff and cutoff")
        hidden_layers = _one_of(
            output_mlp_num_layers or None,
            num_hidden_layers or None,
            names="output_mlp_num_layers and num_hidden_layers",
        )
        if q_dim < 1:
            raise ValueError(f"ScalarPlusWeightedCoulomb needs charges: q_dim must be at least 1; got {q_dim}")
        self.register_buffer("qweights", charge_weights(q_weights, num_layers=num_layers, q_dim=q_dim))
        self.output_network = MLP(
            hidden_channels,
            1,
            hidden_channels=hidden_channels // 2,
            activation=activation_class(activation),
            num_hidden_layers=hidden_layers or 0,
        )
        self.distance = None
        if coulomb_cutoff is not None:
            box = None if box_vecs is None else torch.as_tensor(box_vecs, dtype=dtype)
            self.distance = NeighborList(0.0, coulomb_cutoff, loop=False, box=box, dtype=dtype)
        self.to(dtype)

    def reset_parameters(self) -> None:
        self.output_network.reset_parameters()

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        if features.charges is None:
            raise ValueError(
                "ScalarPlusWeightedCoulomb reads charges: use it with a model that predicts them (tensornet2)"
            )
        charges = features.charges.flatten(1)
        if charges.shape[1:] != self.qweights.shape:
            raise ValueError(
                f"the model predicts {charges.shape[1]} charges of each atom, the head has weights for "
                f"{len(self.qweights)}: give both the same num_layers and q_dim"
            )
        network: Tensor = self.output_network(features.x)
        return network + self._coulomb_energies(charges, features.system)

    def _coulomb_energies(self, charges: Tensor, system: System) -> Tensor:
        """Half the energy of each atom's pairs. charges: (N, (L + 1) K) -> (N, 1)"""
        graph = self._pairs(system)
        distance = graph.pair_distance.clamp(min=_CONTACT)
        if self.distance is None:
            rho = torch.where(distance < _ANY_EXTENT, 1 / distance, 0.0)  # padding lies at the cutoff
        else:
            rho = reaction_field(distance, self.distance.cutoff_upper)
        factor = 0.5 * _COULOMB_CONSTANT / self.qweights.sum() * rho * short_range_damping(distance)
        weighted = charges * self.qweights
        product = (weighted.index_select(0, graph.receiver) * charges.index_select(0, graph.sender)).sum(-1)
        energy = product * factor.index_select(0, graph.pair)
        return scatter_sum(energy.unsqueeze(-1), graph.receiver, charges.shape[0])

    def _pairs(self, system: System) -> Graph:
        """Pairs within the cutoff, or all pairs of each system."""
        if self.distance is not None:
            graph: Graph = self.distance(system)
            return graph
        if _is_periodic(system):
            raise ValueError(
                "a periodic system has no end of pairs: train ScalarPlusWeightedCoulomb with coulomb_cutoff, "
                "or call the model without a box"
            )
        system = system._replace(box=None, pbc=None)
        if recording.is_recorded(system.pos):
            num_atoms = system.z.shape[0]
            # In a trace for any number of atoms that of the pairs may be open, too.
            capacity = None if isinstance(num_atoms, torch.SymInt) else max(num_atoms * (num_atoms - 1), 1)
            return neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=_ANY_EXTENT, loop=False, capacity=capacity)
        return neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=_largest_extent(system), loop=False)


def _one_of(own: Number | None, foreign: Number | None, *, names: str) -> Number | None:
    """The value of an option with two names."""
    if own is not None and foreign is not None and own != foreign:
        raise ValueError(f"{names}: got {own} and {foreign}, two values of one number; give one of them")
    return foreign if own is None else own


def _is_periodic(system: System) -> bool:
    """Whether any system repeats: a cell of zeros is none."""
    if system.box is None:
        return False
    has_cell = system.box.flatten(1).any(1)
    return bool(has_cell.any() if system.pbc is None else (has_cell & system.pbc.any(1)).any())


@torch.no_grad()
def _largest_extent(system: System) -> float:
    """Bound on the distance of any two atoms of a system, in Å."""
    if system.z.shape[0] == 0:
        return 1.0
    index = system.batch.unsqueeze(1).expand(-1, 3)
    none = system.pos.new_zeros((system.num_systems, 3))
    high = none.scatter_reduce(0, index, system.pos, "amax", include_self=False)
    low = none.scatter_reduce(0, index, system.pos, "amin", include_self=False)
    return float(torch.linalg.vector_norm(high - low, dim=1).max()) * 1.001 + 1e-3
