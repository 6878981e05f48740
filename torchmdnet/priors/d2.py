"""Dispersion between atoms by Grimme's second method (J. Comput. Chem. 27, 1787 (2006))."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList
from torchmdnet.priors.base import ExtraArgs
from torchmdnet.priors.option_checks import positive
from torchmdnet.priors.pair_prior import PairPrior, atomic_number_table, look_up_types
from torchmdnet.units import AVOGADRO

__all__ = ["D2", "d2_energy"]

STEEPNESS = 20.0
"""d of the damping function."""
HIGHEST = 54

# fmt: off
C6 = (
    math.nan,
    0.14, 0.08,
    1.61, 1.61, 3.13, 1.75, 1.23, 0.70, 0.75, 0.63,
    5.71, 5.71, 10.79, 9.23, 7.84, 5.57, 5.07, 4.61,
    *(10.80,) * 12, 16.99, 17.10, 16.37, 12.64, 12.47, 12.01,
    *(24.67,) * 12, 37.32, 38.71, 38.44, 31.74, 31.50, 29.99,
)
"""Dispersion coefficient of each element, J nm⁶ / mol."""

RADIUS = (
    math.nan,
    1.001, 1.012,
    0.825, 1.408, 1.485, 1.452, 1.397, 1.342, 1.287, 1.243,
    1.144, 1.364, 1.639, 1.716, 1.705, 1.683, 1.639, 1.595,
    1.485, 1.474, *(1.562,) * 10, 1.650, 1.727, 1.760, 1.771, 1.749, 1.727,
    1.628, 1.606, *(1.639,) * 10, 1.672, 1.804, 1.881, 1.892, 1.892, 1.881,
)
"""Van der Waals radius of each element, Å."""
# fmt: on


def d2_energy(distance: Tensor, c6: Tensor, *, radius: Tensor) -> Tensor:
    r"""Energy of each pair, without scaling of the functional (:math:`s_6 = 1`) and without a switch at the cutoff.

    .. math:: E = -\frac{\sqrt{C_i C_j}}{d^6} \frac{1}{1 + \exp(-20 (d / (R_i + R_j) - 1))}

    Shapes: distance in nm: (E,), c6 = sqrt(C_i C_j) in J nm⁶/mol: (E,), radius = R_i + R_j in nm: (E,) -> J/mol (E,).
    """
    return -c6 / distance.pow(6) * torch.sigmoid(STEEPNESS * (distance / radius - 1.0))


class D2(PairPrior):
    """London dispersion, for data whose method lacks it. See :func:`d2_energy`. Periodic if the system is.

    Args:
        cutoff_distance: pairs farther apart are left out, in the unit of the positions.
        max_num_neighbors: accepted so that older configurations can be read; there is no limit.
        atomic_number: atomic number of each atom type, if the model's ``z`` are types of another kind.
        distance_scale: metres in the unit of length (1e-10 for Å, the default).
        energy_scale: Joules in the unit of energy (1.602176634e-19 for eV, the default).
        dataset: asked for whichever of the last three is not given.
    """

    Z_map: Tensor
    C_6: Tensor
    R_r: Tensor

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
        table = atomic_number_table(atomic_number, dataset, highest=HIGHEST, prior="D2")
        self.register_buffer("Z_map", table)
        self.register_buffer("C_6", torch.tensor(C6, dtype=torch.float64))
        self.register_buffer("R_r", torch.tensor(RADIUS, dtype=torch.float64) * 0.1)
        self.cutoff_distance = positive(cutoff_distance, prior="D2", option="cutoff_distance")
        self.max_num_neighbors = max_num_neighbors
        self.distances = NeighborList(0.0, cutoff_distance, loop=False)

    def get_init_args(self) -> dict[str, Any]:
        """Arguments that make the same prior again."""
        return {
            "cutoff_distance": self.cutoff_distance,
            "max_num_neighbors": self.max_num_neighbors,
            "atomic_number": self.Z_map.tolist(),
            "distance_scale": self.distance_scale,
            "energy_scale": self.energy_scale,
        }

    def neighbors(self, system: System) -> Graph:
        """List the pairs within the cutoff."""
        graph: Graph = self.distances(system)
        return graph

    def pair_energies(self, graph: Graph, system: System, extra_args: ExtraArgs = None) -> Tensor:
        """Energy of the pair that each edge belongs to. (E,)"""
        z = look_up_types(system.z, self.Z_map, prior="D2", lowest=1)
        c6, radius = self.C_6.to(system.pos.dtype)[z], self.R_r.to(system.pos.dtype)[z]
        energy = d2_energy(
            self.edge_lengths(graph) * (self.distance_scale * 1e9),
            torch.sqrt(c6.index_select(0, graph.receiver) * c6.index_select(0, graph.sender)),
            radius=radius.index_select(0, graph.receiver) + radius.index_select(0, graph.sender),
        )
        # A graph's padding sits at the cutoff, where this energy does not vanish by itself.
        return energy.masked_fill(graph.distance >= self.cutoff_distance, 0) / (self.energy_scale * AVOGADRO)
