r"""The terms of the D3 dispersion energy with Becke-Johnson damping, in Bohr and Hartree.

Grimme, Antony, Ehrlich and Krieg, J. Chem. Phys. 132, 154104 (2010); Grimme, Ehrlich and Goerigk, J. Comput. Chem. 32,
1456 (2011).

Letters in shapes: N atoms, E directed edges, R reference systems of an element, T triangles.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops.scatter import scatter_sum

__all__ = [
    "Damping",
    "Triangles",
    "coordination_numbers",
    "list_triangles",
    "pair_c6",
    "reference_weights",
    "three_body_energy",
    "two_body_energy",
]

COUNTING_STEEPNESS = 16.0
WEIGHTING_STEEPNESS = 4.0
TRIANGLE_RADII = 4.0 / 3.0
"""Factor of the van der Waals radii in the damping of triangles."""
TRIANGLE_EXPONENT = 16.0 / 3.0
"""(α + 2)/3 with α = 14, applied to a product of three ratios."""
NEAREST = 0.1
"""Bohr. Nearer atoms are fully coordinated; keeps gradients of atoms at one place finite."""


class Damping(NamedTuple):
    """What a functional decides: a2 in Bohr, all others numbers."""

    a1: float
    a2: float
    s6: float
    s8: float
    s9: float


class Triangles(NamedTuple):
    """Pairs of edges of one centre whose ends are within the cutoff of each other; each triangle from each corner."""

    first: Tensor
    """One edge. (T,) int64"""
    second: Tensor
    """The other edge of the same centre. (T,) int64"""
    far_side: Tensor
    """Length of the third side. (T,)"""


def coordination_numbers(distance: Tensor, radii: Tensor, *, receiver: Tensor, num_atoms: int, cutoff: float) -> Tensor:
    r"""Count of an atom's bonds, :math:`\sum_j 1 / (1 + \exp(-16 ((R_i + R_j) / d_{ij} - 1)))`.

    Shapes: distance, radii = R_i + R_j with the covalent radii times 4/3, receiver: (E,) -> (N,)
    """
    count = torch.sigmoid(COUNTING_STEEPNESS * (radii / distance.clamp(min=NEAREST) - 1.0))
    return scatter_sum(count.masked_fill(distance >= cutoff, 0.0), receiver, num_atoms)


def reference_weights(coordination: Tensor, reference: Tensor) -> Tensor:
    r"""How much an atom is like each reference system r, :math:`\propto \exp(-4 (c - c_r)^2)` with sum 1.

    As a softmax it is the nearest reference system for an atom that is unlike all of them. Shapes: coordination: (N,),
    reference: (N, R), -1 where an element has fewer -> (N, R)
    """
    unlike = WEIGHTING_STEEPNESS * (coordination.unsqueeze(1) - reference).square()
    return torch.softmax(unlike.neg().masked_fill(reference < 0, -torch.inf), dim=1)


def pair_c6(weights: Tensor, z: Tensor, *, table: Tensor, first: Tensor, second: Tensor) -> Tensor:
    r"""C6 of pairs of atoms, :math:`\sum_{rs} w_{ir} w_{js} C_6^{rs}(z_i, z_j)`.

    One side is summed for each atom and each element present, so that no pair needs an R x R block. Shapes: weights:
    (N, R), z: (N,), table: (Z, Z, R, R), first, second: (E,) atoms -> (E,)
    """
    elements, column = torch.unique(z, return_inverse=True)
    half = torch.einsum("nr,nzrs->nzs", weights, table[z.unsqueeze(1), elements]).flatten(0, 1)
    row = first.long() * elements.shape[0] + column.index_select(0, second)
    return (half.index_select(0, row) * weights.index_select(0, second)).sum(1)


def two_body_energy(distance: Tensor, c6: Tensor, *, quotient: Tensor, damping: Damping, cutoff: float) -> Tensor:
    r"""Energy of each pair, :math:`-s_6 C_6 / (d^6 + f^6) - s_8 C_8 / (d^8 + f^8)`, :math:`f = a_1 \sqrt{q} + a_2`.

    Shapes: distance, c6, quotient q = C8/C6: (E,) -> (E,)
    """
    radius = damping.a1 * torch.sqrt(quotient) + damping.a2
    dipoles = damping.s6 / (distance.pow(6) + radius.pow(6))
    quadrupoles = damping.s8 * quotient / (distance.pow(8) + radius.pow(8))
    return -(c6 * (dipoles + quadrupoles)).masked_fill(distance >= cutoff, 0.0)


def list_triangles(graph: Graph, *, cutoff: float) -> Triangles:
    """All triangles whose sides are below the cutoff, which is that of the graph.

    In a periodic system corners may be images. Triangles with two corners at one place are left out.
    """
    degree = graph.row_ptr.diff().long()
    end = graph.row_ptr[1:].long().repeat_interleave(degree)
    edge = torch.arange(end.shape[0], device=end.device)
    later = end - edge - 1
    first = edge.repeat_interleave(later)
    start = (later.cumsum(0) - later).repeat_interleave(later)
    second = first + 1 + torch.arange(first.shape[0], device=first.device) - start
    with torch.no_grad():
        side = graph.vector.index_select(0, second) - graph.vector.index_select(0, first)
        squared = side.square().sum(1)
        apart = graph.distance > 0
        is_open = apart.index_select(0, first) & apart.index_select(0, second) & (squared > 0)
        kept = (is_open & (squared < cutoff * cutoff)).nonzero().squeeze(1)
    first, second = first[kept], second[kept]
    side = graph.vector.index_select(0, second) - graph.vector.index_select(0, first)
    return Triangles(first, second, torch.linalg.vector_norm(side, dim=1))


def three_body_energy(sides: Tensor, c6: Tensor, *, radii: Tensor, damping: Damping) -> Tensor:
    r"""Energy of each triangle after Axilrod, Teller and Muto,

    .. math:: E = s_9 \sqrt{C_6^{ij} C_6^{jk} C_6^{ki}} \,
        \frac{3 \cos\alpha \cos\beta \cos\gamma + 1}{(d_{ij} d_{jk} d_{ki})^3}
        \left(1 + 6 \left(\prod \tfrac43 R / d\right)^{16/3}\right)^{-1}

    Shapes: sides, c6, radii = van der Waals radius of each side: (T, 3) -> (T,)
    """
    squared = sides.square()
    product = sides.prod(1)
    a, b, c = squared.unbind(1)
    cosines = (a + b - c) * (b + c - a) * (c + a - b) / (8.0 * squared.prod(1))
    damped = 1.0 + 6.0 * (TRIANGLE_RADII**3 * radii.prod(1) / product).pow(TRIANGLE_EXPONENT)
    return damping.s9 * c6.prod(1).sqrt() * (3.0 * cosines + 1.0) / (product.pow(3) * damped)
