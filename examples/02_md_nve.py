"""Molecular dynamics at constant energy, and a plot that shows how well the energy is conserved.

torchmd-train --conf examples/quickstart/quickstart.yaml
python examples/02_md_nve.py logs/quickstart/best.ckpt --plot nve.png
"""

import argparse

import numpy as np
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.md.velocitydistribution import Stationary, ZeroRotation, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.optimize import LBFGS
from matplotlib import pyplot as plt

from torchmdnet.calculators import TMDNETCalculator


def run_nve(atoms: Atoms, *, timestep: float, duration: float) -> np.ndarray:
    """Rows of time (fs), potential and kinetic energy (eV). Times in fs."""
    dynamics = VelocityVerlet(atoms, timestep * units.fs)
    rows: list[tuple[float, float, float]] = []

    def record() -> None:
        rows.append((dynamics.get_time() / units.fs, atoms.get_potential_energy(), atoms.get_kinetic_energy()))

    dynamics.attach(record)
    dynamics.run(round(duration / timestep))
    return np.array(rows)


def plot(rows: np.ndarray, *, num_atoms: int, path: str) -> str:
    """Draw the energies against time; returns the title, which states drift and fluctuation of the total."""
    time, potential, kinetic = rows.T
    potential = potential - potential[0]
    total = potential + kinetic
    total_change = 1e3 * (total - total[0]) / num_atoms
    drift = np.polyfit(time, total_change, 1)[0] * 1e3
    title = f"NVE: drift {drift:+.4f} meV/atom/ps, fluctuation {total_change.std():.4f} meV/atom"

    figure, (upper, lower) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
    upper.plot(time, potential, label="potential, from the start", linewidth=0.8)
    upper.plot(time, kinetic, label="kinetic", linewidth=0.8)
    upper.plot(time, total, label="total", color="black")
    upper.set(ylabel="energy (eV)", title=title)
    upper.margins(y=0.2)
    upper.legend(loc="lower right", ncols=3)
    lower.plot(time, total_change, color="black", linewidth=0.8)
    lower.set(xlabel="time (fs)", ylabel="change of total\n(meV/atom)")
    figure.savefig(path, dpi=150)
    return title


def main() -> None:
    """Relax ethanol, heat it to 300 K and let it run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="logs/quickstart/best.ckpt", help="checkpoint of torchmd-train")
    parser.add_argument("--plot", default="nve.png", help="picture to write")
    parser.add_argument("--fast", action="store_true", help="a few steps only")
    args = parser.parse_args()

    atoms = molecule("CH3CH2OH")
    # In float64 the rounding of the energy does not hide the integrator's own error.
    atoms.calc = TMDNETCalculator(args.model, dtype=torch.float64)
    LBFGS(atoms, logfile=None).run(fmax=0.05, steps=5 if args.fast else 200)
    # A relaxed molecule gives half of its kinetic energy to its vibrations: 600 K now are about 300 K later.
    thermalize_momenta(atoms, temperature_K=600, rng=np.random.default_rng(1))
    Stationary(atoms)
    ZeroRotation(atoms)
    rows = run_nve(atoms, timestep=0.5, duration=10.0 if args.fast else 1000.0)
    print(plot(rows, num_atoms=len(atoms), path=args.plot))
    print(f"written: {args.plot}")


if __name__ == "__main__":
    main()
