"""The ASE calculator with compiled models: the same numbers, whatever comes next."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from tiny import small_model

from torchmdnet.calculators import TMDNETCalculator
from torchmdnet.potential import Ensemble, TorchMD_Net

# PyTorch warns of how its own compiler traces an autograd.Function, and hides another warning only where it is none of
# the errors that warnings are here.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


@pytest.fixture(autouse=True)
def compilations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.fx.GraphModule]]:
    """Graphs that were compiled; what PyTorch traces is run as it is, as the compiler for C++ takes a minute."""
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    original = torch.compile

    def compile_without_cpp(function: Callable[..., Any], *, mode: str, **options: Any) -> Any:
        assert mode == "reduce-overhead"
        return original(function, backend=keep, **options)

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", compile_without_cpp)
    yield graphs
    torch.compiler.reset()


@pytest.fixture
def quick() -> TorchMD_Net:
    """A model that is compiled in no time."""
    return small_model(model="graph-network")


def moved(atoms: Atoms, calculator: TMDNETCalculator, seed: int) -> Atoms:
    atoms = atoms.copy()
    atoms.rattle(0.02, seed=seed)
    atoms.calc = calculator
    return atoms


def assert_same(atoms: Atoms, compiled: TMDNETCalculator, plain: TMDNETCalculator, *, steps: int = 3) -> None:
    """Energy, forces and, for a crystal, stress of some moved copies."""
    for seed in range(steps):
        got, expected = (moved(atoms, calculator, seed) for calculator in (compiled, plain))
        assert got.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-12)
        np.testing.assert_allclose(got.get_forces(), expected.get_forces(), rtol=0, atol=1e-12)
        if atoms.pbc.any():
            np.testing.assert_allclose(got.get_stress(), expected.get_stress(), rtol=0, atol=1e-12)


def test_gives_the_same_energy_and_forces(ethanol: Atoms, model: TorchMD_Net, compilations: list[Any]) -> None:
    assert_same(ethanol, TMDNETCalculator(model, compile=True), TMDNETCalculator(model))
    assert len(compilations) == 1


def test_gives_the_same_stress(crystal: Atoms, model: TorchMD_Net, compilations: list[Any]) -> None:
    assert_same(crystal, TMDNETCalculator(model, compile=True), TMDNETCalculator(model))
    assert len(compilations) == 1


def test_gives_the_same_ensemble(ethanol: Atoms) -> None:
    ensemble = Ensemble([small_model(seed, model="graph-network") for seed in range(2)])
    compiled, plain = TMDNETCalculator(ensemble, compile=True), TMDNETCalculator(ensemble)
    assert_same(ethanol, compiled, plain)
    assert compiled.results["energy_std"] == pytest.approx(plain.results["energy_std"], abs=1e-12)


def test_other_atoms_are_compiled_anew_any_number_of_times(quick: TorchMD_Net, compilations: list[Any]) -> None:
    """PyTorch compiles one function for eight shapes and then refuses."""
    compiled, plain = TMDNETCalculator(quick, compile=True), TMDNETCalculator(quick)
    for num_atoms in range(2, 11):
        chain = Atoms(f"H{num_atoms}", [[0.9 * k, 0.3 * (k % 2), 0] for k in range(num_atoms)])
        assert_same(chain, compiled, plain, steps=2)
    assert len(compilations) == 9


def test_other_elements_in_the_same_places_are_not_mistaken(quick: TorchMD_Net) -> None:
    compiled, plain = TMDNETCalculator(quick, compile=True), TMDNETCalculator(quick)
    for formula in ("OH2", "SH2", "OH2"):
        atoms = Atoms(formula, molecule("H2O").positions)
        assert_same(atoms, compiled, plain, steps=2)


def test_a_new_charge_needs_no_compilation(ethanol: Atoms, model: TorchMD_Net, compilations: list[Any]) -> None:
    compiled, plain = TMDNETCalculator(model, compile=True), TMDNETCalculator(model)
    for charge in (0, 1, -1):
        ethanol.info["charge"] = charge
        assert_same(ethanol, compiled, plain, steps=2)
    assert len(compilations) == 1


def test_atoms_that_come_closer_than_lists_have_room_for_are_computed(ethanol: Atoms, quick: TorchMD_Net) -> None:
    compiled, plain = TMDNETCalculator(quick, compile=True), TMDNETCalculator(quick)
    molecules = Atoms()
    for k in range(4):
        molecules += Atoms(ethanol.numbers, ethanol.positions + np.array([20.0 * k, 0, 0]))
    assert_same(molecules, compiled, plain, steps=2)
    molecules.positions[:, 0] *= 0.1
    assert_same(molecules, compiled, plain)


def test_what_is_wrong_is_told_as_by_a_model_that_is_not_compiled(ethanol: Atoms, quick: TorchMD_Net) -> None:
    calculator = TMDNETCalculator(quick, compile=True)
    assert_same(ethanol, calculator, TMDNETCalculator(quick))
    ethanol.positions[3, 1] = np.nan
    with pytest.raises(ValueError, match="position of atom 3 is NaN"):
        moved(ethanol, calculator, 0).get_potential_energy()


def test_a_copy_of_a_compiled_model_is_a_model_of_its_own(ethanol: Atoms, quick: TorchMD_Net) -> None:
    first = TMDNETCalculator(quick, compile=True)
    assert_same(ethanol, first, TMDNETCalculator(quick))
    second = TMDNETCalculator(first.model)
    second.model.std.fill_(3.0)
    first_energy = moved(ethanol, first, 0).get_potential_energy()
    assert abs(moved(ethanol, second, 0).get_potential_energy() - first_energy) > 1e-3


def test_a_compiled_calculator_can_be_copied(ethanol: Atoms, quick: TorchMD_Net) -> None:
    calculator = TMDNETCalculator(quick, compile=True)
    assert_same(ethanol, calculator, TMDNETCalculator(quick))
    assert_same(ethanol, copy.deepcopy(calculator), TMDNETCalculator(quick))
