from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from tiny import small_model, small_options

from torchmdnet.calculators import TMDNETCalculator
from torchmdnet.factory import create_model
from torchmdnet.potential import TorchMD_Net
from torchmdnet.priors import Atomref

openmm = pytest.importorskip("openmm", reason="OpenMM is not installed (extra 'openmm')")
from openmm import unit  # noqa: E402
from openmm_contexts import NM, REDUCED_CELL, context_of, energy_and_forces, energy_error, system_of, topology_of  # noqa: E402

from torchmdnet.calculators.openmm import openmm_force  # noqa: E402


def in_ase(atoms: Atoms, model: TorchMD_Net) -> tuple[float, np.ndarray]:
    atoms = atoms.copy()
    atoms.calc = TMDNETCalculator(model)
    return atoms.get_potential_energy(), atoms.get_forces()


def in_openmm(atoms: Atoms, model: Any, *, platform: str = "CPU", **options: Any) -> tuple[float, np.ndarray]:
    force = openmm_force(model, topology_of(atoms), **options)
    return energy_and_forces(context_of(atoms, system_of(atoms, force), platform=platform))


@pytest.mark.parametrize("platform", ["CPU", "Reference"])
@pytest.mark.parametrize("name", ["ethanol", "crystal"])
def test_gives_the_energy_and_forces_of_the_model(
    name: str, platform: str, model: TorchMD_Net, request: pytest.FixtureRequest
) -> None:
    atoms = request.getfixturevalue(name)
    if atoms.pbc.any():
        atoms.set_cell(REDUCED_CELL, scale_atoms=True)
    expected = in_ase(atoms, model)
    energy, forces = in_openmm(atoms, model, platform=platform)
    assert energy == pytest.approx(expected[0], abs=1e-8)
    np.testing.assert_allclose(forces, expected[1], rtol=0, atol=1e-8)


def test_forces_are_minus_the_slope_of_the_energy(ethanol: Atoms, model: TorchMD_Net) -> None:
    context = context_of(ethanol, system_of(ethanol, openmm_force(model, ethanol.numbers)), platform="Reference")
    _, forces = energy_and_forces(context)
    for atom, axis in ((0, 0), (2, 1), (8, 2)):
        energies = []
        for step in (-1e-4, 1e-4):
            moved = ethanol.positions.copy()
            moved[atom, axis] += step
            context.setPositions(moved * NM)
            energies.append(energy_and_forces(context)[0])
        assert forces[atom, axis] == pytest.approx((energies[0] - energies[1]) / 2e-4, abs=1e-6)


def test_the_box_of_the_simulation_counts_not_that_of_the_topology(model: TorchMD_Net) -> None:
    atoms = Atoms("CN", [[0, 0, 0], [1.1, 1.2, 0.3]], cell=[3.0, 3.1, 3.2], pbc=True)
    context = context_of(atoms, system_of(atoms, openmm_force(model, topology_of(atoms))))
    atoms.set_cell([3.3, 3.2, 3.1])
    context.setPeriodicBoxVectors(*(atoms.cell.array * NM))
    assert energy_and_forces(context)[0] == pytest.approx(in_ase(atoms, model)[0], abs=1e-8)


def test_a_barostat_changes_the_box(model: TorchMD_Net) -> None:
    atoms = Atoms("CN", [[0, 0, 0], [1.1, 1.2, 0.3]], cell=[3.0, 3.1, 3.2], pbc=True)
    system = system_of(atoms, openmm_force(model, topology_of(atoms)))
    barostat = openmm.MonteCarloBarostat(1e6 * unit.bar, 300 * unit.kelvin, 1)
    barostat.setRandomNumberSeed(1)
    system.addForce(barostat)
    context = context_of(atoms, system)
    context.getIntegrator().step(5)
    atoms.set_cell(context.getState().getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom))
    atoms.positions = context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    assert atoms.get_volume() != pytest.approx(3.0 * 3.1 * 3.2, rel=1e-4)
    assert energy_and_forces(context)[0] == pytest.approx(in_ase(atoms, model)[0], abs=1e-6)


def test_numbers_alone_mean_no_periodic_axis(model: TorchMD_Net) -> None:
    assert not openmm_force(model, [8, 1, 1]).usesPeriodicBoundaryConditions()
    assert openmm_force(model, [8, 1, 1], periodic=True).usesPeriodicBoundaryConditions()


@pytest.mark.parametrize("charge", [1, 1.0, 1 * unit.elementary_charge])
def test_the_charge_reaches_the_model(ethanol: Atoms, model: TorchMD_Net, charge: Any) -> None:
    ethanol.info["charge"] = 1
    expected, _ = in_ase(ethanol, model)
    assert in_openmm(ethanol, model, charge=charge)[0] == pytest.approx(expected, abs=1e-8)
    assert abs(in_openmm(ethanol, model)[0] - expected) > 1e-4


def test_large_reference_energies_cost_no_digits(ethanol: Atoms) -> None:
    prior = Atomref(max_z=10)
    prior.set_reference(torch.full((10, 1), -1234.5))
    torch.manual_seed(0)
    with_references = create_model(small_options(precision=32), [prior])
    plain, _ = in_openmm(ethanol, small_model(precision=32))
    assert in_openmm(ethanol, with_references)[0] == pytest.approx(plain - 1234.5 * len(ethanol), abs=1e-8)


def test_other_particles_are_left_to_other_forces(model: TorchMD_Net) -> None:
    """A water molecule described by the model, between two atoms that are not."""
    water = molecule("H2O")
    atoms = Atoms("Ar", [[0, 0, 2.0]]) + water + Atoms("Ar", [[0, 0, -2.0]])
    expected = in_ase(water, model)
    energy, forces = in_openmm(atoms, model, particles=[1, 2, 3])
    assert energy == pytest.approx(expected[0], abs=1e-8)
    np.testing.assert_allclose(forces[1:4], expected[1], rtol=0, atol=1e-8)
    assert not forces[[0, 4]].any()


def test_an_ensemble_gives_the_mean(ethanol: Atoms, checkpoint: Path) -> None:
    single = in_openmm(ethanol, checkpoint, dtype="float64")
    double = in_openmm(ethanol, [checkpoint, checkpoint], dtype="float64")
    assert double[0] == pytest.approx(single[0], abs=1e-12)
    np.testing.assert_allclose(double[1], single[1], rtol=0, atol=1e-12)


def test_the_system_is_written_and_read_with_its_model(ethanol: Atoms, model: TorchMD_Net) -> None:
    system = system_of(ethanol, openmm_force(model, ethanol.numbers, group=3, compile=True))
    read = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    assert read.getForce(0).getForceGroup() == 3
    assert energy_and_forces(context_of(ethanol, read))[0] == pytest.approx(in_ase(ethanol, model)[0], abs=1e-8)


def test_nve_conserves_the_energy(methanol_model: TorchMD_Net) -> None:
    """0.02 meV/atom is what the integrator leaves at this time step."""
    atoms = molecule("CH3OH")
    context = context_of(atoms, system_of(atoms, openmm_force(methanol_model, atoms.numbers)))
    context.setVelocitiesToTemperature(300.0, 1)
    assert energy_error(context, num_steps=400, num_atoms=6) < 5e-5


def test_a_virtual_site_in_the_topology_is_named(model: TorchMD_Net) -> None:
    topology = topology_of(molecule("H2O"))
    topology.addAtom("M", None, next(topology.residues()))
    with pytest.raises(ValueError, match=r"particle 3 has no element: .* leave it out with particles"):
        openmm_force(model, topology)
    assert openmm_force(model, topology, particles=[0, 1, 2]).getParticles() == (0, 1, 2)


@pytest.mark.parametrize(("particles", "text"), [([0, 3], "got index 3, but there are 3"), ([1, 1], "is there twice")])
def test_wrong_particles_are_refused(model: TorchMD_Net, particles: list[int], text: str) -> None:
    with pytest.raises(ValueError, match=f"particles: .*{text}"):
        openmm_force(model, [8, 1, 1], particles=particles)


@pytest.mark.parametrize("atoms", ["H2O", [8.0, 1.0], [[8, 1, 1]]])
def test_what_names_no_atoms_is_refused(model: TorchMD_Net, atoms: Any) -> None:
    with pytest.raises(ValueError, match=r"atoms: got .* expected an OpenMM Topology or atomic numbers"):
        openmm_force(model, atoms)


def test_a_charge_that_is_no_number_is_refused(model: TorchMD_Net) -> None:
    with pytest.raises(TypeError, match="charge: got 'plus one', expected a number"):
        openmm_force(model, [8, 1, 1], charge="plus one")


def test_numbers_for_another_system_are_told_at_the_first_step(ethanol: Atoms, model: TorchMD_Net) -> None:
    context = context_of(ethanol, system_of(ethanol, openmm_force(model, [8, 1, 1])))
    with pytest.raises(openmm.OpenMMException, match="the force is for 3 particles, the simulation gives it 9"):
        energy_and_forces(context)


def test_an_element_the_model_does_not_know_is_told_at_the_first_step(model: TorchMD_Net) -> None:
    atoms = Atoms("HAu", [[0, 0, 0], [0, 0, 1.5]])
    with pytest.raises(openmm.OpenMMException, match="atomic number of atom 1 is 79, this model knows 0 to 19"):
        in_openmm(atoms, model)
