"""A neighbour list that is made for a longer cutoff and used until an atom has moved too far.

Letters in shapes: N atoms, B systems.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.neighbors.graphs import system_pairs
from torchmdnet.neighbors.pairs import (
    NO_CAPACITY,
    NeighborPairs,
    check_atoms,
    check_capacity,
    check_cutoffs,
    read_cells,
)
from torchmdnet.ops import recording
from torchmdnet.ops.refresh_pairs import refresh_pairs

__all__ = ["VerletList"]

MARGIN = 1.0 - 1e-4
"""Part of half the skin that an atom may move: the rest is left to rounding."""


class Reference(NamedTuple):
    """The atoms as they were at the last search, and what was found around them."""

    pos: Tensor
    batch: Tensor
    cells: Tensor
    periodic: Tensor
    pairs: NeighborPairs


class VerletList:
    r"""Reuse a list of neighbours within cutoff + skin until an atom has moved half the skin (Verlet, 1967).

    Two atoms that were further apart than cutoff + skin cannot have come within the cutoff while each moved less than
    skin / 2. So the pairs are exactly those of a new search, in another order. The list is made anew, too, where the
    number of atoms, a cell, ``pbc`` or the systems' atoms have changed, and where an atom was wrapped into the cell.
    L. Verlet, Phys. Rev. 159, 98 (1967).

    With a ``capacity``, results have so many rows, those left over being padding, and a call can be captured in a CUDA
    graph, after one that is not. A graph cannot search: where an atom has moved too far, a cell has changed or there
    are more pairs than rows, all distances of its replay are NaN, and ``status`` tells why: see
    :func:`torchmdnet.neighbors.check_status`. Then call it uncaptured, which makes the list anew, and capture anew.

    ``searches`` counts how often the list was made and ``calls`` how often it was asked for.

    Raises:
        ValueError: a skin that is not positive; cutoffs out of order; a negative capacity.
    """

    def __init__(
        self, cutoff_lower: float, cutoff_upper: float, *, skin: float, loop: bool, capacity: int | None = None
    ) -> None:
        check_cutoffs(cutoff_lower, cutoff_upper)
        if not 0.0 < skin < float("inf"):
            raise ValueError(f"the skin must be positive and finite, not {skin}; 0.3 to 2 Å are usual")
        check_capacity(capacity)
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.skin = skin
        self.loop = loop
        self.capacity = capacity
        self.calls = self.searches = 0
        self._reference: Reference | None = None

    def __call__(self, system: System) -> NeighborPairs:
        """List the pairs within the cutoff; see :func:`torchmdnet.neighbors.neighbor_pairs` for what is raised."""
        if torch.compiler.is_compiling():
            raise RuntimeError("a list with a skin decides from call to call: set skin = 0 before compiling")
        check_atoms(system.pos, system.batch)
        self.calls += 1
        cells, periodic = read_cells(system.pos, system.box, system.pbc, system.num_systems)
        if recording.is_captured(system.pos):
            return self._cut(self._reference_for_graph(system, cells), system, cells, is_checked=False)
        reference = self._reference
        if reference is None or not self._still_holds(reference, system, cells, periodic):
            self.searches += 1
            reference = self._reference = self._search(system, cells, periodic)
        return self._cut(reference, system, cells, is_checked=True)

    def _cut(self, reference: Reference, system: System, cells: Tensor, *, is_checked: bool) -> NeighborPairs:
        """Those of the longer list that are within the cutoff.

        Args:
            is_checked: Whether it is known that no pair can be missing; otherwise the op looks.
        """
        found = reference.pairs
        return refresh_pairs(
            system.pos.contiguous(),
            system.batch.contiguous(),
            cells,
            found.sender,
            found.shift,
            found.row_ptr,
            reference.pos[:0] if is_checked else reference.pos,
            reference.cells[:0] if is_checked else reference.cells,
            0.5 * MARGIN * self.skin,
            float(self.cutoff_lower),
            float(self.cutoff_upper),
            NO_CAPACITY if self.capacity is None else self.capacity,
        )

    def _reference_for_graph(self, system: System, cells: Tensor) -> Reference:
        """The last list, which the graph is to cut."""
        reference = self._reference
        if self.capacity is None:
            raise RuntimeError("the length of a list with a skin is not known in a CUDA graph: set skin = 0 before it")
        if reference is None or reference.pos.shape != system.pos.shape or reference.cells.shape != cells.shape:
            raise RuntimeError("a CUDA graph cannot search: call the list with a skin once before, with these atoms")
        return reference

    @torch.no_grad()
    def _still_holds(self, reference: Reference, system: System, cells: Tensor, periodic: Tensor) -> bool:
        """Whether no pair can be missing."""
        pos = system.pos
        if pos.dtype != reference.pos.dtype or pos.device != reference.pos.device:
            return False
        pairs = [(pos, reference.pos), (cells, reference.cells), (periodic, reference.periodic)]
        if any(now.shape != then.shape for now, then in pairs):
            return False
        moved = (pos - reference.pos).square().sum(1)
        # Written so that NaN, too, leads to a new search, which refuses it; and read at once: a GPU is waited for once.
        holds = (moved < (0.5 * MARGIN * self.skin) ** 2).all() & (system.batch == reference.batch).all()
        for now, then in pairs[1:]:
            holds = holds & (now == then).all()
        return bool(holds)

    @torch.no_grad()
    def _search(self, system: System, cells: Tensor, periodic: Tensor) -> Reference:
        """List the pairs within cutoff + skin."""
        pairs = system_pairs(system, cutoff_upper=self.cutoff_upper + self.skin, loop=self.loop)
        return Reference(system.pos.clone(), system.batch.clone(), cells.clone(), periodic.clone(), pairs)
