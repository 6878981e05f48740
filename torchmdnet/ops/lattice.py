"""The cells of a batch of systems, checked and completed where axes are open.

Letters in shapes: B systems.
"""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["FLAT", "Lattice", "read_lattice"]

FLAT = 1e-6
"""Volume of a cell over the product of its edge lengths below which it is refused as singular."""


class Lattice(NamedTuple):
    """The cells of all systems."""

    cell: Tensor
    """Rows a, b, c; those of open axes are unit vectors orthogonal to all others. (B, 3, 3) float64"""
    periodic: Tensor
    """(B, 3) bool"""


def read_lattice(box: Tensor, periodic: Tensor) -> Lattice | None:
    """Check the cells and complete those with open axes; None if nothing is periodic.

    Shapes: box: (B, 3, 3) or (0, 3, 3) for none, all zeros for a system without a cell; periodic: (B, 3) bool, or
    (0, 3) for "where there is a cell".

    Raises:
        ValueError: a cell with NaN or infinite numbers; one without volume on its periodic axes; an axis said to be
            periodic of a cell that is all zeros.
    """
    if box.shape[0] == 0:
        if bool(periodic.any()):
            raise ValueError("pbc says that axes are periodic, but no box was given: pass box (B, 3, 3)")
        return None
    cell = box.detach().to(torch.float64)
    if not bool(torch.isfinite(cell).all()):
        raise ValueError(f"the box of system {_first(~torch.isfinite(cell))} holds NaN or infinite numbers")
    has_cell = cell.flatten(1).any(1)
    if periodic.shape[0] == 0:
        periodic = has_cell.unsqueeze(1).expand(-1, 3)
    contradiction = periodic.any(1) & ~has_cell
    if bool(contradiction.any()):
        raise ValueError(f"pbc says that system {_first(contradiction)} is periodic, but its box is all zeros")
    if not bool(periodic.any()):
        return None
    return Lattice(_complete(cell, periodic), periodic)


def _first(bad: Tensor) -> int:
    """The first system in which anything is true. bad: (B, ...)"""
    return int(bad.reshape(bad.shape[0], -1).any(1).nonzero()[0])


def _complete(cell: Tensor, periodic: Tensor) -> Tensor:
    """Replace the vectors of open axes by unit vectors orthogonal to all others, and refuse cells without volume."""
    if not bool(periodic.all()):
        rows = torch.where(periodic.unsqueeze(2), cell, 0.0)
        rows = rows / torch.linalg.vector_norm(rows, dim=(1, 2), keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
        directions = torch.linalg.svd(rows)[2]
        rank = periodic.sum(1, keepdim=True)
        place = (rank + (~periodic).cumsum(1) - 1).clamp(min=0, max=2)
        normals = directions.gather(1, place.unsqueeze(2).expand(-1, -1, 3))
        cell = torch.where(periodic.unsqueeze(2), cell, normals)
    edges = torch.linalg.vector_norm(cell, dim=2).prod(1)
    flat = ~(torch.linalg.det(cell).abs() > FLAT * edges)
    if bool(flat.any()):
        system = _first(flat)
        raise ValueError(
            f"the box of system {system} is singular on its periodic axes: {cell[system].tolist()}; give three "
            "independent cell vectors, or mark the axes without one as open with pbc"
        )
    return cell
