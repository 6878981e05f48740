"""Dispersion."""

import math

import pytest
import torch

from torchmdnet.graph import System
from torchmdnet.priors import D2
from torchmdnet.priors.d2 import C6, RADIUS, d2_energy


def argon_pair(distance: float, z: int = 18) -> float:
    """Energy in eV of two atoms at a distance in Å."""
    pos = torch.tensor([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]], dtype=torch.float64)
    system = System(torch.tensor([z, z]), pos, torch.zeros(2, dtype=torch.int64), 1)
    return D2(50.0).double().atom_energies(system).sum().item()


def test_tables_reach_from_hydrogen_to_xenon() -> None:
    assert len(C6) == len(RADIUS) == 55
    assert (C6[1], C6[6], C6[30], C6[31], C6[48], C6[49], C6[54]) == (0.14, 1.75, 10.80, 16.99, 24.67, 37.32, 29.99)
    assert (RADIUS[1], RADIUS[19], RADIUS[30], RADIUS[31], RADIUS[48], RADIUS[54]) == (
        1.001, 1.485, 1.562, 1.650, 1.639, 1.881,
    )  # fmt: skip


def test_argon_attracts_as_the_published_formula_says() -> None:
    damping = 1 / (1 + math.exp(-20 * (3.8 / (2 * 1.595) - 1)))
    expected = -4.61e6 / 3.8**6 * damping / 96485.33212  # J Å^6 / mol and Å to J/mol to eV
    assert argon_pair(3.8) == pytest.approx(expected, rel=1e-9)


def test_falls_with_the_sixth_power_far_away() -> None:
    assert argon_pair(10.0) / argon_pair(20.0) == pytest.approx(64.0, rel=1e-9)


def test_is_damped_at_short_distance() -> None:
    assert abs(argon_pair(0.8)) < 0.01 * 4.61e6 / 0.8**6 / 96485.0


def test_unlike_atoms_have_the_geometric_mean() -> None:
    d, r = torch.tensor([0.9], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    like = [d2_energy(d, torch.tensor([c]), radius=r).item() for c in (4.0, 9.0)]
    assert d2_energy(d, torch.tensor([6.0]), radius=r).item() == pytest.approx(-math.sqrt(like[0] * like[1]))


def test_sees_the_images_of_a_crystal() -> None:
    """A simple cubic lattice: the energy of an atom is half the lattice sum, done here by hand."""
    length, cutoff = 4.0, 12.5
    system = System(
        torch.tensor([18]), torch.zeros((1, 3), dtype=torch.float64), torch.tensor([0]), 1,
        box=torch.eye(3, dtype=torch.float64)[None] * length,
    )  # fmt: skip
    n = torch.arange(-4, 5, dtype=torch.float64)
    d = torch.cartesian_prod(n, n, n).norm(dim=1) * length
    d = d[(d > 0) & (d < cutoff)] / 10
    c6, radius = torch.tensor(4.61, dtype=torch.float64), torch.tensor(0.319, dtype=torch.float64)
    expected = 0.5 * d2_energy(d, c6, radius=radius).sum() / 96485.33212
    energy = D2(cutoff).double().atom_energies(system).sum()
    torch.testing.assert_close(energy, expected, rtol=1e-8, atol=0)


@pytest.mark.parametrize("z", [0, 55])
def test_refuses_elements_without_parameters(z: int) -> None:
    with pytest.raises(ValueError, match="D2 "):
        argon_pair(3.0, z=z)
