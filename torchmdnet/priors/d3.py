"""Dispersion between atoms by Grimme's third method, with Becke-Johnson damping."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList, neighbor_graph
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.priors.base import ExtraArgs
from torchmdnet.priors.compilation import leave_compiled_code
from torchmdnet.priors.d3_tables import HIGHEST, element_tables, functional_damping
from torchmdnet.priors.d3_terms import (
    coordination_numbers,
    list_triangles,
    pair_c6,
    reference_weights,
    three_body_energy,
    two_body_energy,
)
from torchmdnet.priors.energy_prior import EnergyPrior
from torchmdnet.priors.option_checks import flag, positive
from torchmdnet.priors.pair_prior import atomic_number_table, look_up_types
from torchmdnet.units import BOHR_IN_ANGSTROM, EV_IN_JOULE, HARTREE_IN_EV

__all__ = ["D3"]

PAIR_CUTOFF_BOHR = 60.0
OTHER_CUTOFF_BOHR = 40.0
"""Of coordination numbers and of triangles; both as in the program s-dftd3."""


class D3(EnergyPrior):
    r"""London dispersion D3(BJ), for data of a functional that lacks it. Periodic if the system is.

    .. math:: E = \tfrac12 \sum_{ij} E_{ij}(d_{ij}, C_6^{ij}) + \tfrac16 \sum_{ijk} E_{ijk}

    with :func:`~torchmdnet.priors.d3_terms.two_body_energy` and, if asked for,
    :func:`~torchmdnet.priors.d3_terms.three_body_energy`; :math:`C_6^{ij}` depends on how many neighbours both atoms
    have. Grimme, Ehrlich and Goerigk, J. Comput. Chem. 32, 1456 (2011). The parameters are those of the package
    tad-dftd3 (``pip install 'torchmdnet[d3]'``), the energies those of s-dftd3.

    Args:
        functional: name of the functional that made the data, such as ``pbe``; it gives the five parameters.
        a1: goes before the functional's, as do the next four.
        a2: Bohr.
        s6: factor of the dipole term.
        s8: factor of the quadrupole term.
        s9: factor of the triangles.
        three_body: add the Axilrod-Teller-Muto energy of all triangles. Their number grows with the sixth power of
            their cutoff: in a crystal choose a shorter one.
        cutoff_distance: pairs farther apart are left out, in the unit of the positions; by default 60 Bohr. The
            energy of a pair at a short cutoff is not zero: it ends there.
        coordination_cutoff: the same for bonds; by default 40 Bohr, or ``cutoff_distance`` if that is less.
        three_body_cutoff: the same for the sides of triangles; same default.
        atomic_number: atomic number of each atom type, if the model's ``z`` are types of another kind.
        distance_scale: metres in the unit of length (1e-10 for Å, the default).
        energy_scale: Joules in the unit of energy (1.602176634e-19 for eV, the default).
        dataset: asked for whichever of the last three is not given.

    Raises:
        ModuleNotFoundError: tad-dftd3 is not installed.
        ValueError: no functional and no parameters, or an unknown functional; a cutoff that is not above zero.
    """

    atomic_number: Tensor
    c6: Tensor
    coordination: Tensor
    r4r2: Tensor
    covalent: Tensor
    van_der_waals: Tensor

    def __init__(
        self,
        functional: str | None = None,
        a1: float | None = None,
        a2: float | None = None,
        s6: float | None = None,
        s8: float | None = None,
        s9: float | None = None,
        three_body: bool = False,
        cutoff_distance: float | None = None,
        coordination_cutoff: float | None = None,
        three_body_cutoff: float | None = None,
        atomic_number: Sequence[int] | Tensor | None = None,
        distance_scale: float | None = None,
        energy_scale: float | None = None,
        dataset: Any = None,
    ) -> None:
        super().__init__(distance_scale=distance_scale, energy_scale=energy_scale, dataset=dataset)
        self.functional = functional
        self.damping = functional_damping(functional, {"a1": a1, "a2": a2, "s6": s6, "s8": s8, "s9": s9})
        self.three_body = flag(three_body, prior="D3", option="three_body")
        self.bohr = BOHR_IN_ANGSTROM * 1e-10 / self.distance_scale
        self.hartree = HARTREE_IN_EV * EV_IN_JOULE / self.energy_scale
        self.cutoff_distance = _cutoff("cutoff_distance", cutoff_distance, PAIR_CUTOFF_BOHR * self.bohr)
        shorter = min(OTHER_CUTOFF_BOHR * self.bohr, self.cutoff_distance)
        self.coordination_cutoff = _cutoff("coordination_cutoff", coordination_cutoff, shorter)
        self.three_body_cutoff = _cutoff("three_body_cutoff", three_body_cutoff, shorter)
        table = atomic_number_table(atomic_number, dataset, highest=HIGHEST, prior="D3")
        self.register_buffer("atomic_number", table)
        for name, values in element_tables()._asdict().items():
            # The same for all models: a checkpoint need not hold 4 MB of them.
            self.register_buffer(name, values, persistent=False)
        self.distance = NeighborList(0.0, max(self.cutoff_distance, self.coordination_cutoff), loop=False)

    def get_init_args(self) -> dict[str, Any]:
        """Arguments that make the same prior again, with the parameters as numbers."""
        return {
            "functional": self.functional,
            **self.damping._asdict(),
            "three_body": self.three_body,
            "cutoff_distance": self.cutoff_distance,
            "coordination_cutoff": self.coordination_cutoff,
            "three_body_cutoff": self.three_body_cutoff,
            "atomic_number": self.atomic_number.tolist(),
            "distance_scale": self.distance_scale,
            "energy_scale": self.energy_scale,
        }

    def atom_energies(self, system: System, extra_args: ExtraArgs = None) -> Tensor:
        """Half the energy of each atom's pairs and a third of that of its triangles. (N, 1)"""
        z = look_up_types(system.z, self.atomic_number, prior="D3", lowest=1)
        graph: Graph = self.distance(system)
        weights = self._weights(graph, z)
        energies = self._pair_energies(graph, weights, z=z)
        if self.three_body:
            energies = energies + self._triangle_energies(system, weights, z=z)
        return self.hartree * energies.unsqueeze(1)

    def _weights(self, graph: Graph, z: Tensor) -> Tensor:
        """How much each atom is like the reference systems of its element. (N, R)"""
        covalent = self.covalent[z]
        numbers = coordination_numbers(
            graph.distance / self.bohr,
            covalent.index_select(0, graph.receiver) + covalent.index_select(0, graph.sender),
            receiver=graph.receiver,
            num_atoms=z.shape[0],
            cutoff=self.coordination_cutoff / self.bohr,
        )
        return reference_weights(numbers, self.coordination[z])

    def _pair_energies(self, graph: Graph, weights: Tensor, *, z: Tensor) -> Tensor:
        """Half the energy of each atom's pairs, Hartree. (N,)"""
        r4r2 = self.r4r2[z]
        energies = two_body_energy(
            graph.distance / self.bohr,
            pair_c6(weights, z, table=self.c6, first=graph.receiver, second=graph.sender),
            quotient=3.0 * r4r2.index_select(0, graph.receiver) * r4r2.index_select(0, graph.sender),
            damping=self.damping,
            cutoff=self.cutoff_distance / self.bohr,
        )
        return 0.5 * scatter_sum(energies, graph.receiver, z.shape[0])

    def _triangle_energies(self, system: System, weights: Tensor, *, z: Tensor) -> Tensor:
        """A third of the energy of each atom's triangles, Hartree. (N,)"""
        leave_compiled_code("the prior D3 lists triangles, as many as there are: they are not compiled")
        graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=self.three_body_cutoff, loop=False)
        first, second, far_side = list_triangles(graph, cutoff=self.three_body_cutoff)
        i, j, k = graph.receiver.long()[first], graph.sender.long()[first], graph.sender.long()[second]
        sides = ((i, j), (i, k), (j, k))
        energies = three_body_energy(
            torch.stack([graph.distance[first], graph.distance[second], far_side], dim=1) / self.bohr,
            torch.stack([pair_c6(weights, z, table=self.c6, first=p, second=q) for p, q in sides], dim=1),
            radii=torch.stack([self.van_der_waals[z[p], z[q]] for p, q in sides], dim=1),
            damping=self.damping,
        )
        return scatter_sum(energies, i, z.shape[0]) / 3.0


def _cutoff(name: str, given: float | None, default: float) -> float:
    return positive(default if given is None else given, prior="D3", option=name)
