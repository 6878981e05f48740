"""Molecular dynamics and relaxation with a model trained for a few seconds."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.md.nose_hoover_chain import MTKNPT
from ase.md.velocitydistribution import Stationary, ZeroRotation, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.optimize import LBFGS

from torchmdnet.calculators import TMDNETCalculator
from torchmdnet.potential import TorchMD_Net


@pytest.fixture
def methanol(methanol_model: TorchMD_Net) -> Atoms:
    atoms = molecule("CH3OH")
    atoms.calc = TMDNETCalculator(methanol_model)
    return atoms


def energy_error(atoms: Atoms, *, timestep: float, duration: float) -> float:
    """Standard deviation of the total energy per atom over an NVE run, eV. Times in fs."""
    dynamics = VelocityVerlet(atoms, timestep * units.fs)
    totals: list[float] = []
    dynamics.attach(lambda: totals.append(atoms.get_total_energy()))
    dynamics.run(round(duration / timestep))
    return float(np.std(totals)) / len(atoms)


def heat(atoms: Atoms, temperature: float) -> None:
    thermalize_momenta(atoms, temperature_K=temperature, rng=np.random.default_rng(0))
    Stationary(atoms)
    ZeroRotation(atoms)


def test_nve_conserves_the_energy(methanol: Atoms) -> None:
    """0.02 meV/atom is what velocity Verlet itself leaves at this time step; see the next test."""
    heat(methanol, 300.0)
    assert energy_error(methanol, timestep=0.25, duration=100.0) < 5e-5


def test_the_energy_error_falls_with_the_square_of_the_time_step(methanol: Atoms) -> None:
    """Velocity Verlet's own order: what is left is the integrator's error, not the model's."""
    heat(methanol, 300.0)
    start = methanol.get_positions(), methanol.get_momenta()
    coarse = energy_error(methanol, timestep=0.4, duration=40.0)
    methanol.set_positions(start[0])
    methanol.set_momenta(start[1])
    fine = energy_error(methanol, timestep=0.2, duration=40.0)
    assert 3.3 < coarse / fine < 4.7


def test_nve_keeps_the_momenta(methanol: Atoms) -> None:
    heat(methanol, 300.0)
    VelocityVerlet(methanol, 0.5 * units.fs).run(50)
    np.testing.assert_allclose(methanol.get_momenta().sum(0), 0.0, atol=1e-10)
    np.testing.assert_allclose(methanol.get_angular_momentum(), 0.0, atol=2e-2)


def test_lbfgs_finds_a_minimum(methanol: Atoms) -> None:
    methanol.rattle(0.05, seed=3)
    before = methanol.get_potential_energy()
    relaxation = LBFGS(methanol, logfile=None)
    assert relaxation.run(fmax=1e-3, steps=200)
    assert methanol.get_potential_energy() < before - 0.05
    assert methanol.get_distance(0, 1) == pytest.approx(1.42, abs=0.08)


def test_npt_runs_and_changes_the_cell(methanol: Atoms) -> None:
    heat(methanol, 300.0)
    methanol.set_cell([4.6, 4.6, 4.6])
    methanol.pbc = True
    before = methanol.get_volume()
    dynamics = MTKNPT(
        methanol,
        0.5 * units.fs,
        temperature_K=300.0,
        pressure_au=1e4 * units.bar,
        tdamp=50 * units.fs,
        pdamp=200 * units.fs,
    )
    dynamics.run(30)
    assert np.isfinite(methanol.positions).all()
    assert 1e-3 < abs(methanol.get_volume() / before - 1.0) < 0.5
