"""Energy conservation of dynamics with radial tables, beside that of the exact model.

    torchmd-train --conf examples/quickstart/quickstart.yaml
    python benchmarks/nve_drift.py logs/quickstart/best.ckpt --plot docs/images/nve_tables.png

Ethanol at some 300 K, velocity Verlet with steps of 0.5 fs, the same start for every run. A drift is the slope of a
straight line through the total energy, with the standard error that the means of twenty blocks tell.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.md.velocitydistribution import Stationary, ZeroRotation, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.optimize import LBFGS
from matplotlib import pyplot as plt

from torchmdnet.calculators import TMDNETCalculator
from torchmdnet.models import use_radial_tables

TIMESTEP = 0.5
"""fs"""
EVERY = 10
"""Steps between two records."""
NUM_BLOCKS = 20


class Run(NamedTuple):
    """One run at constant energy."""

    name: str
    time: np.ndarray
    """ps"""
    change: np.ndarray
    """Of the total energy, meV/atom."""
    seconds: float

    def drift(self) -> tuple[float, float]:
        """Slope of a straight line in meV/atom/ps, and its standard error."""
        blocks = [np.array_split(values, NUM_BLOCKS) for values in (self.time, self.change)]
        x, y = (np.array([block.mean() for block in values]) for values in blocks)
        slope, start = np.polyfit(x, y, 1)
        spread = np.square(y - start - slope * x).sum() / (NUM_BLOCKS - 2)
        return float(slope), float(np.sqrt(spread / np.square(x - x.mean()).sum()))


def make_start(model: str, *, seed: int) -> Atoms:
    """Relaxed ethanol with velocities of 600 K: half of that goes to the vibrations."""
    atoms = molecule("CH3CH2OH")
    atoms.calc = TMDNETCalculator(model, dtype=torch.float64, radial_tables=False)
    LBFGS(atoms, logfile=None).run(fmax=0.05, steps=200)
    thermalize_momenta(atoms, temperature_K=600, rng=np.random.default_rng(seed))
    Stationary(atoms)
    ZeroRotation(atoms)
    return atoms


def run_nve(start: Atoms, model: str, *, dtype: torch.dtype, tolerance: float | None, steps: int) -> Run:
    """Follow the total energy; without a tolerance the model is the exact one."""
    atoms = start.copy()
    atoms.calc = TMDNETCalculator(model, dtype=dtype, radial_tables=False)
    if tolerance is not None and not use_radial_tables(atoms.calc.model, tolerance=tolerance):
        raise ValueError(
            "this model has no radial tables: give a checkpoint of TensorNet or the equivariant transformer"
        )
    dynamics = VelocityVerlet(atoms, TIMESTEP * units.fs)
    energies: list[float] = []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=EVERY)
    begin = time.perf_counter()
    dynamics.run(steps)
    seconds = time.perf_counter() - begin
    change = 1e3 * (np.array(energies) - energies[0]) / len(atoms)
    kind = "exact" if tolerance is None else f"tables, {tolerance:g}"
    name = f"{kind}, {str(dtype).removeprefix('torch.')}"
    return Run(name, 1e-3 * TIMESTEP * EVERY * np.arange(len(change)), change, seconds)


def draw(runs: list[Run], path: str) -> None:
    """One panel a run, all on one scale."""
    figure, axes = plt.subplots(
        len(runs), 1, figsize=(8, 1.6 * len(runs) + 0.6), sharex=True, sharey=True, squeeze=False
    )
    for axis, run in zip(axes[:, 0], runs, strict=True):
        slope, error = run.drift()
        axis.plot(run.time, run.change, linewidth=0.5, color="black")
        axis.set_title(f"{run.name}: drift {slope:+.5f} ± {error:.5f} meV/atom/ps", fontsize=9, loc="left")
        axis.axhline(0, color="0.7", linewidth=0.5)
    axes[-1, 0].set_xlabel("time (ps)")
    figure.supylabel("change of the total energy (meV/atom)", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run all and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="checkpoint")
    parser.add_argument("--plot", default="nve_tables.png", help="picture to write")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "float64"), default=["float64", "float32"])
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-6, 1e-3])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.steps < NUM_BLOCKS * EVERY:
        parser.error(f"--steps: got {options.steps}, a drift needs at least {NUM_BLOCKS * EVERY}")
    start = make_start(options.model, seed=options.seed)
    runs: list[Run] = []
    print("model                    drift (meV/atom/ps)       fluctuation (meV/atom)  ms a step")
    for dtype in options.dtypes:
        for tolerance in (None, *options.tolerances):
            kind = getattr(torch, dtype)
            run = run_nve(start, options.model, dtype=kind, tolerance=tolerance, steps=options.steps)
            slope, error = run.drift()
            milliseconds = 1e3 * run.seconds / options.steps
            print(
                f"{run.name:24} {slope:+.6f} ± {error:.6f}     {run.change.std():.4f} {milliseconds:21.2f}", flush=True
            )
            runs.append(run)
    draw(runs, options.plot)
    print(f"written: {options.plot}")


if __name__ == "__main__":
    main()
