"""Cells are completed where axes are open, and refused where they have no volume."""

import pytest
import torch
from torch import Tensor

from torchmdnet.ops.lattice import FLAT, Lattice, read_lattice

EYE = torch.eye(3)[None]
NO_FLAGS = torch.empty((0, 3), dtype=torch.bool)
NO_BOX = torch.empty((0, 3, 3))


def read(box: Tensor, *flags: tuple[bool, ...]) -> Lattice:
    lattice = read_lattice(box, torch.tensor(flags) if flags else NO_FLAGS)
    assert lattice is not None
    return lattice


def test_a_cell_without_flags_is_periodic_on_all_axes() -> None:
    box = torch.stack([EYE[0] * 3, torch.zeros(3, 3)])
    lattice = read(box)
    assert lattice.periodic.tolist() == [[True] * 3, [False] * 3]
    assert lattice.cell.dtype == torch.float64
    assert torch.equal(lattice.cell[0], box[0].double())


@pytest.mark.parametrize(
    ("box", "flags"),
    [
        (NO_BOX, NO_FLAGS),
        (EYE * 0, NO_FLAGS),
        (EYE, torch.zeros((1, 3), dtype=torch.bool)),
        (EYE * 0, torch.zeros((1, 3), dtype=torch.bool)),
    ],
)
def test_nothing_periodic_is_no_lattice(box: Tensor, flags: Tensor) -> None:
    assert read_lattice(box, flags) is None


@pytest.mark.parametrize("open_axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_open_axes_get_unit_vectors_orthogonal_to_all_others(open_axes: tuple[int, ...]) -> None:
    box = 3 * torch.randn((1, 3, 3), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    flags = tuple(axis not in open_axes for axis in range(3))
    cell = read(box, flags).cell[0]
    products = cell @ cell.T
    for axis in range(3):
        if axis not in open_axes:
            assert torch.equal(cell[axis], box[0, axis])
            continue
        wanted = torch.zeros(3, dtype=torch.float64)
        wanted[axis] = 1
        torch.testing.assert_close(products[axis], wanted, rtol=0, atol=1e-12)


def test_what_an_open_axis_holds_does_not_matter() -> None:
    flat = torch.tensor([[[4.0, 1, 0], [0, 5, 0], [0, 0, 0]]], dtype=torch.float64)
    cell = read(flat, (True, True, False)).cell[0]
    torch.testing.assert_close(cell[2].abs(), torch.tensor([0.0, 0, 1], dtype=torch.float64))


def test_each_system_has_its_own_open_axes() -> None:
    box = EYE.repeat(3, 1, 1) * torch.tensor([2.0, 3, 4])[:, None, None]
    lattice = read(box, (True, True, True), (True, False, True), (False, False, False))
    assert torch.linalg.det(lattice.cell).abs().tolist() == pytest.approx([8.0, 9.0, 1.0])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_flatness_does_not_depend_on_the_unit(scale: float) -> None:
    box = torch.eye(3, dtype=torch.float64)[None] * scale
    box[0, 2] = torch.tensor([scale, 0, 2 * FLAT * scale])
    read(box)
    box[0, 2, 2] = 0.5 * FLAT * scale
    with pytest.raises(ValueError, match="the box of system 0 is singular on its periodic axes"):
        read(box)


def test_the_gradient_of_a_cell_is_left_alone() -> None:
    assert not read(EYE.clone().requires_grad_()).cell.requires_grad


@pytest.mark.parametrize(
    ("box", "flags", "text"),
    [
        (NO_BOX, [True] * 3, "pbc says that axes are periodic, but no box was given: pass box"),
        (EYE * 0, [False, True, False], "pbc says that system 0 is periodic, but its box is all zeros"),
        (EYE * torch.nan, [False] * 3, "the box of system 0 holds NaN or infinite numbers"),
        (EYE * torch.inf, [True] * 3, "the box of system 0 holds NaN or infinite numbers"),
        (torch.ones((1, 3, 3)), [True, True, False], "system 0 is singular .* mark the axes without one as open"),
        (EYE * torch.tensor([0.0, 1, 1]), [True, False, False], "system 0 is singular"),
    ],
)
def test_says_what_is_wrong(box: Tensor, flags: list[bool], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        read_lattice(box, torch.tensor([flags]))


def test_says_which_system_is_wrong() -> None:
    box = torch.cat([EYE, EYE, torch.ones((1, 3, 3))])
    with pytest.raises(ValueError, match="the box of system 2 is singular"):
        read(box)
