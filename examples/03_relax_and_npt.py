"""Relax a molecule, then run liquid methanol at constant temperature and pressure.

    torchmd-train --conf examples/quickstart/quickstart.yaml
    python examples/03_relax_and_npt.py logs/quickstart/best.ckpt

The quick-start data hold pairs and droplets of methanol, so that the model knows how methanol molecules touch. Its
cutoff leaves out what acts at longer range, which is why the liquid is kept together by a pressure of 5 kbar: the
density is that of this model, not of methanol.
"""

import argparse

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.optimize import LBFGS

from torchmdnet.calculators import TMDNETCalculator


def relax(formula: str, calculator: Calculator, *, steps: int) -> Atoms:
    """The molecule at the minimum of its energy, from a shaken start."""
    atoms = molecule(formula)
    atoms.rattle(0.1, seed=1)
    atoms.calc = calculator
    before = atoms.get_potential_energy()
    optimizer = LBFGS(atoms, logfile=None)
    optimizer.run(fmax=0.01, steps=steps)
    force = np.linalg.norm(atoms.get_forces(), axis=1).max()
    print(
        f"{formula}: {optimizer.nsteps} LBFGS steps, energy {before:.3f} -> {atoms.get_potential_energy():.3f} eV, "
        f"largest force {force:.3f} eV/Å"
    )
    return atoms


def liquid(single: Atoms, *, repeats: int, spacing: float) -> Atoms:
    """Molecules turned at random on a cubic lattice, periodic along all axes. Spacing in Å."""
    rng = np.random.default_rng(2)
    atoms = Atoms(cell=[repeats * spacing] * 3, pbc=True)
    for site in np.ndindex(repeats, repeats, repeats):
        copy = Atoms(single.numbers, single.positions)
        copy.euler_rotate(*rng.uniform(0.0, 360.0, size=3), center="COM")
        copy.translate(spacing * (np.array(site) + 0.5) - copy.get_center_of_mass())
        atoms += copy
    return atoms


def density(atoms: Atoms) -> float:
    """g/cm³."""
    return float(atoms.get_masses().sum() / units.kg * 1e3 / (atoms.get_volume() * 1e-24))


def main() -> None:
    """Relax methanol, fill a box with it and let the box find its volume."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="logs/quickstart/best.ckpt", help="checkpoint of torchmd-train")
    parser.add_argument("--fast", action="store_true", help="a few steps only")
    args = parser.parse_args()
    calculator = TMDNETCalculator(args.model)

    methanol = relax("CH3OH", calculator, steps=5 if args.fast else 200)

    atoms = liquid(methanol, repeats=2, spacing=4.4)
    atoms.calc = calculator
    LBFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.5, steps=5 if args.fast else 100)
    thermalize_momenta(atoms, temperature_K=250, rng=np.random.default_rng(3))
    Stationary(atoms)
    dynamics = IsotropicMTKNPT(
        atoms,
        timestep=0.5 * units.fs,
        temperature_K=250,
        pressure_au=5000.0 * units.bar,
        tdamp=50 * units.fs,
        pdamp=500 * units.fs,
    )

    def report() -> None:
        print(
            f"{dynamics.get_time() / units.fs:7.0f} fs  {atoms.get_temperature():5.0f} K  "
            f"{atoms.get_volume():7.1f} Å³  {density(atoms):.3f} g/cm³"
        )

    dynamics.attach(report, interval=5 if args.fast else 200)
    dynamics.run(10 if args.fast else 2000)


if __name__ == "__main__":
    main()
