"""A neighbour list that is made for a longer cutoff and used until an atom has moved too far.

Letters in shapes: N atoms, B systems.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.neighbors.graphs import system_pairs
from torchmdnet.neighbors.pairs import NeighborPairs, check_atoms, check_cutoffs, read_cells
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

    ``searches`` counts how often the list was made and ``calls`` how often it was asked for.

    Raises:
        ValueError: a skin that is not positive; cutoffs out of order.
    """

    def __init__(self, cutoff_lower: float, cutoff_upper: float, *, skin: float, loop: bool) -> None:
        check_cutoffs(cutoff_lower, cutoff_upper)
        if not 0.0 < skin < float("inf"):
            raise ValueError(f"the skin must be positive and finite, not {skin}; 0.3 to 2 Å are usual")
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.skin = skin
        self.loop = loop
        self.calls = self.searches = 0
        self._reference: Reference | None = None

    def __call__(self, system: System) -> NeighborPairs:
        """List the pairs within the cutoff; see :func:`torchmdnet.neighbors.neighbor_pairs` for what is raised."""
        if torch.compiler.is_compiling():
            raise RuntimeError("a list with a skin decides from call to call: set skin = 0 before compiling")
        check_atoms(system.pos, system.batch)
        self.calls += 1
        cells, periodic = read_cells(system.pos, system.box, system.pbc, system.num_systems)
        reference = self._reference
        if reference is None or not self._still_holds(reference, system, cells, periodic):
            self.searches += 1
            reference = self._reference = self._search(system, cells, periodic)
        found = reference.pairs
        vector, distance, receiver, sender, shift, row_ptr = refresh_pairs(
            system.pos.contiguous(),
            system.batch.contiguous(),
            cells,
            found.sender,
            found.shift,
            found.row_ptr,
            float(self.cutoff_lower),
            float(self.cutoff_upper),
        )
        status = torch.cat([row_ptr[-1:], row_ptr.new_zeros(1)])
        return NeighborPairs(vector, distance, receiver, sender, shift, row_ptr, status)

    @torch.no_grad()
    def _still_holds(self, reference: Reference, system: System, cells: Tensor, periodic: Tensor) -> bool:
        """Whether no pair can be missing."""
        pos = system.pos
        if pos.shape != reference.pos.shape or pos.dtype != reference.pos.dtype or pos.device != reference.pos.device:
            return False
        same = torch.equal(system.batch, reference.batch) and torch.equal(periodic, reference.periodic)
        if not same or not torch.equal(cells, reference.cells):
            return False
        moved = (pos - reference.pos).square().sum(1)
        # Written so that NaN, too, leads to a new search, which refuses it.
        return bool((moved < (0.5 * MARGIN * self.skin) ** 2).all())

    @torch.no_grad()
    def _search(self, system: System, cells: Tensor, periodic: Tensor) -> Reference:
        """List the pairs within cutoff + skin."""
        pairs = system_pairs(system, cutoff_upper=self.cutoff_upper + self.skin, loop=self.loop)
        return Reference(system.pos.clone(), system.batch.clone(), cells.clone(), periodic.clone(), pairs)
