"""The repulsion of nuclei."""

import math

import pytest
import torch

from torchmdnet.graph import System
from torchmdnet.priors import ZBL
from torchmdnet.priors.zbl import COULOMB_JOULE_METRE, SCREENING_METRE, zbl_energy
from torchmdnet.units import BOHR_IN_ANGSTROM, COULOMB_CONSTANT

JOULES_PER_EV = 1.602176634e-19


def pair_energy(z_i: int, z_j: int, distance: float, cutoff: float = 4.0) -> float:
    """Energy of a pair in eV at a distance in Å, as the potential computes it."""
    pos = torch.tensor([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]], dtype=torch.float64)
    batch = torch.zeros(2, dtype=torch.int64)
    y = torch.zeros((1, 1), dtype=torch.float64)
    return ZBL(cutoff).double().post_reduce(y, torch.tensor([z_i, z_j]), pos, batch).item()


def test_constants_are_those_of_codata() -> None:
    torch.testing.assert_close(COULOMB_JOULE_METRE, COULOMB_CONSTANT * 1e-10 * JOULES_PER_EV, rtol=2e-9, atol=0)
    torch.testing.assert_close(SCREENING_METRE, 0.8854e-10 * BOHR_IN_ANGSTROM, rtol=1e-12, atol=0)


def test_two_silicon_atoms_at_one_angstrom_repel_as_the_universal_potential_says() -> None:
    """Evaluated in eV and Å with a = 0.46853 / (2 x 14^0.23) Å from Ziegler, Biersack and Littmark (1985)."""
    a = 0.46853 / (2 * 14**0.23)
    phi = sum(c * math.exp(-b / a) for c, b in ((0.1818, 3.2), (0.5099, 0.9423), (0.2802, 0.4029), (0.02817, 0.2016)))
    switch = 0.5 * (1 + math.cos(math.pi / 4.0))
    assert pair_energy(14, 14, 1.0) == pytest.approx(14.399645 * 196 * phi * switch, rel=1e-4)


def test_bare_nuclei_meet_at_short_distance() -> None:
    assert pair_energy(6, 8, 1e-4) * 1e-4 == pytest.approx(6 * 8 * 14.399645, rel=2e-3)


def test_goes_to_zero_smoothly_at_the_cutoff() -> None:
    assert pair_energy(6, 6, 4.0 - 1e-5) == pytest.approx(0.0, abs=1e-10)
    assert pair_energy(6, 6, 4.1) == 0.0


def test_falls_with_distance() -> None:
    energies = [pair_energy(1, 6, distance) for distance in (0.2, 0.5, 1.0, 2.0, 3.0)]
    assert energies == sorted(energies, reverse=True)


def test_reads_atom_types_through_the_table() -> None:
    pos = torch.tensor([[0.0, 0, 0], [1.0, 0, 0]], dtype=torch.float64)
    system = System(torch.tensor([0, 1]), pos, torch.zeros(2, dtype=torch.int64), 1)
    by_type = ZBL(4.0, atomic_number=[14, 8]).double().atom_energies(system).sum().item()
    assert by_type == pytest.approx(pair_energy(14, 8, 1.0))


def test_energy_in_other_units_is_the_same_energy() -> None:
    d = torch.tensor([0.15], dtype=torch.float64)
    z = torch.tensor([8])
    nm = zbl_energy(d, z, z_j=z, cutoff=0.4, distance_scale=1e-9, energy_scale=1.0)
    angstrom = zbl_energy(d * 10, z, z_j=z, cutoff=4.0, distance_scale=1e-10, energy_scale=JOULES_PER_EV)
    torch.testing.assert_close(nm / JOULES_PER_EV, angstrom)


def test_names_the_option_when_a_type_is_not_in_the_table() -> None:
    prior = ZBL(4.0, atomic_number=[1, 6])
    with pytest.raises(ValueError, match="ZBL knows the atom types 0 to 1, not 8; its option 'atomic_number'"):
        prior.post_reduce(torch.zeros((1, 1)), torch.tensor([8]), torch.zeros((1, 3)), torch.tensor([0]))


def test_refuses_atomic_numbers_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="ZBL: 'atomic_number' must list numbers from 0 to 118, not \\[1, 300\\]"):
        ZBL(4.0, atomic_number=[1, 300])
