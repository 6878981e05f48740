"""Dispersion D3(BJ), against the program s-dftd3, the package tad-dftd3 and limits."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from padded_graphs import pad_neighbor_lists
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.priors import D3
from torchmdnet.priors.d3_terms import list_triangles, reference_weights, three_body_energy
from torchmdnet.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

tad_dftd3 = pytest.importorskip("tad_dftd3")

CELL = torch.tensor([[7.0, 0.0, 0.0], [1.0, 7.5, 0.3], [-1.0, 0.5, 8.0]], dtype=torch.float64)
Z = torch.tensor([8, 1, 1, 6, 7, 17, 6, 1, 26, 53])


def atoms(seed: int = 0) -> Tensor:
    return torch.rand((10, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 6.0


def make_system(pos: Tensor, box: Tensor | None = None, pbc: Tensor | None = None, z: Tensor = Z) -> System:
    return System(z, pos, torch.zeros_like(z), 1, box=None if box is None else box[None], pbc=pbc)


def energy_and_forces(prior: D3, pos: Tensor, box: Tensor | None = None) -> tuple[float, Tensor]:
    pos = pos.clone().requires_grad_()
    energy = prior.double().atom_energies(make_system(pos, box)).sum()
    return energy.item(), -torch.autograd.grad(energy, pos)[0]


def reference(pos: Tensor, box: Tensor | None = None, *, cutoffs: Any = None, **method: Any) -> tuple[float, Tensor]:
    """Energy and forces of s-dftd3."""
    dftd3 = pytest.importorskip("dftd3.interface")
    lattice = None if box is None else box.numpy() / BOHR_IN_ANGSTROM
    periodic = None if box is None else np.ones(3, dtype=bool)
    model = dftd3.DispersionModel(Z.numpy(), pos.numpy() / BOHR_IN_ANGSTROM, lattice, periodic)
    if cutoffs is not None:
        model.set_realspace_cutoff(*cutoffs)
    found = model.get_dispersion(dftd3.RationalDampingParam(**method), grad=True)
    forces = -torch.as_tensor(found["gradient"]) * HARTREE_IN_EV / BOHR_IN_ANGSTROM
    return float(found["energy"]) * HARTREE_IN_EV, forces


@pytest.mark.parametrize("three_body", [False, True])
@pytest.mark.parametrize("functional", ["pbe", "B3LYP", "wB97X", "r2scan", "B97M"])
def test_a_molecule_has_the_energy_and_forces_of_s_dftd3(functional: str, three_body: bool) -> None:
    energy, forces = energy_and_forces(D3(functional, three_body=three_body), atoms())
    expected, expected_forces = reference(atoms(), method=functional, atm=three_body)
    assert energy == pytest.approx(expected, abs=1e-8)
    torch.testing.assert_close(forces, expected_forces, rtol=0, atol=1e-8)


def test_a_crystal_has_the_energy_and_forces_of_s_dftd3() -> None:
    energy, forces = energy_and_forces(D3("pbe"), atoms(), CELL)
    expected, expected_forces = reference(atoms(), CELL, method="pbe")
    assert energy == pytest.approx(expected, abs=1e-8)
    torch.testing.assert_close(forces, expected_forces, rtol=0, atol=1e-8)


def test_cutoffs_are_those_of_s_dftd3_in_another_unit() -> None:
    in_bohr = {"cutoff_distance": 30.0, "three_body_cutoff": 15.0, "coordination_cutoff": 20.0}
    cutoffs = {name: value * BOHR_IN_ANGSTROM for name, value in in_bohr.items()}
    energy, forces = energy_and_forces(D3("pbe", three_body=True, **cutoffs), atoms(), CELL)
    expected, expected_forces = reference(atoms(), CELL, cutoffs=in_bohr.values(), method="pbe", atm=True)
    assert energy == pytest.approx(expected, abs=1e-8)
    torch.testing.assert_close(forces, expected_forces, rtol=0, atol=1e-8)


def test_a_batch_has_the_energies_of_tad_dftd3() -> None:
    numbers, pos = torch.stack([Z, Z.flip(0)]), torch.stack([atoms(1), atoms(2)])
    table = tad_dftd3.param.get_functional_params("pbe0", damping="bj", dtype=torch.float64)
    expected = tad_dftd3.dftd3(numbers, pos / BOHR_IN_ANGSTROM, table).sum(1) * HARTREE_IN_EV
    batch = torch.arange(2).repeat_interleave(10)
    system = System(numbers.flatten(), pos.reshape(-1, 3), batch, 2)
    shares = D3("pbe0", three_body=True).double().atom_energies(system)
    torch.testing.assert_close(shares.reshape(2, 10).sum(1), expected, rtol=0, atol=1e-8)


def test_parameters_can_be_given_as_numbers() -> None:
    numbers = {"a1": 0.4289, "a2": 4.4407, "s8": 0.7875}
    assert energy_and_forces(D3(**numbers), atoms())[0] == energy_and_forces(D3("pbe"), atoms())[0]
    scaled = energy_and_forces(D3("pbe", s6=0.0), atoms())[0] + energy_and_forces(D3("pbe", s8=0.0), atoms())[0]
    assert scaled == pytest.approx(energy_and_forces(D3("pbe"), atoms())[0], rel=1e-12)


def test_falls_with_the_sixth_power_far_away() -> None:
    prior = D3("pbe", s8=0.0, cutoff_distance=100.0).double()
    z = torch.tensor([18, 18])
    pair = [
        prior.atom_energies(make_system(torch.tensor([[0.0, 0, 0], [d, 0, 0]], dtype=torch.float64), z=z)).sum().item()
        for d in (30.0, 60.0)
    ]
    assert pair[0] / pair[1] == pytest.approx(64.0, rel=1e-4)


def test_atoms_unlike_all_reference_systems_are_like_the_nearest() -> None:
    reference_numbers = torch.tensor([[0.0, 1.0, 2.0, -1.0]], dtype=torch.float32)
    weights = reference_weights(torch.tensor([40.0]), reference_numbers)
    torch.testing.assert_close(weights, torch.tensor([[0.0, 0.0, 1.0, 0.0]]))


def test_an_equilateral_triangle_repels_as_axilrod_and_teller_found() -> None:
    """Undamped at a large distance, E = C9 (3 cos³ 60° + 1) / r⁹ = 11/8 C9 / r⁹."""
    sides, c6 = torch.full((1, 3), 50.0, dtype=torch.float64), torch.full((1, 3), 60.0, dtype=torch.float64)
    damping = D3("pbe").damping
    energy = three_body_energy(sides, c6, radii=torch.full((1, 3), 1.0, dtype=torch.float64), damping=damping)
    assert energy.item() == pytest.approx(11 / 8 * 60.0**1.5 / 50.0**9, rel=1e-9)


def test_lists_each_triangle_once_from_each_corner() -> None:
    pos = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 0, 0]], dtype=torch.float64)
    system = make_system(pos, z=torch.ones(4, dtype=torch.int64))
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=3.0, loop=False)
    first, second, far_side = list_triangles(graph, cutoff=3.0)
    assert graph.receiver[first].tolist() == graph.receiver[second].tolist() == [0, 1, 2]
    assert sorted(far_side.tolist()) == pytest.approx([1.0, 1.0, 2**0.5])


def test_edges_that_pad_a_list_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = D3("pbe", cutoff_distance=4.0, coordination_cutoff=3.0)
    plain = energy_and_forces(prior, atoms(), CELL)
    assert pad_neighbor_lists(prior, monkeypatch) == 1
    padded = energy_and_forces(prior, atoms(), CELL)
    assert padded[0] == pytest.approx(plain[0], rel=1e-12)
    torch.testing.assert_close(padded[1], plain[1])


def test_atoms_at_one_place_have_finite_energy_and_forces() -> None:
    pos = atoms()
    pos[1] = pos[0]
    energy, forces = energy_and_forces(D3("pbe", three_body=True), pos)
    assert np.isfinite(energy)
    assert bool(forces.isfinite().all())


def test_a_checkpoint_does_not_hold_the_tables() -> None:
    prior = D3("pbe")
    assert sum(value.numel() for value in prior.state_dict().values()) < 200
    assert copy.deepcopy(prior).c6.shape == (104, 104, 7, 7)


def test_its_arguments_hold_the_parameters_as_numbers() -> None:
    arguments = D3("pbe").get_init_args()
    assert (arguments["a1"], arguments["a2"], arguments["s8"]) == (0.4289, 4.4407, 0.7875)
    assert D3(**arguments | {"functional": "a functional of later years"}).damping == D3("pbe").damping


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"D3 needs the functional of the data, as in D3: \{functional: pbe\}, or a1, a2 .* missing: a1, a2, s8"),
        ({"a1": 0.4, "s8": 1.0}, "missing: a2"),
        ({"functional": "pbbe"}, "D3 knows no Becke-Johnson damping for the functional 'pbbe'"),
        ({"functional": "slaterdirac"}, "D3 knows no Becke-Johnson damping for the functional 'slaterdirac'"),
        ({"functional": "pbe", "cutoff_distance": 0}, "D3: 'cutoff_distance' must be a number above 0, not 0"),
        (
            {"functional": "pbe", "three_body_cutoff": float("nan")},
            "D3: 'three_body_cutoff' must be a number above 0, not nan",
        ),
        ({"functional": "pbe", "three_body": "no"}, "D3: 'three_body' must be true or false, not 'no'"),
        ({"functional": "pbe", "a1": "small"}, "D3: 'a1' must be a number, not 'small'"),
        ({"functional": "pbe", "distance_scale": 0.0}, r"D3: 'distance_scale' must be a number above 0, not 0\.0"),
        ({"functional": "pbe", "atomic_number": [1, 104]}, "D3: 'atomic_number' must list numbers from 0 to 103"),
    ],
)
def test_refuses_arguments_without_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        D3(**arguments)


@pytest.mark.parametrize("z", [0, 104])
def test_refuses_elements_without_parameters(z: int) -> None:
    with pytest.raises(ValueError, match="D3 "):
        D3("pbe").double().atom_energies(make_system(torch.zeros((1, 3), dtype=torch.float64), z=torch.tensor([z])))
