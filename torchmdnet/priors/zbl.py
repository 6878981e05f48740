"""Screened repulsion of nuclei at short distance (Ziegler, Biersack and Littmark 1985)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.nn.radial import cosine_cutoff
from torchmdnet.nn.screened_repulsion import universal_screening
from torchmdnet.priors.base import ExtraArgs
from torchmdnet.priors.option_checks import positive
from torchmdnet.priors.pair_prior import PairPrior, atomic_number_table, look_up_types

__all__ = ["ZBL", "zbl_energy"]

COULOMB_JOULE_METRE = 2.30707755e-28
"""e²/(4πε₀) in J m, to the digits that trained models were made with."""
SCREENING_METRE = 0.8854 * 5.29177210903e-11
"""0.8854 Bohr radii."""
HIGHEST = 118


def zbl_energy(
    distance: Tensor, z_i: Tensor, *, z_j: Tensor, cutoff: float, distance_scale: float, energy_scale: float
) -> Tensor:
    r"""Energy of each pair.

    .. math:: E = \frac{e^2}{4\pi\epsilon_0} \frac{Z_i Z_j}{d}\, \phi(d/a)\, \tfrac12 (1 + \cos(\pi d / d_c)),
        \quad a = \frac{0.8854\,a_0}{Z_i^{0.23} + Z_j^{0.23}}

    Shapes: distance, z_i, z_j: (E,) -> (E,). Lengths in ``distance_scale`` metres, energies in ``energy_scale`` Joules.
    """
    z_i, z_j = z_i.to(distance.dtype), z_j.to(distance.dtype)
    reduced = distance * (distance_scale / SCREENING_METRE) * (z_i.pow(0.23) + z_j.pow(0.23))
    screening = universal_screening(reduced)
    switch = cosine_cutoff(distance, 0.0, cutoff)
    return COULOMB_JOULE_METRE / energy_scale / distance_scale * z_i * z_j * screening * switch / distance


class ZBL(PairPrior):
    """Repulsion that keeps atoms from falling into each other where there are no data. See :func:`zbl_energy`.

    Args:
        cutoff_distance: distance from which on there is no repulsion, in the unit of the positions.
        max_num_neighbors: accepted so that older configurations can be read; there is no limit.
        atomic_number: atomic number of each atom type, if the model's ``z`` are types of another kind.
        distance_scale: metres in the unit of length (1e-10 for Å, the default).
        energy_scale: Joules in the unit of energy (1.602176634e-19 for eV, the default).
        dataset: asked for whichever of the last three is not given.
    """

    atomic_number: Tensor

    def __init__(
        self,
        cutoff_distance: float,
        max_num_neighbors: int | None = None,
        atomic_number: Sequence[int] | Tensor | None = None,
        distance_scale: float | None = None,
        energy_scale: float | None = None,
        dataset: Any = None,
    ) -> None:
        super().__init__(distance_scale=distance_scale, energy_scale=energy_scale, dataset=dataset)
        table = atomic_number_table(atomic_number, dataset, highest=HIGHEST, prior="ZBL")
        self.register_buffer("atomic_number", table)
        self.cutoff_distance = positive(cutoff_distance, prior="ZBL", option="cutoff_distance")
        self.max_num_neighbors = max_num_neighbors
        self.distance = NeighborList(0.0, cutoff_distance, loop=False)

    def get_init_args(self) -> dict[str, Any]:
        """Arguments that make the same prior again."""
        return {
            "cutoff_distance": self.cutoff_distance,
            "max_num_neighbors": self.max_num_neighbors,
            "atomic_number": self.atomic_number.tolist(),
            "distance_scale": self.distance_scale,
            "energy_scale": self.energy_scale,
        }

    def neighbors(self, system: System) -> Graph:
        """List the pairs within the cutoff."""
        graph: Graph = self.distance(system)
        return graph

    def pair_energies(self, graph: Graph, system: System, extra_args: ExtraArgs = None) -> Tensor:
        """Energy of the pair that each edge belongs to. (E,)"""
        z = look_up_types(system.z, self.atomic_number, prior="ZBL")
        return zbl_energy(
            self.edge_lengths(graph),
            z.index_select(0, graph.receiver),
            z_j=z.index_select(0, graph.sender),
            cutoff=self.cutoff_distance,
            distance_scale=self.distance_scale,
            energy_scale=self.energy_scale,
        )
