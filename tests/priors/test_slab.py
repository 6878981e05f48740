"""Slabs: periodic along two axes."""

import pytest
import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.priors import Ewald
from torchmdnet.units import COULOMB_CONSTANT

pytest.importorskip("torchpme")

POS = torch.tensor([[0.3, 0.2, 0.1], [1.9, 0.4, 0.6], [1.0, 2.2, -0.8], [2.4, 2.0, 1.7]], dtype=torch.float64)
CHARGES = torch.tensor([1.0, -0.7, 0.5, -0.8], dtype=torch.float64)
FACE = torch.tensor([[3.1, 0.0, 0.0], [0.6, 3.4, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def energy(
    pos: Tensor, box: Tensor, *, pbc: tuple[bool, bool, bool] = (True, True, False), charges: Tensor = CHARGES
) -> Tensor:
    system = System(
        torch.ones(len(pos), dtype=torch.int64), pos, torch.zeros(len(pos), dtype=torch.int64), 1,
        box=box[None], pbc=torch.tensor([pbc]),
    )  # fmt: skip
    return Ewald(cutoff=6.0, tolerance=1e-11).double().atom_energies(system, {"partial_charges": charges}).sum()


def test_is_the_limit_of_a_sum_over_more_and_more_cells() -> None:
    """Each atom with all atoms of a disc of cells, pair by pair, extrapolated to a disc without end.

    The slab has neither charge nor dipole, so that what a disc leaves out falls with the third power of its radius.
    """
    pos, charges = torch.cat([POS, POS * torch.tensor([1.0, 1.0, -1.0])]), torch.cat([CHARGES, -CHARGES])
    pos = torch.cat([pos, pos * torch.tensor([1.0, 1.0, -1.0]) + 0.3 * FACE[0]])
    charges = torch.cat([charges, charges])
    expected = [disc_sum(pos, charges, radius) for radius in (40.0, 80.0)]
    extrapolated = (8 * expected[1] - expected[0]) / 7
    assert energy(pos, FACE, charges=charges).item() == pytest.approx(extrapolated, rel=1e-6)


def disc_sum(pos: Tensor, charges: Tensor, radius: float) -> float:
    """Energy of a cell with all cells whose centre is within the radius."""
    count = torch.arange(-40, 41, dtype=torch.float64)
    shifts = torch.cartesian_prod(count, count) @ FACE[:2]
    shifts = shifts[shifts.norm(dim=1) < radius]
    d = (pos[:, None, None] - pos[None, :, None] - shifts).norm(dim=3)
    inverse = torch.where(d > 0, 1 / d, torch.zeros_like(d)).sum(2)
    return float(0.5 * COULOMB_CONSTANT * charges @ inverse @ charges)


def test_the_open_vector_does_not_matter() -> None:
    thick = FACE.clone()
    thick[2] = torch.tensor([0.4, -0.9, 33.0])
    torch.testing.assert_close(energy(POS, thick), energy(POS, FACE), rtol=1e-12, atol=0)
    thick[2] = 0.0
    torch.testing.assert_close(energy(POS, thick), energy(POS, FACE), rtol=1e-12, atol=0)


def test_any_axis_may_be_the_open_one_in_any_orientation() -> None:
    expected = energy(POS, FACE)
    torch.testing.assert_close(energy(POS, FACE[[2, 0, 1]], pbc=(False, True, True)), expected)
    torch.testing.assert_close(energy(POS, FACE[[0, 2, 1]], pbc=(True, False, True)), expected)
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn((3, 3), dtype=torch.float64, generator=generator))[0]
    torch.testing.assert_close(energy(POS @ turn + 2.0, FACE @ turn), expected)


def test_two_cells_have_twice_the_energy_of_one_also_with_a_charge() -> None:
    charges = CHARGES + 0.3
    wide = FACE * torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64)[:, None]
    double = energy(torch.cat([POS, POS + FACE[0]]), wide, charges=torch.cat([charges, charges]))
    torch.testing.assert_close(double, 2 * energy(POS, FACE, charges=charges), rtol=1e-8, atol=0)


def test_a_charged_sheet_repels_a_charge_with_a_uniform_field() -> None:
    """Between two sheets of charge density s, the force on an atom far from both is 2π k q s from each."""
    sheet = torch.zeros((1, 3), dtype=torch.float64)
    pos = torch.cat([sheet, sheet + torch.tensor([0.0, 0.0, 12.0])]).requires_grad_()
    charges = torch.tensor([1.0, -1.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(energy(pos, FACE, charges=charges), pos)
    expected = 2 * torch.pi * COULOMB_CONSTANT / (3.1 * 3.4)
    assert gradient[1, 2].item() == pytest.approx(expected, rel=1e-8)


def test_forces_and_stress_are_finite_differences() -> None:
    def of(pos: Tensor, strain: Tensor) -> Tensor:
        deform = torch.eye(3, dtype=torch.float64) + strain
        return energy(pos @ deform, FACE @ deform)

    strain = torch.zeros((3, 3), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(of, (POS.clone().requires_grad_(), strain))
