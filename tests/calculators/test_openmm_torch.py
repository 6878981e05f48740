"""TorchScript modules for OpenMM-Torch, called as it calls them."""

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
from torchmdnet.models import MODELS
from torchmdnet.potential import Ensemble, TorchMD_Net
from torchmdnet.priors import Atomref

openmm = pytest.importorskip("openmm", reason="OpenMM is not installed (extra 'openmm')")
from openmm import unit  # noqa: E402
from openmm_contexts import (  # noqa: E402
    KJ_PER_MOL,
    NM,
    REDUCED_CELL,
    context_of,
    energy_and_forces,
    energy_error,
    system_of,
    topology_of,
)

from torchmdnet.calculators.openmm_torch import openmm_torch_module  # noqa: E402

# PyTorch's own notice on reading and writing TorchScript.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")


def module_for(atoms: Atoms, model: Any, **options: Any) -> torch.jit.ScriptModule:
    box = atoms.cell.array * NM if atoms.pbc.any() else None
    return openmm_torch_module(model, topology_of(atoms), positions=atoms.positions * NM, box=box, **options)


def call(module: torch.jit.ScriptModule, atoms: Atoms, dtype: torch.dtype = torch.float64) -> tuple[float, np.ndarray]:
    """In eV and eV/Å."""
    inputs = [atoms.positions * NM, *([atoms.cell.array * NM] if atoms.pbc.any() else [])]
    energy, forces = module(*(torch.as_tensor(value, dtype=dtype) for value in inputs))
    return energy.item() / KJ_PER_MOL, forces.numpy() / KJ_PER_MOL * NM


def assert_same(atoms: Atoms, module: torch.jit.ScriptModule, model: Any, *, tolerance: float = 1e-8) -> None:
    atoms = atoms.copy()
    atoms.calc = TMDNETCalculator(model)
    energy, forces = call(module, atoms)
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=tolerance)
    np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("architecture", sorted(MODELS))
def test_gives_the_energy_and_forces_of_the_model(ethanol: Atoms, architecture: str) -> None:
    model = small_model(model=architecture)
    module = module_for(ethanol, model)
    ethanol.rattle(0.05, seed=4)
    assert_same(ethanol, module, model)


def test_reads_the_box_at_each_call(crystal: Atoms, model: TorchMD_Net) -> None:
    crystal.set_cell(REDUCED_CELL, scale_atoms=True)
    module = module_for(crystal, model)
    crystal.set_cell(crystal.cell.array * 1.03, scale_atoms=True)
    crystal.rattle(0.02, seed=4)
    assert_same(crystal, module, model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("precision", [32, 64])
def test_takes_positions_of_either_type(ethanol: Atoms, dtype: torch.dtype, precision: int) -> None:
    """OpenMM hands over what its platform computes with; float32 of positions in nm leaves six digits of forces."""
    model = small_model(precision=precision)
    ethanol.calc = TMDNETCalculator(model)
    energy, forces = call(module_for(ethanol, model), ethanol, dtype)
    assert energy == pytest.approx(ethanol.get_potential_energy(), abs=1e-5)
    np.testing.assert_allclose(forces, ethanol.get_forces(), rtol=0, atol=1e-5)


def test_the_charge_reaches_the_model(ethanol: Atoms, model: TorchMD_Net) -> None:
    neutral, _ = call(module_for(ethanol, model), ethanol)
    ethanol.info["charge"] = 1
    module = module_for(ethanol, model, charge=1)
    assert_same(ethanol, module, model)
    assert abs(call(module, ethanol)[0] - neutral) > 1e-4


def test_an_ensemble_gives_the_mean(ethanol: Atoms) -> None:
    ensemble = Ensemble([small_model(0), small_model(1)])
    assert_same(ethanol, module_for(ethanol, ensemble), ensemble)


def test_large_reference_energies_cost_no_digits(ethanol: Atoms) -> None:
    prior = Atomref(max_z=10)
    prior.set_reference(torch.full((10, 1), -1234.5))
    torch.manual_seed(0)
    with_references = create_model(small_options(precision=32), [prior])
    plain, _ = call(module_for(ethanol, small_model(precision=32)), ethanol)
    energy, _ = call(module_for(ethanol, with_references), ethanol)
    assert energy == pytest.approx(plain - 1234.5 * len(ethanol), abs=1e-8)


def test_is_written_and_read(ethanol: Atoms, model: TorchMD_Net, tmp_path: Path) -> None:
    module_for(ethanol, model).save(tmp_path / "model.pt")
    assert_same(ethanol, torch.jit.load(tmp_path / "model.pt"), model)


def test_the_model_that_was_given_is_as_it_was(ethanol: Atoms, model: TorchMD_Net) -> None:
    module_for(ethanol, model)
    assert not model.representation_model.distance.static_shapes
    assert not torch.compiler.is_compiling()


def test_positions_may_have_units(ethanol: Atoms, model: TorchMD_Net) -> None:
    positions = ethanol.positions * unit.angstrom
    assert_same(ethanol, openmm_torch_module(model, ethanol.numbers, positions=positions), model)


def test_atoms_that_come_closer_than_lists_have_room_for_are_an_error(model: TorchMD_Net) -> None:
    module = module_for(Atoms("H30", [[3.0 * k, 0, 0] for k in range(30)]), model)
    with pytest.raises(RuntimeError, match="more than the capacity"):
        module(torch.rand(30, 3) * 0.1)


@pytest.mark.parametrize(("shape", "text"), [((9,), r"\(9,\)"), ((8, 3), r"\(8, 3\)")])
def test_positions_of_another_shape_are_refused(
    ethanol: Atoms, model: TorchMD_Net, shape: tuple[int, ...], text: str
) -> None:
    with pytest.raises(ValueError, match=rf"positions: got shape {text}, expected \(9, 3\), in nm"):
        openmm_torch_module(model, ethanol.numbers, positions=np.zeros(shape))


def test_a_box_of_another_shape_is_refused(ethanol: Atoms, model: TorchMD_Net) -> None:
    with pytest.raises(ValueError, match=r"box: got shape \(3,\), expected \(3, 3\), in nm"):
        openmm_torch_module(model, ethanol.numbers, positions=ethanol.positions, box=[3.0, 3.0, 3.0])


def test_an_element_the_model_does_not_know_is_refused(model: TorchMD_Net) -> None:
    with pytest.raises(ValueError, match="atomic number of atom 1 is 79"):
        openmm_torch_module(model, [1, 79], positions=[[0, 0, 0], [0, 0, 0.15]])


@pytest.fixture(scope="module")
def openmmtorch() -> Any:
    """OpenMM-Torch, whose wheels follow a few versions of PyTorch."""
    return pytest.importorskip("openmmtorch", reason="OpenMM-Torch is not installed", exc_type=ImportError)


def torch_force(openmmtorch: Any, module: torch.jit.ScriptModule, path: Path, *, periodic: bool) -> Any:
    module.save(path)
    force = openmmtorch.TorchForce(str(path))
    force.setOutputsForces(True)
    force.setUsesPeriodicBoundaryConditions(periodic)
    return force


@pytest.mark.parametrize("platform", ["CPU", "Reference"])
@pytest.mark.parametrize("periodic", [False, True])
def test_openmm_torch_computes_the_same(
    openmmtorch: Any, ethanol: Atoms, model: TorchMD_Net, tmp_path: Path, periodic: bool, platform: str
) -> None:
    if periodic:
        ethanol.set_cell([[4.0, 0.0, 0.0], [1.1, 4.2, 0.0], [-0.7, 0.5, 4.4]])
        ethanol.pbc = True
    force = torch_force(openmmtorch, module_for(ethanol, model), tmp_path / "model.pt", periodic=periodic)
    energy, forces = energy_and_forces(context_of(ethanol, system_of(ethanol, force), platform=platform))
    ethanol.calc = TMDNETCalculator(model)
    assert energy == pytest.approx(ethanol.get_potential_energy(), abs=1e-5)
    np.testing.assert_allclose(forces, ethanol.get_forces(), rtol=0, atol=1e-5)


def test_nve_conserves_the_energy_in_openmm_torch(
    openmmtorch: Any, methanol_model: TorchMD_Net, tmp_path: Path
) -> None:
    atoms = molecule("CH3OH")
    force = torch_force(openmmtorch, module_for(atoms, methanol_model), tmp_path / "model.pt", periodic=False)
    context = context_of(atoms, system_of(atoms, force))
    context.setVelocitiesToTemperature(300.0, 1)
    assert energy_error(context, num_steps=400, num_atoms=6) < 5e-5
