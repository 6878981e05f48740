"""Electrostatics of a slab: a system that is periodic along two axes, within a sum over three.

Yeh and Berkowitz, J. Chem. Phys. 111, 3155 (1999); with a net charge, Ballenegger, Arnold and Cerdà, J. Chem. Phys.
131, 094107 (2009).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import System

__all__ = ["Slab", "open_cell", "slab_potential"]


class Slab(NamedTuple):
    """A slab and its images, an empty layer apart. N atoms."""

    cell: Tensor
    """The third vector is the normal, as long as slab and empty layer are thick. (1, 3, 3)"""
    height: Tensor
    """Of each atom, along the normal. (N,)"""
    area: Tensor
    """Of the cell's face. ()"""
    thickness: float
    """Length of the normal vector."""


def open_cell(system: System, axis: int, *, tolerance: float) -> Slab:
    r"""Give a slab an empty layer so thick that waves along its faces fade between the images to ``tolerance``.

    The longest wave falls by :math:`\exp(-2\pi h / L)` over the height h; L bounds its length from above.

    Args:
        system: one system.
        axis: the one that is not periodic.
        tolerance: what is left of the waves.
    """
    if system.box is None:
        raise ValueError("a slab needs a box: pass box=..., rows a, b, c")
    a, b = (system.box.reshape(3, 3)[row] for row in range(3) if row != axis)
    cross = torch.linalg.cross(a, b)
    area = torch.linalg.vector_norm(cross)
    normal = cross / area
    height = system.pos @ normal
    with torch.no_grad():
        wave = float(torch.maximum(torch.linalg.vector_norm(a), torch.linalg.vector_norm(b)))
        thickness = float(height.max() - height.min()) + wave * max(1.0, -math.log(tolerance) / (2 * math.pi))
    rows = [a, b]
    rows.insert(axis, normal * thickness)
    return Slab(torch.stack(rows).unsqueeze(0), height, area, thickness)


def slab_potential(slab: Slab, charges: Tensor) -> Tensor:
    r"""What corrects the potential for the images beyond the empty layers, in units of :math:`e / 4\pi\epsilon_0`.

    .. math:: V_i = \frac{4\pi}{V} \left(z_i M - \tfrac12 (M_2 + Q z_i^2) - \tfrac{1}{12} Q L^2\right)

    with the charge Q, the dipole moment M and the second moment :math:`M_2` along the normal, whose length is L.
    Shapes: charges: (N,) -> (N,)
    """
    total, first = charges.sum(), (charges * slab.height).sum()
    second = (charges * slab.height.square()).sum()
    shape = slab.height * first - 0.5 * (second + total * slab.height.square()) - total * slab.thickness**2 / 12.0
    return 4.0 * torch.pi / (slab.area * slab.thickness) * shape
