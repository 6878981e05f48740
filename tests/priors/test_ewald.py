"""Ewald sums: published lattice constants, limits, derivatives."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.priors import Coulomb, Ewald
from torchmdnet.units import COULOMB_CONSTANT

pytest.importorskip("torchpme")

SALT = {"Na": 1.0, "Cl": -1.0, "Cs": 1.0, "Zn": 2.0, "S": -2.0}
METHODS = ["ewald", "pme"]


def tensor(*values: Any) -> Tensor:
    return torch.tensor(*values, dtype=torch.float64)


def energy(
    prior: Ewald,
    z: list[int],
    pos: Tensor,
    *,
    box: Tensor | None = None,
    pbc: list[bool] | None = None,
    **extra: Tensor,
) -> Tensor:
    """Of one system."""
    system = System(
        torch.tensor(z), pos, torch.zeros(len(z), dtype=torch.int64), 1,
        box=None if box is None else box[None], pbc=None if pbc is None else torch.tensor([pbc]),
    )  # fmt: skip
    return prior.double().atom_energies(system, extra).sum()


# Nearest distance d, and -E d / (k q²) an ion pair: Madelung constants as in textbooks.
CRYSTALS = {
    "NaCl": ([11, 17], tensor([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]), [0.5, 0, 0], 0.5, 1, 1.747564594633182),
    "CsCl": ([55, 17], torch.eye(3, dtype=torch.float64), [0.5, 0.5, 0.5], 3**0.5 / 2, 1, 1.762674773070988),
    "ZnS": ([30, 16], tensor([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]), [0.25] * 3, 3**0.5 / 4, 4, 1.638055053),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CRYSTALS)
def test_crystals_have_their_madelung_constant(name: str, method: str) -> None:
    z, cell, second, nearest, squared_charge, madelung = CRYSTALS[name]
    length = 5.64
    prior = Ewald(SALT, method=method, tolerance=1e-9)
    pos = tensor([[0.0, 0.0, 0.0], second]) * length
    found = -energy(prior, z, pos, box=cell * length) * nearest * length / (COULOMB_CONSTANT * squared_charge)
    assert found.item() == pytest.approx(madelung, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
def test_the_error_is_that_of_the_tolerance(method: str, tolerance: float) -> None:
    """Forces in a warm crystal, relative to their mean; the worst of 64 atoms may be some times as far off."""
    pos, z, cell = warm_salt()
    exact = forces(Ewald(SALT, tolerance=1e-13), z, pos, cell)
    found = forces(Ewald(SALT, method=method, tolerance=tolerance, cutoff=6.0), z, pos, cell)
    assert (found - exact).abs().max() < 10 * tolerance * exact.norm(dim=1).mean()


def warm_salt() -> tuple[Tensor, list[int], Tensor]:
    """64 ions near the places of a crystal of NaCl."""
    sites = torch.cartesian_prod(*[torch.arange(4, dtype=torch.float64)] * 3)
    noise = torch.randn((64, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = torch.where(sites.sum(1) % 2 == 0, 11, 17).tolist()
    return sites * 2.82 + 0.3 * noise, z, torch.eye(3, dtype=torch.float64) * 11.28


def forces(prior: Ewald, z: list[int], pos: Tensor, box: Tensor) -> Tensor:
    pos = pos.clone().requires_grad_()
    return -torch.autograd.grad(energy(prior, z, pos, box=box), pos)[0]


def test_the_energy_does_not_depend_on_how_the_sum_is_divided() -> None:
    pos, z, cell = warm_salt()
    first = energy(Ewald(SALT, cutoff=7.0, tolerance=1e-10), z, pos, box=cell)
    second = energy(Ewald(SALT, cutoff=11.0, tolerance=1e-10, smearing=1.1), z, pos, box=cell)
    torch.testing.assert_close(first, second, rtol=1e-9, atol=0)


WATER = tensor([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
WATER_CHARGES = tensor([-0.8, 0.4, 0.4])


def test_a_molecule_without_cell_has_the_energy_of_its_pairs() -> None:
    d = torch.cdist(WATER, WATER)
    expected = COULOMB_CONSTANT * (-0.32 / d[0, 1] - 0.32 / d[0, 2] + 0.16 / d[1, 2])
    torch.testing.assert_close(energy(Ewald(), [8, 1, 1], WATER, partial_charges=WATER_CHARGES), expected)


def test_in_a_large_cell_a_molecule_is_alone() -> None:
    """What is left is the energy of its dipole p in the cubic lattice, -2π/3 k p²/V with conducting surroundings."""
    length = 60.0
    alone = energy(Ewald(), [8, 1, 1], WATER, partial_charges=WATER_CHARGES)
    box = torch.eye(3, dtype=torch.float64) * length
    among_images = energy(Ewald(cutoff=15.0, tolerance=1e-9), [8, 1, 1], WATER, box=box, partial_charges=WATER_CHARGES)
    dipole = (WATER_CHARGES @ WATER).square().sum()
    expected = -2 * torch.pi / 3 * COULOMB_CONSTANT * dipole / length**3
    torch.testing.assert_close(among_images - alone, expected, rtol=2e-3, atol=0)


def test_agrees_with_the_prior_coulomb_on_molecules() -> None:
    system = System(torch.tensor([8, 1, 1]), WATER, torch.zeros(3, dtype=torch.int64), 1)
    extra = {"partial_charges": WATER_CHARGES}
    expected = Coulomb(0.001, 0.01).double().atom_energies(system, extra)
    torch.testing.assert_close(Ewald().double().atom_energies(system, extra), expected)


def test_a_net_charge_has_a_uniform_background() -> None:
    """One charge in a cubic cell: E = -2.837297 k q² / (2 L), the Wigner crystal."""
    box = torch.eye(3, dtype=torch.float64) * 7.0
    found = energy(Ewald({"Na": 1.0}, tolerance=1e-9), [11], torch.zeros((1, 3), dtype=torch.float64), box=box)
    assert found.item() == pytest.approx(-2.8372974794806 * COULOMB_CONSTANT / 14.0, rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_forces_and_their_derivatives_are_finite_differences(method: str) -> None:
    pos = tensor([[0.1, 0.2, 0.0], [2.0, 2.1, 0.3], [0.4, 1.9, 2.2]])
    box = tensor([[4.2, 0.0, 0.0], [0.5, 4.0, 0.1], [-0.3, 0.2, 4.4]])
    prior = Ewald(SALT, method=method, cutoff=4.0, tolerance=1e-5).double()

    def of(pos: Tensor) -> Tensor:
        return energy(prior, [11, 17, 17], pos, box=box)

    assert torch.autograd.gradcheck(of, pos.requires_grad_())
    assert torch.autograd.gradgradcheck(of, pos)


@pytest.mark.parametrize("method", METHODS)
def test_stress_is_a_finite_difference_of_the_energy(method: str) -> None:
    pos = tensor([[0.1, 0.2, 0.0], [2.0, 2.1, 0.3], [0.4, 1.9, 2.2]])
    box = tensor([[4.2, 0.0, 0.0], [0.5, 4.0, 0.1], [-0.3, 0.2, 4.4]])
    prior = Ewald(SALT, method=method, cutoff=4.0, tolerance=1e-8).double()

    def of(strain: Tensor) -> Tensor:
        deform = torch.eye(3, dtype=torch.float64) + strain
        return energy(prior, [11, 17, 17], pos @ deform, box=box @ deform)

    assert torch.autograd.gradcheck(of, torch.zeros((3, 3), dtype=torch.float64, requires_grad=True))


def test_charges_of_the_batch_have_derivatives() -> None:
    box = torch.eye(3, dtype=torch.float64) * 5.0
    charges = WATER_CHARGES.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda q: energy(Ewald(), [8, 1, 1], WATER, box=box, partial_charges=q), charges)


def test_arguments_with_charges_make_the_same_prior_again() -> None:
    prior = Ewald({11: 1, "17": -1.0}, method="pme", cutoff=5.0)
    assert prior.charges == {"Na": 1.0, "Cl": -1.0}
    assert Ewald(**prior.get_init_args()).get_init_args() == prior.get_init_args()


def test_the_default_cutoff_is_8_angstrom_in_any_unit() -> None:
    assert Ewald().cutoff == pytest.approx(8.0, rel=1e-12)
    assert Ewald(distance_scale=1e-9).cutoff == pytest.approx(0.8, rel=1e-12)


def test_it_can_be_copied_after_a_call() -> None:
    pos, z, cell = warm_salt()
    prior = Ewald(SALT, method="pme", tolerance=1e-3)
    found = energy(prior, z, pos.requires_grad_(), box=cell)
    torch.testing.assert_close(energy(copy.deepcopy(prior), z, pos, box=cell), found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "p3m"}, "Ewald: 'method' must be ewald or pme, not 'p3m'"),
        ({"cutoff": 0.0}, r"Ewald: 'cutoff' must be a number above 0, not 0\.0"),
        ({"cutoff": "ten"}, "Ewald: 'cutoff' must be a number above 0, not 'ten'"),
        ({"tolerance": 1.0}, r"Ewald: 'tolerance' must be at most 0\.1, not 1\.0"),
        ({"smearing": 3.0}, r"'smearing' must be at most 1\.522 with this cutoff \(8\) and tolerance, not 3\.0"),
    ],
)
def test_refuses_arguments_without_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ewald(**arguments)


def test_refuses_an_element_without_charge() -> None:
    with pytest.raises(ValueError, match=r"Ewald: 'charges' has none for K \(atomic number 19\); it has \{'Na': 1\.0"):
        energy(Ewald(SALT), [11, 19], WATER[:2])


def test_refuses_a_wire() -> None:
    box = torch.eye(3, dtype=torch.float64) * 5.0
    with pytest.raises(ValueError, match="along three, two or no axes, not one: for a wire, make the cell wide"):
        energy(Ewald(SALT), [11, 17], WATER[:2], box=box, pbc=[True, False, False])


def test_refuses_axes_that_are_periodic_without_a_cell() -> None:
    for pbc in ([True, True, True], [True, True, False]):
        with pytest.raises(ValueError, match="box"):
            energy(Ewald(SALT), [11, 17], WATER[:2], pbc=pbc)
