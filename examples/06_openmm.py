"""Molecular dynamics in OpenMM: at constant temperature, then at constant energy, which the model conserves.

torchmd-train --conf examples/quickstart/quickstart.yaml
pip install '.[openmm]'
python examples/06_openmm.py logs/quickstart/best.ckpt --plot openmm.png
"""

import argparse

import numpy as np
import openmm
from ase.build import molecule
from matplotlib import pyplot as plt
from openmm import app, unit

from torchmdnet.calculators.openmm import openmm_force

MILLI_EV = 1e-3 * 96.48533212 * unit.kilojoule_per_mole
"""1 meV as OpenMM counts energy, by the mole."""
TIMESTEP = 0.25 * unit.femtosecond


def ethanol() -> tuple[app.Topology, unit.Quantity]:
    """Topology, as a PDB file would give it, and positions."""
    atoms = molecule("CH3CH2OH")
    topology = app.Topology()
    residue = topology.addResidue("EOH", topology.addChain())
    for symbol in atoms.symbols:
        topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
    return topology, atoms.positions * unit.angstrom


def simulation_of(model: str, *, platform: str) -> app.Simulation:
    """Ethanol with two integrators: 0 keeps the temperature, 1 the energy."""
    topology, positions = ethanol()
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    # In float64 the rounding of the forces does not hide the integrator's own error.
    system.addForce(openmm_force(model, topology, dtype="float64", charge=0))

    langevin = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 10 / unit.picosecond, TIMESTEP)
    langevin.setRandomNumberSeed(1)
    integrators = openmm.CompoundIntegrator()
    integrators.addIntegrator(langevin)
    integrators.addIntegrator(openmm.VerletIntegrator(TIMESTEP))
    simulation = app.Simulation(topology, system, integrators, openmm.Platform.getPlatformByName(platform))
    simulation.context.setPositions(positions)
    return simulation


def run_nve(simulation: app.Simulation, *, num_steps: int) -> np.ndarray:
    """Rows of time (ps), potential and kinetic energy (meV/atom), one every four steps."""
    simulation.integrator.setCurrentIntegrator(1)
    num_atoms = simulation.topology.getNumAtoms()
    rows = []
    for row in range(1, num_steps // 4 + 1):
        simulation.step(4)
        state = simulation.context.getState(energy=True)
        energies = state.getPotentialEnergy() / MILLI_EV, state.getKineticEnergy() / MILLI_EV
        rows.append((4 * row * TIMESTEP / unit.picosecond, *(energy / num_atoms for energy in energies)))
    return np.array(rows)


def draw(rows: np.ndarray, *, title: str, path: str) -> None:
    """Potential and total energy against time."""
    time, potential, kinetic = rows.T
    total = potential + kinetic
    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    axes.plot(time, potential - potential[0], label="potential, from the start", linewidth=0.8)
    axes.plot(time, total - total[0], label="total, from the start", color="black")
    axes.set(xlabel="time (ps)", ylabel="energy (meV/atom)", title=title)
    axes.margins(y=0.2)
    axes.legend(loc="upper right", ncols=2)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Relax ethanol, bring it to 300 K and let it run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="logs/quickstart/best.ckpt", help="checkpoint of torchmd-train")
    parser.add_argument("--platform", default="CPU", help="of OpenMM")
    parser.add_argument("--steps", type=int, default=2000, help="of a quarter of a femtosecond, at constant energy")
    parser.add_argument("--plot", default="openmm.png", help="picture to write")
    parser.add_argument("--fast", action="store_true", help="a few steps only")
    args = parser.parse_args()

    simulation = simulation_of(args.model, platform=args.platform)
    simulation.minimizeEnergy(maxIterations=5 if args.fast else 0)
    simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
    simulation.step(20 if args.fast else 1000)
    rows = run_nve(simulation, num_steps=20 if args.fast else args.steps)
    time, potential, kinetic = rows.T
    drift = np.polyfit(time, potential + kinetic, 1)[0]
    fluctuation = (potential + kinetic).std()
    title = f"NVE in OpenMM: drift {drift:+.4f} meV/atom/ps, fluctuation {fluctuation:.4f} meV/atom"
    draw(rows, title=title, path=args.plot)
    print(f"{title}; written: {args.plot}")


if __name__ == "__main__":
    main()
