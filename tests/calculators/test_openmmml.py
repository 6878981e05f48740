"""OpenMM-ML's own potential for TorchMD-NET, as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from tiny import small_model, small_options, write_checkpoint

from torchmdnet.calculators import TMDNETCalculator
from torchmdnet.models import MODELS

openmmml = pytest.importorskip("openmmml", reason="OpenMM-ML is not installed (extra 'openmm')")
from openmm_contexts import NM, REDUCED_CELL, context_of, energy_and_forces, energy_error, topology_of  # noqa: E402

pytestmark = [
    # PyTorch warns of how its own compiler traces an autograd.Function,
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    # hides another warning only where warnings are no errors,
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
    # and OpenMM-ML hands OpenMM an energy that tracks gradients.
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True:UserWarning"),
]

ENERGY_SCALE = 96.4916 / 96.48533212331
"""OpenMM-ML's kJ/mol to an eV, which is a little too large."""


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


@pytest.fixture
def without_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch compiles is run as traced: the compiler for C++ takes a minute."""
    original = torch.compile

    def compile_without_cpp(model: torch.nn.Module, **options: Any) -> Callable[..., Any]:
        assert options == {"backend": "inductor", "dynamic": False, "fullgraph": True, "mode": "reduce-overhead"}
        return original(model, backend="aot_eager", dynamic=False, fullgraph=True)

    monkeypatch.setattr(torch, "compile", compile_without_cpp)


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes a small model with some options."""

    def write(**options: Any) -> Path:
        return write_checkpoint(tmp_path / "model.ckpt", small_model(**options), small_options(**options))

    return write


def context_with(atoms: Atoms, path: Path, **options: Any) -> Any:
    potential = openmmml.MLPotential("torchmdnet", modelPath=str(path))
    return context_of(atoms, potential.createSystem(topology_of(atoms), **options))


def assert_same(atoms: Atoms, path: Path, **options: Any) -> None:
    """As OpenMM-ML computes in float32, to six digits; at the first step, which is not compiled, and at the next."""
    context = context_with(atoms, path, **options)
    atoms.calc = TMDNETCalculator(path, dtype="float64")
    for seed in range(3):
        atoms.rattle(0.02, seed=seed)
        context.setPositions(atoms.positions * NM)
        energy, forces = energy_and_forces(context)
        assert energy == pytest.approx(ENERGY_SCALE * atoms.get_potential_energy(), abs=3e-6)
        np.testing.assert_allclose(forces, ENERGY_SCALE * atoms.get_forces(), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("without_cpp")
@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_gives_its_energy_and_forces(ethanol: Atoms, model: str, save: Callable[..., Path]) -> None:
    assert_same(ethanol, save(model=model))


@pytest.mark.usefixtures("without_cpp")
def test_a_periodic_box_is_passed(crystal: Atoms, save: Callable[..., Path]) -> None:
    crystal.set_cell(REDUCED_CELL, scale_atoms=True)
    assert_same(crystal, save())


@pytest.mark.usefixtures("without_cpp")
def test_the_charge_is_passed(ethanol: Atoms, save: Callable[..., Path]) -> None:
    path = save()
    energy, _ = energy_and_forces(context_with(ethanol, path))
    ethanol.info["charge"] = 1
    assert_same(ethanol, path, charge=1)
    assert abs(energy - energy_and_forces(context_with(ethanol, path, charge=1))[0]) > 1e-3


@pytest.mark.usefixtures("without_cpp")
def test_its_other_options_are_taken(ethanol: Atoms, save: Callable[..., Path]) -> None:
    assert_same(ethanol, save(), max_num_neighbors=20, remove_ref_energy=True, coulomb_cutoff=1.0)


@pytest.mark.usefixtures("without_cpp")
def test_reference_energies_are_part_of_the_energy(ethanol: Atoms, save: Callable[..., Path]) -> None:
    assert_same(ethanol, save(prior_model="Atomref"))


COULOMB = {"model": "tensornet2", "q_dim": 2, "output_model": "ScalarPlusWeightedCoulomb", "num_layers": 1}


@pytest.mark.usefixtures("without_cpp")
def test_charges_of_a_molecule_meet_at_any_distance(ethanol: Atoms, save: Callable[..., Path]) -> None:
    assert_same(ethanol, save(**COULOMB))


@pytest.mark.usefixtures("without_cpp")
def test_charges_in_a_box_meet_within_the_cutoff_it_passes(save: Callable[..., Path]) -> None:
    """OpenMM-ML passes ``coulomb_cutoff`` in tens of nm, and none without a box, whatever the file says."""
    atoms = Atoms("CN", [[0, 0, 0], [1.1, 1.2, 0.3]], cell=[3.0, 3.1, 3.2], pbc=True)
    path = save(**COULOMB)
    context = context_with(atoms, path, coulomb_cutoff=0.5)
    atoms.calc = TMDNETCalculator(path, dtype="float64", coulomb_cutoff=5.0)
    energy, _ = energy_and_forces(context)
    assert energy == pytest.approx(ENERGY_SCALE * atoms.get_potential_energy(), abs=3e-6)


@pytest.mark.usefixtures("without_cpp")
def test_a_cutoff_in_the_file_is_left_out_without_a_box(ethanol: Atoms, save: Callable[..., Path]) -> None:
    path = save(**COULOMB, coulomb_cutoff=5.0)
    context = context_with(ethanol, path)
    ethanol.calc = TMDNETCalculator(path, dtype="float64", coulomb_cutoff=None)
    energy, _ = energy_and_forces(context)
    assert energy == pytest.approx(ENERGY_SCALE * ethanol.get_potential_energy(), abs=3e-6)


def test_nve_conserves_the_energy_with_compiled_code(save: Callable[..., Path]) -> None:
    """By the compiler for C++; what velocity Verlet leaves, and the rounding of float32."""
    atoms = molecule("CH3OH")
    path = save(model="graph-network")
    context = context_with(atoms, path)
    context.setVelocitiesToTemperature(300.0, 1)
    assert energy_error(context, num_steps=400, num_atoms=6) < 5e-5
