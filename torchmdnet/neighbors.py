"""From a system to its neighbour graph: the only place that knows boxes.

Letters in shapes: N atoms, B systems, E directed edges, P distinct pair distances.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.ops.half_pairs import half_pairs

__all__ = ["DefaultBox", "NeighborList", "neighbor_graph"]

FLAT = 1e-6
"""Volume of a cell over the product of its edge lengths below which it is refused as singular."""


class Lattice(NamedTuple):
    """The cells of all systems, checked."""

    box: Tensor
    """Cell vectors as given, in the dtype of the positions; differentiable. (B, 3, 3)"""
    cell: Tensor
    """The same, with the vectors of open axes replaced by unit vectors orthogonal to all others. (B, 3, 3) float64"""
    periodic: Tensor
    """(B, 3) bool"""


class DefaultBox(nn.Module):
    """A cell for systems that bring none.

    The buffer ``box`` (3, 3), rows a, b, c, is part of the state; all zeros mean no cell.

    Raises:
        ValueError: a box that is not 3 x 3.
    """

    box: Tensor

    def __init__(self, box: Tensor | None = None, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        box = torch.zeros((3, 3)) if box is None else torch.as_tensor(box)
        if box.shape != (3, 3):
            raise ValueError(f"the default box must be a 3 x 3 matrix with rows a, b, c, not {tuple(box.shape)}")
        self.register_buffer("box", box.to(dtype))

    def forward(self, system: System) -> System:
        """Give the system the cell if it has none."""
        if system.box is None and bool(self.box.any()):
            return system._replace(box=self.box)
        return system


class NeighborList(DefaultBox):
    r"""Neighbours within a cutoff; systems without a cell get that of the buffer ``box``. See :func:`neighbor_graph`.

    Raises:
        ValueError: cutoffs that are negative, not finite or out of order; a box that is not 3 x 3.
    """

    def __init__(
        self,
        cutoff_lower: float,
        cutoff_upper: float,
        *,
        loop: bool,
        box: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(box, dtype=dtype)
        _check_cutoffs(cutoff_lower, cutoff_upper)
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.loop = loop

    def forward(self, system: System) -> Graph:  # type: ignore[override]
        """List the neighbours; ``system.box`` goes before the default."""
        return neighbor_graph(
            super().forward(system), cutoff_lower=self.cutoff_lower, cutoff_upper=self.cutoff_upper, loop=self.loop
        )

    def extra_repr(self) -> str:
        """Show the cutoffs when printed."""
        return f"cutoff_lower={self.cutoff_lower}, cutoff_upper={self.cutoff_upper}, loop={self.loop}"


def neighbor_graph(system: System, *, cutoff_lower: float, cutoff_upper: float, loop: bool) -> Graph:
    r"""List all neighbours with :math:`l \le |v| < u`, :math:`v = r_i - r_j - s\,\mathrm{box}`, l and u the cutoffs.

    Any invertible cell, any subset of periodic axes, one cell for all systems or one for each; atoms may lie outside
    the cell, and a cell may be thinner than the cutoff: then a pair has several images, and an atom is a neighbour of
    its own images. There is no limit on the number of neighbours. A system whose cell is all zeros, and an axis that
    ``system.pbc`` says is open, is not periodic. With ``loop``, each atom has one edge to itself with v = 0, whatever
    the lower cutoff.

    ``vector``, ``distance`` and ``pair_distance`` differentiate twice through positions and cells; pairs of length zero
    contribute no gradient. The search itself is not part of the gradient.

    Raises:
        ValueError: cutoffs out of order, NaN or infinite positions or cells, a singular cell on a periodic axis, a
            wrong number of cells, a system number that is not below ``system.num_systems``.
        TypeError: positions or cells that are not floating point.
    """
    _check_cutoffs(cutoff_lower, cutoff_upper)
    pos, batch = system.pos, system.batch
    _check_atoms(system)
    lattice = _lattice(system)
    i, j, shift = half_pairs(
        pos,
        batch,
        num_systems=system.num_systems,
        cell=None if lattice is None else lattice.cell,
        periodic=None if lattice is None else lattice.periodic,
        cutoff=cutoff_upper,
    )
    box = None if lattice is None else lattice.box
    with torch.no_grad():
        vector = _pair_vectors(pos, batch, box, i, j, shift)
        squared = (vector * vector).sum(1)
        keep = ((squared < cutoff_upper**2) & (squared >= cutoff_lower**2)).nonzero().squeeze(1)
    i, j = i.index_select(0, keep), j.index_select(0, keep)
    shift = None if shift is None else shift.index_select(0, keep)
    return _graph(_pair_vectors(pos, batch, box, i, j, shift), i, j, shift, num_atoms=pos.shape[0], loop=loop)


def _pair_vectors(pos: Tensor, batch: Tensor, box: Tensor | None, i: Tensor, j: Tensor, shift: Tensor | None) -> Tensor:
    """From image ``shift`` of j to i. (P, 3)"""
    vector = pos.index_select(0, i) - pos.index_select(0, j)
    if box is None or shift is None:
        return vector
    return vector - (shift.to(pos.dtype).unsqueeze(2) * box.index_select(0, batch.index_select(0, i))).sum(1)


def _graph(vector: Tensor, i: Tensor, j: Tensor, shift: Tensor | None, *, num_atoms: int, loop: bool) -> Graph:
    """Spread unordered pairs to both directions, add the self pairs and sort by receiver."""
    num_pairs = i.shape[0]
    atoms = torch.arange(num_atoms if loop else 0, device=i.device)
    if shift is None:
        shift = i.new_zeros((num_pairs, 3))
    if loop:
        vector = torch.cat([vector, vector.new_zeros((1, 3))])
        shift = torch.cat([shift, shift.new_zeros((1, 3))])
    receiver, order = torch.sort(torch.cat([i, j, atoms]), stable=True)
    sender = torch.cat([j, i, atoms]).index_select(0, order)
    reverse = order >= num_pairs
    pair = torch.where(reverse, order - num_pairs, order).clamp(max=num_pairs)
    sign = torch.where(reverse, -1, 1).unsqueeze(1)
    pair_distance = _length(vector)
    num_edges = torch.bincount(receiver, minlength=num_atoms)
    return Graph(
        receiver=receiver,
        sender=sender,
        row_ptr=torch.cat([num_edges.new_zeros(1), num_edges.cumsum(0)]),
        shift=shift.index_select(0, pair) * sign,
        vector=vector.index_select(0, pair) * sign,
        distance=pair_distance.index_select(0, pair),
        pair=pair,
        pair_distance=pair_distance,
    )


def _length(vector: Tensor) -> Tensor:
    """Length of each row; a zero row has length zero with zero derivatives."""
    squared = (vector * vector).sum(1)
    is_zero = squared == 0
    return torch.where(is_zero, 0.0, torch.sqrt(torch.where(is_zero, 1.0, squared)))


def _check_cutoffs(lower: float, upper: float) -> None:
    """Refuse cutoffs that no distance can satisfy."""
    if not (math.isfinite(lower) and math.isfinite(upper)) or lower < 0 or upper <= 0:
        raise ValueError(f"cutoffs must be finite, lower >= 0 and upper > 0, not lower {lower} and upper {upper}")
    if lower >= upper:
        raise ValueError(f"the lower cutoff must be below the upper one, not lower {lower} and upper {upper}")


def _check_atoms(system: System) -> None:
    """Refuse positions and system numbers that the search cannot work with."""
    pos, batch = system.pos, system.batch
    if not pos.is_floating_point():
        raise TypeError(f"positions must be floating point, not {pos.dtype}")
    if pos.ndim != 2 or pos.shape[1] != 3 or batch.shape != pos.shape[:1]:
        raise ValueError(f"want pos (N, 3) and batch (N,), not {tuple(pos.shape)} and {tuple(batch.shape)}")
    finite = torch.isfinite(pos)
    if not bool(finite.all()):
        atom = int((~finite).any(1).nonzero()[0])
        raise ValueError(f"the position of atom {atom} is NaN or infinite: {pos[atom].tolist()}")
    if batch.shape[0] and not 0 <= int(batch.min()) <= int(batch.max()) < system.num_systems:
        raise ValueError(
            f"batch holds system numbers {int(batch.min())} to {int(batch.max())}, "
            f"but there are {system.num_systems} systems, numbered from 0"
        )


def _lattice(system: System) -> Lattice | None:
    """Check the cells and complete those with open axes; None if nothing is periodic."""
    box, num_systems = system.box, system.num_systems
    if box is None:
        if system.pbc is not None and bool(system.pbc.any()):
            raise ValueError("pbc says that axes are periodic, but no box was given: pass box (B, 3, 3)")
        return None
    if not box.is_floating_point():
        raise TypeError(f"the box must be floating point, not {box.dtype}")
    given = tuple(box.shape)
    box = box.unsqueeze(0) if box.ndim == 2 else box
    if box.ndim != 3 or box.shape[1:] != (3, 3) or box.shape[0] not in (1, num_systems):
        raise ValueError(f"the box must have shape (3, 3), or (B, 3, 3) for B = {num_systems} systems, not {given}")
    box = box.expand(num_systems, 3, 3)
    cell = box.detach().to(torch.float64)
    if not bool(torch.isfinite(cell).all()):
        raise ValueError(f"the box of system {_first(~torch.isfinite(cell))} holds NaN or infinite numbers")
    periodic = _periodic_axes(cell, system.pbc)
    if not bool(periodic.any()):
        return None
    return Lattice(box=box.to(system.pos.dtype), cell=_complete(cell, periodic), periodic=periodic)


def _first(bad: Tensor) -> int:
    """The first system in which anything is true. bad: (B, ...)"""
    return int(bad.reshape(bad.shape[0], -1).any(1).nonzero()[0])


def _periodic_axes(cell: Tensor, pbc: Tensor | None) -> Tensor:
    """Tell which axes are periodic. (B, 3) bool"""
    has_cell = cell.flatten(1).any(1)
    if pbc is None:
        return has_cell.unsqueeze(1).expand(-1, 3)
    pbc = pbc.to(torch.bool)
    pbc = pbc.unsqueeze(0) if pbc.ndim == 1 else pbc
    if pbc.ndim != 2 or pbc.shape[1] != 3 or pbc.shape[0] not in (1, cell.shape[0]):
        raise ValueError(f"pbc must have shape (3,), or (B, 3) for B = {cell.shape[0]} systems, not {tuple(pbc.shape)}")
    pbc = pbc.expand(cell.shape[0], 3)
    contradiction = pbc.any(1) & ~has_cell
    if bool(contradiction.any()):
        raise ValueError(f"pbc says that system {_first(contradiction)} is periodic, but its box is all zeros")
    return pbc


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
