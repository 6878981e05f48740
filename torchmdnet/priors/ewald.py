"""Electrostatic energy of point charges with all their periodic images."""

import math
from typing import Any

import torch
from torch import Tensor

from torchmdnet.elements import SYMBOLS
from torchmdnet.graph import System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.priors.base import ExtraArgs
from torchmdnet.priors.charges import ElementCharges, given_charges, read_charges
from torchmdnet.priors.compilation import leave_compiled_code
from torchmdnet.priors.coulomb import COULOMB_JOULE_METRE, pair_radius
from torchmdnet.priors.energy_prior import EnergyPrior
from torchmdnet.priors.option_checks import positive
from torchmdnet.priors.optional_package import load_optional
from torchmdnet.priors.slab import open_cell, slab_potential

__all__ = ["Ewald"]

CUTOFF_METRE = 8e-10

MESH_NODES = 7
"""Mesh points along each axis that a charge is spread to: the most that torch-pme has, for the coarsest mesh."""
MESH_ERROR = 4e-4
"""Relative error of forces with a mesh spacing of one smearing; it falls with the sixth power (measured on NaCl)."""


class Ewald(EnergyPrior):
    r"""Electrostatic energy of point charges, :math:`E = \frac{e^2}{4\pi\epsilon_0} \tfrac12 \sum_{ij} q_i q_j /
    d_{ij}`, summed over all periodic images.

    By the package torch-pme (``pip install 'torchmdnet[ewald]'``): Loche et al., J. Chem. Phys. 162, 142501 (2025).
    What is summed depends on the periodic axes of each system of a batch:

    - three: Ewald's sum, with conducting surroundings. A system with a net charge has a uniform background of the
      opposite charge, and its energy depends on the cell;
    - two: the same with an empty layer on the open side, and the correction of Yeh and Berkowitz, J. Chem. Phys. 111,
      3155 (1999). The cell vector of the open axis does not matter;
    - none: all pairs.

    There is no damping at short distance and no pair is left out: bonds are part of the sum.

    Args:
        charges: charge of each element in e, as in ``{Na: 1.0, Cl: -1.0}`` (or by atomic number); by default the field
            ``partial_charges`` of the batch is read.
        method: ``ewald`` adds up waves, the work grows as :math:`N^2`; ``pme`` uses a mesh, for thousands of atoms.
        cutoff: reach of the sum over pairs, in the unit of the positions; 8 Å by default.
        tolerance: relative error at which both sums end.
        smearing: width of the Gaussian that divides the two sums; by default the widest that ``cutoff`` and
            ``tolerance`` allow, which gives the fewest waves.
        distance_scale: metres in the unit of length (1e-10 for Å, the default).
        energy_scale: Joules in the unit of energy (1.602176634e-19 for eV, the default).
        dataset: asked for whichever of the last two is not given.

    Raises:
        ModuleNotFoundError: torch-pme is not installed.
        ValueError: an unknown element or method, numbers out of range, a smearing too wide for the cutoff.
    """

    element_charges: Tensor

    def __init__(
        self,
        charges: ElementCharges | None = None,
        method: str = "ewald",
        cutoff: float | None = None,
        tolerance: float = 1e-6,
        smearing: float | None = None,
        distance_scale: float | None = None,
        energy_scale: float | None = None,
        dataset: Any = None,
    ) -> None:
        super().__init__(distance_scale=distance_scale, energy_scale=energy_scale, dataset=dataset)
        if method not in ("ewald", "pme"):
            raise ValueError(f"Ewald: 'method' must be ewald or pme, not {method!r}")
        self.method = method
        default = CUTOFF_METRE / self.distance_scale
        self.cutoff = positive(default if cutoff is None else cutoff, prior="Ewald", option="cutoff")
        self.tolerance = positive(tolerance, prior="Ewald", option="tolerance")
        if self.tolerance > 0.1:
            raise ValueError(f"Ewald: 'tolerance' must be at most 0.1, not {tolerance}")
        # How many of its widths from its centre a Gaussian has fallen to the tolerance.
        self._widths = math.sqrt(-2.0 * math.log(tolerance))
        self.smearing = _smearing(smearing, cutoff=self.cutoff, widest=self.cutoff / self._widths)
        self.charges = None if charges is None else read_charges(charges)
        table = torch.full((len(SYMBOLS),), math.nan, dtype=torch.float64)
        for symbol, charge in (self.charges or {}).items():
            table[SYMBOLS.index(symbol)] = charge
        self.register_buffer("element_charges", table, persistent=False)
        torchpme = load_optional("torchpme", package="torch-pme", extra="ewald", prior="Ewald")
        self._potential = torchpme.CoulombPotential
        self._pairs = torchpme.Calculator
        self._waves = torchpme.EwaldCalculator if method == "ewald" else torchpme.PMECalculator

    def get_init_args(self) -> dict[str, Any]:
        """Arguments that make the same prior again."""
        return {
            "charges": self.charges,
            "method": self.method,
            "cutoff": self.cutoff,
            "tolerance": self.tolerance,
            "smearing": self.smearing,
            "distance_scale": self.distance_scale,
            "energy_scale": self.energy_scale,
        }

    def atom_energies(self, system: System, extra_args: ExtraArgs = None) -> Tensor:
        """Half of each atom's charge times its potential. (N, 1)"""
        leave_compiled_code("the prior Ewald takes each system by itself: it runs, but is not compiled")
        charges = self._charges(system, extra_args)
        order = torch.argsort(system.batch, stable=True)
        counts = torch.bincount(system.batch, minlength=system.num_systems).tolist()
        energies = torch.zeros_like(charges)
        for number, atoms in enumerate(order.split(counts)):
            if len(atoms):
                one = _one_system(system, number, atoms)
                share = charges[atoms] * self._half_potential(one, charges[atoms])
                energies = energies.index_add(0, atoms, share)
        return energies.unsqueeze(1)

    def _charges(self, system: System, extra_args: ExtraArgs) -> Tensor:
        """Charge of each atom, e. (N,)"""
        if self.charges is None:
            return given_charges(system, extra_args, prior="Ewald")
        charges = self.element_charges.to(system.pos.dtype)[system.z]
        missing = torch.isnan(charges).nonzero()
        if len(missing):
            z = int(system.z[missing[0, 0]])
            raise ValueError(f"Ewald: 'charges' has none for {SYMBOLS[z]} (atomic number {z}); it has {self.charges}")
        return charges

    def _half_potential(self, system: System, charges: Tensor) -> Tensor:
        """Half the potential at each atom of one system, in units of energy over e. (N,)"""
        periodic = _periodic_axes(system)
        if sum(periodic) == 1:
            raise ValueError(
                "Ewald sums over systems that are periodic along three, two or no axes, not one: for a wire, make the "
                "cell wide and all axes periodic"
            )
        column = charges.unsqueeze(1)
        if not any(periodic):
            return self._sum(system, column, self._pairs, reach=pair_radius(system)).squeeze(1)
        slab = None
        if not all(periodic):
            slab = open_cell(system, periodic.index(False), tolerance=self.tolerance)
            system = system._replace(box=slab.cell)
        spacing = self._spacing()
        half = self._sum(system, column, self._waves, reach=self.cutoff, smearing=self.smearing, **spacing).squeeze(1)
        return half if slab is None else half + 0.5 * self._prefactor * slab_potential(slab, charges)

    @property
    def _prefactor(self) -> float:
        """e²/(4πε₀) in the units of energy and length."""
        return COULOMB_JOULE_METRE / (self.energy_scale * self.distance_scale)

    def _spacing(self) -> dict[str, Any]:
        """How fine waves or mesh must be."""
        if self.method == "pme":
            spacing = self.smearing * (self.tolerance / MESH_ERROR) ** (1 / 6)
            return {"mesh_spacing": spacing, "interpolation_nodes": MESH_NODES}
        # torch-pme keeps waves of both signs in as many places: half as many of each as its name of the option says.
        return {"lr_wavelength": math.pi * self.smearing / self._widths}

    def _sum(
        self,
        system: System,
        charges: Tensor,
        calculator: Any,
        *,
        reach: float,
        smearing: float | None = None,
        **options: Any,
    ) -> Tensor:
        """Sum of one kind over one system. charges: (N, 1) -> (N, 1)"""
        graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=reach, loop=False)
        potential = self._potential(smearing=smearing, prefactor=self._prefactor)
        # Made anew for each call: a calculator keeps what it computed from the cell, derivatives included.
        sums = calculator(potential, full_neighbor_list=True, **options).to(system.pos)
        cell = torch.eye(3).to(system.pos) if smearing is None or system.box is None else system.box.reshape(3, 3)
        pairs = torch.stack([graph.receiver, graph.sender], dim=1).long()
        result: Tensor = sums(charges, cell, system.pos, pairs, graph.distance)
        return result


def _smearing(given: float | None, *, cutoff: float, widest: float) -> float:
    if given is None:
        return widest
    smearing = positive(given, prior="Ewald", option="smearing")
    if smearing > widest * (1 + 1e-9):
        raise ValueError(
            f"Ewald: 'smearing' must be at most {widest:.4g} with this cutoff ({cutoff:.4g}) and tolerance, not {given}"
        )
    return smearing


def _one_system(system: System, number: int, atoms: Tensor) -> System:
    """One system of a batch."""
    box = None if system.box is None else system.box.reshape(-1, 3, 3)
    pbc = None if system.pbc is None else system.pbc.reshape(-1, 3)
    return System(
        z=system.z[atoms],
        pos=system.pos[atoms],
        batch=torch.zeros_like(atoms),
        num_systems=1,
        box=None if box is None else box[number if len(box) > 1 else 0].unsqueeze(0),
        pbc=None if pbc is None else pbc[number if len(pbc) > 1 else 0].unsqueeze(0),
    )


def _periodic_axes(system: System) -> list[bool]:
    """Which of the axes of one system are periodic."""
    if system.pbc is not None:
        return [bool(axis) for axis in system.pbc.reshape(3).tolist()]
    return [system.box is not None and bool(system.box.any())] * 3
