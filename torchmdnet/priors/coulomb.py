"""Electrostatic energy of given partial charges."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import DefaultBox, neighbor_graph
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.priors.base import ExtraArgs
from torchmdnet.priors.charges import given_charges
from torchmdnet.priors.compilation import leave_compiled_code
from torchmdnet.priors.option_checks import number
from torchmdnet.priors.pair_prior import PairPrior

__all__ = ["Coulomb", "coulomb_energy", "nearest_image_share", "pair_radius"]

COULOMB_JOULE_METRE = 2.3070775523e-28
"""e²/(4πε₀) in J m, CODATA 2018."""
NM_PREFACTOR_JOULE_METRE = 2.30707e-28
"""The same to the digits that TorchMD-NET has."""

EQUALLY_NEAR = 1.0 + 1e-5
"""Ratio of distances below which two images count as equally near: rounding must not choose one."""

Box = Sequence[Sequence[float]] | Tensor | None
_NOT_GIVEN: Any = object()


def coulomb_energy(distance: Tensor, charges: Tensor, *, lower: float, upper: float) -> Tensor:
    r"""Product of charges over distance, switched on from ``lower`` to ``upper``.

    .. math:: E = \frac{q_i q_j}{d}\, \tfrac12 \left(1 - \cos\left(\pi\, \mathrm{clamp}\left(
        \tfrac{d - l}{u - l}, 0, 1\right)\right)\right)

    Shapes: distance: (E,), charges = q_i q_j: (E,) -> (E,), in squared charge over length.
    """
    phase = ((distance - lower) / (upper - lower)).clamp(0.0, 1.0)
    return charges / distance * (0.5 - 0.5 * torch.cos(torch.pi * phase))


class Coulomb(PairPrior):
    r"""Electrostatic energy of the ``partial_charges`` of a batch (in e), damped at short distance.

    Sums over all pairs of a system, however far apart. In a periodic system each pair counts once, at its nearest
    image (at equal distances, evenly at all nearest images): the minimum-image convention, which is no Ewald sum.

    TorchMD-NET divides by the distance in nm whatever the unit of length is, so that its energies in Å are ten times
    too large. Here they are right. A checkpoint from there was trained with what it computes, and to give the same
    numbers it keeps that convention: its stored arguments hold ``initial_box`` and no ``nm_prefactor``, which are
    read as ``nm_prefactor=True``.

    Args:
        lower_switch_distance: nm; nearer pairs have no energy.
        upper_switch_distance: nm; farther pairs have all of it.
        max_num_neighbors: accepted so that older configurations can be read; there is no limit.
        distance_scale: metres in the unit of length (1e-10 for Å, the default).
        energy_scale: Joules in the unit of energy (1.602176634e-19 for eV, the default).
        box_vecs: default cell, rows a, b, c in the unit of length.
        initial_box: the name that checkpoints of TorchMD-NET have for ``box_vecs``.
        nm_prefactor: whether to compute :math:`2.30707 \times 10^{-28} / (\mathrm{energy\_scale} \cdot
            \mathrm{distance\_scale})` times charges over distance in nm, as TorchMD-NET does.
        dataset: asked for ``distance_scale`` and ``energy_scale`` where they are not given.

    Raises:
        ValueError: switching distances out of order; two different default boxes.
    """

    fields = ("partial_charges",)

    def __init__(
        self,
        lower_switch_distance: float,
        upper_switch_distance: float,
        max_num_neighbors: int | None = None,
        distance_scale: float | None = None,
        energy_scale: float | None = None,
        box_vecs: Box = None,
        initial_box: Box = _NOT_GIVEN,
        nm_prefactor: bool | None = None,
        dataset: Any = None,
    ) -> None:
        super().__init__(distance_scale=distance_scale, energy_scale=energy_scale, dataset=dataset)
        lower_switch_distance = number(lower_switch_distance, prior="Coulomb", option="lower_switch_distance")
        upper_switch_distance = number(upper_switch_distance, prior="Coulomb", option="upper_switch_distance")
        if not 0 <= lower_switch_distance < upper_switch_distance:
            raise ValueError(
                "Coulomb: want 0 <= lower_switch_distance < upper_switch_distance, "
                f"not {lower_switch_distance} and {upper_switch_distance}"
            )
        is_old = initial_box is not _NOT_GIVEN
        if is_old and initial_box is not None:
            if box_vecs is not None:
                raise ValueError("Coulomb: 'box_vecs' and 'initial_box' are two names of one option: give one")
            box_vecs = initial_box
        self.lower_switch_distance = lower_switch_distance
        self.upper_switch_distance = upper_switch_distance
        self.max_num_neighbors = max_num_neighbors
        self.nm_prefactor = is_old if nm_prefactor is None else nm_prefactor
        self.distance = DefaultBox(None if box_vecs is None else torch.as_tensor(box_vecs))

    def get_init_args(self) -> dict[str, Any]:
        """Arguments that make the same prior again."""
        return {
            "lower_switch_distance": self.lower_switch_distance,
            "upper_switch_distance": self.upper_switch_distance,
            "max_num_neighbors": self.max_num_neighbors,
            "distance_scale": self.distance_scale,
            "energy_scale": self.energy_scale,
            "box_vecs": self.distance.box.tolist() if self.distance.has_box() else None,
            "nm_prefactor": self.nm_prefactor,
        }

    def neighbors(self, system: System) -> Graph:
        """List the pairs within a radius that holds the nearest image of every pair."""
        leave_compiled_code("the prior Coulomb lists all pairs, as many as there are: it is not compiled")
        system = self.distance(system)
        # With the radius as the unit of length the cutoff is 1: no number has to be read, which a traced graph cannot.
        unit = _pair_radius(system)
        box = None if system.box is None else system.box / unit
        graph = neighbor_graph(
            system._replace(pos=system.pos / unit, box=box), cutoff_lower=0.0, cutoff_upper=1.0, loop=False
        )
        return graph._replace(
            vector=graph.vector * unit, distance=graph.distance * unit, pair_distance=graph.pair_distance * unit
        )

    def pair_energies(self, graph: Graph, system: System, extra_args: ExtraArgs = None) -> Tensor:
        """Energy of the pair that each edge belongs to, zero for all but the nearest images. (E,)"""
        charges = given_charges(system, extra_args, prior="Coulomb")
        nm = self.distance_scale * 1e9
        energy = coulomb_energy(
            self.edge_lengths(graph) * nm,
            charges.index_select(0, graph.receiver) * charges.index_select(0, graph.sender),
            lower=self.lower_switch_distance,
            upper=self.upper_switch_distance,
        )
        scale = NM_PREFACTOR_JOULE_METRE / self.distance_scale if self.nm_prefactor else COULOMB_JOULE_METRE * 1e9
        return scale / self.energy_scale * nearest_image_share(graph, system.z.shape[0]).to(energy.dtype) * energy


@torch.no_grad()
def nearest_image_share(graph: Graph, num_atoms: int) -> Tensor:
    """1 for the nearest image of each pair, 1/k for k equally near ones, 0 for others and for an atom's own. (E,)"""
    key, edge = torch.unique(graph.receiver.long() * num_atoms + graph.sender, return_inverse=True)
    nearest = graph.distance.new_zeros(key.shape).scatter_reduce(0, edge, graph.distance, "amin", include_self=False)
    is_nearest = (graph.distance <= nearest[edge] * EQUALLY_NEAR) & (graph.receiver != graph.sender)
    ties = scatter_sum(is_nearest.to(graph.distance.dtype), edge, key.shape[0])
    return is_nearest / ties[edge].clamp(min=1.0)


def pair_radius(system: System) -> float:
    """Bound on the distance of any pair at its nearest image, in any of the systems."""
    return float(_pair_radius(system))


@torch.no_grad()
def _pair_radius(system: System) -> Tensor:
    index = system.batch.unsqueeze(1).expand(-1, 3)
    none = system.pos.new_zeros((system.num_systems, 3))
    high = none.scatter_reduce(0, index, system.pos, "amax", include_self=False)
    low = none.scatter_reduce(0, index, system.pos, "amin", include_self=False)
    radius = torch.linalg.vector_norm(high - low, dim=1)
    if system.box is not None:
        edges = torch.linalg.vector_norm(system.box.reshape(-1, 3, 3), dim=2).to(radius.dtype)
        periodic = (
            (edges > 0).any(1, keepdim=True).expand_as(edges) if system.pbc is None else system.pbc.reshape(-1, 3)
        )
        radius = torch.where(periodic.all(1), 0.0, radius) + 0.5 * (edges * periodic).sum(1)
    return torch.cat([radius.new_zeros(1), radius]).max() * 1.001 + 1e-3
