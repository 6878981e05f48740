"""Simulations in OpenMM of ASE's atoms."""

import numpy as np
import openmm
from ase import Atoms
from openmm import app, unit

NM = 0.1
"""1 Å in nm."""
KJ_PER_MOL = 96.48533212331
"""1 eV in kJ/mol."""
REDUCED_CELL = np.array([[3.0, 0.0, 0.0], [1.1, 3.2, 0.0], [-0.7, 0.5, 3.4]])
"""OpenMM takes cells with a along x, b in the plane of x and y, and no vector longer than it need be. Å"""


def topology_of(atoms: Atoms) -> app.Topology:
    """One residue with these atoms, and their cell where it is periodic."""
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for symbol in atoms.symbols:
        topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
    if atoms.pbc.any():
        topology.setPeriodicBoxVectors(atoms.cell.array * NM * unit.nanometer)
    return topology


def system_of(atoms: Atoms, force: openmm.Force) -> openmm.System:
    """These atoms under a force."""
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    if atoms.pbc.any():
        system.setDefaultPeriodicBoxVectors(*(atoms.cell.array * NM))
    system.addForce(force)
    return system


def context_of(atoms: Atoms, system: openmm.System, *, platform: str = "CPU", timestep: float = 0.25) -> openmm.Context:
    """The atoms in place and at rest. timestep in fs"""
    integrator = openmm.VerletIntegrator(timestep * unit.femtosecond)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(atoms.positions * NM)
    return context


def energy_and_forces(context: openmm.Context) -> tuple[float, np.ndarray]:
    """In eV and eV/Å, by numbers of this file's own."""
    state = context.getState(energy=True, forces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return energy / KJ_PER_MOL, forces / KJ_PER_MOL * NM


def energy_error(context: openmm.Context, *, num_steps: int, num_atoms: int) -> float:
    """Standard deviation of the total energy per atom over a run at constant energy, eV."""
    totals = []
    for _ in range(num_steps // 4):
        context.getIntegrator().step(4)
        state = context.getState(energy=True)
        total = state.getPotentialEnergy() + state.getKineticEnergy()
        totals.append(total.value_in_unit(unit.kilojoule_per_mole) / KJ_PER_MOL)
    return float(np.std(totals)) / num_atoms
