from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from tiny import small_model, small_options

from torchmdnet.calculators import TMDNETCalculator
from torchmdnet.factory import create_model
from torchmdnet.potential import Ensemble, TorchMD_Net
from torchmdnet.priors import Atomref


@pytest.fixture
def calculator(model: TorchMD_Net) -> TMDNETCalculator:
    return TMDNETCalculator(model)


def attached(atoms: Atoms, calculator: TMDNETCalculator) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms


def energy_of(atoms: Atoms, calculator: TMDNETCalculator) -> float:
    return attached(atoms, calculator).get_potential_energy()


def test_gives_the_numbers_of_the_model(ethanol: Atoms, calculator: TMDNETCalculator, model: TorchMD_Net) -> None:
    atoms = attached(ethanol, calculator)
    y, neg_dy = model(torch.as_tensor(atoms.numbers), torch.as_tensor(atoms.positions))
    assert atoms.get_potential_energy() == pytest.approx(y.item(), abs=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), neg_dy.numpy(), rtol=0, atol=1e-12)


def test_free_energy_is_the_energy(ethanol: Atoms, calculator: TMDNETCalculator) -> None:
    atoms = attached(ethanol, calculator)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_checkpoint_gives_the_models_energy(
    checkpoint: Path, model: TorchMD_Net, ethanol: Atoms, dtype: torch.dtype
) -> None:
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    calculator = TMDNETCalculator(checkpoint, "cpu", dtype)
    assert energy_of(ethanol, calculator) == pytest.approx(energy_of(ethanol, TMDNETCalculator(model)), abs=tolerance)


def test_an_ensemble_gives_the_mean(ethanol: Atoms, checkpoint: Path) -> None:
    single = energy_of(ethanol, TMDNETCalculator(checkpoint, dtype=torch.float64))
    assert energy_of(ethanol, TMDNETCalculator([checkpoint] * 3, dtype=torch.float64)) == pytest.approx(single)


def test_an_ensemble_tells_how_much_its_members_differ(ethanol: Atoms) -> None:
    members = [small_model(seed) for seed in range(3)]
    energies, forces = zip(
        *(model(torch.as_tensor(ethanol.numbers), torch.as_tensor(ethanol.positions)) for model in members), strict=True
    )
    atoms = attached(ethanol, TMDNETCalculator(Ensemble(members)))
    assert atoms.get_potential_energy() == pytest.approx(torch.stack(energies).mean().item(), abs=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), torch.stack(forces).mean(0), rtol=0, atol=1e-12)
    assert atoms.calc.results["energy_std"] == pytest.approx(torch.stack(energies).std().item(), abs=1e-12)
    np.testing.assert_allclose(atoms.calc.results["forces_std"], torch.stack(forces).std(0), rtol=0, atol=1e-12)


def test_an_ensemble_tells_how_much_the_stress_differs(crystal: Atoms) -> None:
    members = [small_model(seed) for seed in range(2)]
    stresses = np.stack([attached(crystal, TMDNETCalculator(model)).get_stress() for model in members])
    atoms = attached(crystal, TMDNETCalculator(Ensemble(members)))
    np.testing.assert_allclose(atoms.get_stress(), stresses.mean(0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(atoms.calc.results["stress_std"], stresses.std(0, ddof=1), rtol=0, atol=1e-12)


def test_a_single_model_has_no_deviation(ethanol: Atoms, calculator: TMDNETCalculator) -> None:
    atoms = attached(ethanol, calculator)
    atoms.get_forces()
    assert sorted(atoms.calc.results) == ["energy", "forces", "free_energy"]


def test_forces_are_minus_the_slope_of_the_energy(crystal: Atoms, calculator: TMDNETCalculator) -> None:
    atoms = attached(crystal, calculator)
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-4), rtol=0, atol=1e-7)


def test_stress_is_the_slope_of_the_energy_with_strain(crystal: Atoms, calculator: TMDNETCalculator) -> None:
    atoms = attached(crystal, calculator)
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    assert np.abs(numerical).max() > 1e-4
    np.testing.assert_allclose(atoms.get_stress(), numerical, rtol=0, atol=1e-8)


def test_a_left_handed_cell_has_the_same_energy_and_stress(crystal: Atoms, calculator: TMDNETCalculator) -> None:
    right, left = attached(crystal, calculator), crystal.copy()
    left.set_cell(crystal.cell[[1, 0, 2]])
    assert left.cell.handedness == -right.cell.handedness
    left = attached(left, calculator)
    assert left.get_potential_energy() == pytest.approx(right.get_potential_energy(), abs=1e-10)
    np.testing.assert_allclose(left.get_stress(), right.get_stress(), rtol=0, atol=1e-10)


def test_turning_the_crystal_turns_the_forces(crystal: Atoms, calculator: TMDNETCalculator) -> None:
    turned = crystal.copy()
    turned.rotate(37.0, (1, 2, 3), rotate_cell=True)
    rotation = np.linalg.solve(crystal.cell, turned.cell)
    one, two = attached(crystal, calculator), attached(turned, calculator)
    assert two.get_potential_energy() == pytest.approx(one.get_potential_energy(), abs=1e-10)
    np.testing.assert_allclose(two.get_forces(), one.get_forces() @ rotation, rtol=0, atol=1e-10)


def test_a_supercell_has_a_multiple_of_the_energy_and_the_same_stress(
    crystal: Atoms, calculator: TMDNETCalculator
) -> None:
    small = attached(crystal, calculator)
    large = attached(make_supercell(crystal, [[2, 0, 0], [0, 1, 0], [0, 1, 2]]), calculator)
    assert large.get_potential_energy() == pytest.approx(4 * small.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(large.get_stress(), small.get_stress(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("pbc", [(True, True, False), (True, False, False), (False, False, True)])
def test_an_open_axis_is_not_periodic(crystal: Atoms, calculator: TMDNETCalculator, pbc: tuple[bool, ...]) -> None:
    """A slab or a wire in a thin cell has the energy of one whose open axes are so long that images never meet."""
    thin, wide = crystal.copy(), crystal.copy()
    thin.pbc = wide.pbc = pbc
    wide.set_cell([row if periodic else 20 * row for row, periodic in zip(crystal.cell, pbc, strict=True)])
    full = energy_of(crystal, calculator)
    assert energy_of(thin, calculator) == pytest.approx(energy_of(wide, calculator), abs=1e-10)
    assert abs(energy_of(thin, calculator) - full) > 1e-3


def test_an_open_axis_needs_no_cell_vector(calculator: TMDNETCalculator) -> None:
    slab = Atoms("CN", [[0, 0, 0], [0.3, 0.4, 1.5]], cell=[2.5, 2.6, 0], pbc=[True, True, False])
    padded = slab.copy()
    padded.set_cell([2.5, 2.6, 50.0])
    assert energy_of(slab, calculator) == pytest.approx(energy_of(padded, calculator), abs=1e-10)


def test_stress_of_a_slab_is_the_slope_of_its_energy(crystal: Atoms, calculator: TMDNETCalculator) -> None:
    crystal.pbc = (True, True, False)
    atoms = attached(crystal, calculator)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-5), rtol=0, atol=1e-8)


def test_energies_add_up_to_the_energy(crystal: Atoms, calculator: TMDNETCalculator) -> None:
    atoms = attached(crystal, calculator)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy(), abs=1e-12)


def test_large_reference_energies_cost_no_digits(ethanol: Atoms) -> None:
    """In float32 -10^4 eV would hide all that is below 1 meV."""
    prior = Atomref(max_z=10)
    prior.set_reference(torch.full((10, 1), -1234.5))
    plain = small_model(precision=32)
    torch.manual_seed(0)
    with_references = create_model(small_options(precision=32), [prior])
    expected = energy_of(ethanol, TMDNETCalculator(plain)) - 1234.5 * len(ethanol)
    atoms = attached(ethanol, TMDNETCalculator(with_references))
    assert atoms.get_potential_energy() == pytest.approx(expected, abs=1e-9)
    assert atoms.get_potential_energies().sum() == pytest.approx(expected, abs=1e-5)


def test_charge_defaults_to_zero_and_is_read_from_info(ethanol: Atoms, calculator: TMDNETCalculator) -> None:
    neutral = energy_of(ethanol, calculator)
    ethanol.info["charge"] = 0
    assert energy_of(ethanol, calculator) == neutral
    ethanol.info["charge"] = 1
    charged = energy_of(ethanol, calculator)
    assert abs(charged - neutral) > 1e-4
    expected, _ = calculator.model(
        torch.as_tensor(ethanol.numbers), torch.as_tensor(ethanol.positions), q=torch.tensor([1.0])
    )
    assert charged == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("one", [1, 1.0, np.int64(1), np.array([1])])
def test_charge_may_be_any_kind_of_number(ethanol: Atoms, calculator: TMDNETCalculator, one: object) -> None:
    ethanol.info["charge"] = 1
    expected = energy_of(ethanol, calculator)
    ethanol.info["charge"] = one
    assert energy_of(ethanol, calculator) == expected


def test_a_new_charge_computes_anew(ethanol: Atoms, calculator: TMDNETCalculator) -> None:
    atoms = attached(ethanol, calculator)
    before = atoms.get_potential_energy()
    atoms.info["charge"] = -1
    assert atoms.get_potential_energy() != before
    atoms.info["note"] = "of no importance"
    assert calculator.check_state(atoms) == []


def test_energy_after_forces_computes_nothing_anew(ethanol: Atoms, calculator: TMDNETCalculator, monkeypatch) -> None:
    atoms = attached(ethanol, calculator)
    atoms.get_forces()
    monkeypatch.setattr(calculator.model, "compute", None)
    atoms.get_potential_energy()


def test_stress_after_forces_computes_nothing_anew(crystal: Atoms, calculator: TMDNETCalculator, monkeypatch) -> None:
    atoms = attached(crystal, calculator)
    atoms.get_forces()
    monkeypatch.setattr(calculator.model, "compute", None)
    atoms.get_stress()


def test_a_spin_the_model_ignores_is_told(ethanol: Atoms) -> None:
    ethanol.info["spin"] = 1
    with pytest.warns(UserWarning, match="ignores the spins"):
        energy_of(ethanol, TMDNETCalculator(small_model()))


def test_stress_without_a_cell_is_refused(ethanol: Atoms, calculator: TMDNETCalculator) -> None:
    with pytest.raises(PropertyNotImplementedError, match="stress needs a periodic axis and three cell vectors"):
        attached(ethanol, calculator).get_stress()


def test_a_periodic_axis_without_a_vector_is_refused(calculator: TMDNETCalculator) -> None:
    atoms = Atoms("C", cell=[3, 3, 0], pbc=True)
    with pytest.raises(ValueError, match="pbc is on along c but the cell has no vector there"):
        energy_of(atoms, calculator)


def test_an_unknown_element_is_named(calculator: TMDNETCalculator) -> None:
    with pytest.raises(ValueError, match=r"atom 1 is 79.*0 to 19"):
        energy_of(Atoms("HAu", [[0, 0, 0], [0, 0, 1.5]]), calculator)


def test_positions_that_are_not_finite_are_refused(calculator: TMDNETCalculator) -> None:
    with pytest.raises(ValueError, match=r"(?i)nan"):
        energy_of(Atoms("H2", [[0, 0, 0], [0, 0, np.nan]]), calculator)


def test_a_charge_that_is_no_number_is_refused(ethanol: Atoms, calculator: TMDNETCalculator) -> None:
    ethanol.info["charge"] = "plus one"
    with pytest.raises(ValueError, match=r"atoms.info\['charge'\]: got 'plus one', expected a number"):
        energy_of(ethanol, calculator)


def test_a_system_without_atoms_has_no_energy(calculator: TMDNETCalculator) -> None:
    assert energy_of(Atoms(), calculator) == 0.0


def test_the_old_keyword_max_num_neighbors_is_accepted(checkpoint: Path) -> None:
    TMDNETCalculator(checkpoint, max_num_neighbors=64, remove_ref_energy=True)


def test_an_unknown_keyword_is_named(checkpoint: Path) -> None:
    with pytest.raises(TypeError, match="'max_num_neighbours' is not an option; did you mean 'max_num_neighbors'"):
        TMDNETCalculator(checkpoint, max_num_neighbours=64)


def test_one_calculator_serves_systems_of_different_size(calculator: TMDNETCalculator) -> None:
    energies = [energy_of(atoms, calculator) for atoms in (molecule("H2O"), bulk("C"), molecule("CH4"))]
    again = [energy_of(atoms, calculator) for atoms in (molecule("H2O"), bulk("C"), molecule("CH4"))]
    assert energies == again
