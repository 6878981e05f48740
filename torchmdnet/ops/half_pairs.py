"""Search for the pairs of atoms that lie within a cutoff, each unordered pair once.

The atoms of a system are sorted into bins at least as wide as the cutoff; along a repeating axis bin n is bin 0 of the
next cell. A pair is found from the offset between its two bins, and of two opposite offsets only one is visited: no
pair is seen twice, and a pair of an atom with its own image needs no special case. A molecule is one bin, and a cell
thinner than the cutoff is one bin with several images: they are the same algorithm.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["half_pairs"]

ATOMS_PER_BIN = 8
"""Mean number of atoms below which bins are not made smaller: visiting a bin would cost more than trying pairs."""
SMALL_SYSTEM = 64
"""Molecules up to this size are one bin without a look at their extent."""
MAX_AT_ONCE = 1 << 20
"""Bins visited, and pairs tried, at once: bounds the memory to some 100 MB."""
MOST_CANDIDATES = 2**31 - 1
"""Slots that one atom is compared with."""
SLACK = 1.0 + 1e-4
"""Search radius in cutoffs: rounding here must not lose a pair that the caller's arithmetic keeps."""


class Grid(NamedTuple):
    """How the space of each system is divided into bins."""

    num: Tensor
    """Bins along each axis. (B, 3)"""
    repeats: Tensor
    """Whether the bins of an axis go on in the next cell. (B, 3) bool"""
    reach: Tensor
    """How many bins away along each axis a neighbour can be. (B, 3)"""


class Slots(NamedTuple):
    """Atoms in the order of their bins. G is the number of bins of all systems."""

    atom: Tensor
    """Atom in each slot. (N,)"""
    batch: Tensor
    """System of each slot. (N,)"""
    pos: Tensor
    """Position after wrapping. (N, 3)"""
    wrap: Tensor | None
    """Cells that wrapping moved the atom by; None if none was moved. (N, 3)"""
    cell_bin: Tensor
    """Bin along each axis, within the system. (N, 3)"""
    start: Tensor
    """First slot of each bin. (G + 1,)"""
    first_bin: Tensor
    """First bin of each system. (B,)"""


class Visits(NamedTuple):
    """For each row: one atom and a run of slots with its possible partners."""

    slot: Tensor
    """Slot of the atom. (R,)"""
    begin: Tensor
    """First slot of the run. (R,)"""
    num: Tensor
    """Length of the run. (R,)"""
    image: Tensor | None
    """Cell in which the partners are; None if all are in the atom's own. (R, 3)"""
    translation: Tensor | None
    """The same as a length. (R, 3)"""


class HalfPairs(NamedTuple):
    """Unordered pairs: ``i`` sees ``j`` displaced by ``shift`` cells."""

    i: Tensor
    """(P,) int64"""
    j: Tensor
    """(P,) int64"""
    shift: Tensor | None
    """None if no axis is periodic. (P, 3) int64"""


@torch.no_grad()
def half_pairs(
    pos: Tensor, batch: Tensor, *, num_systems: int, cell: Tensor | None, periodic: Tensor | None, cutoff: float
) -> HalfPairs:
    r"""Find every unordered pair with :math:`|r_i - r_j - s\,\mathrm{cell}| < \mathrm{cutoff}`, once.

    (i, j, s) and (j, i, -s) are the same pair; (i, i, 0) is none. The search radius is larger than the cutoff by 1e-4
    of it: the caller filters with its own arithmetic. No gradient flows through the result. Memory is O(N + P).

    Shapes: pos: (N, 3), batch: (N,) in any order, cell: (B, 3, 3) invertible, its vectors on open axes of length 1 and
    orthogonal to all others, periodic: (B, 3) bool, both None if no axis is periodic.
    """
    radius = cutoff * SLACK
    count = torch.bincount(batch, minlength=num_systems)
    if cell is None or periodic is None or pos.shape[0] == 0:
        if pos.shape[0] == 0 or int(count.max()) <= SMALL_SYSTEM:
            slots = _one_bin_each(pos, batch, count)
            return _concatenate([_search(slots, visits, radius) for visits in _visit_own_bin(slots)], slots)
        cell = torch.eye(3, dtype=torch.float64, device=pos.device).expand(num_systems, 3, 3)
        periodic = torch.zeros((num_systems, 3), dtype=torch.bool, device=pos.device)
    cell = cell.to(torch.float64)
    grid, slots = _divide(pos.to(torch.float64), batch, count, cell=cell, periodic=periodic, radius=radius)
    return _concatenate([_search(slots, visits, radius) for visits in _visit_half(slots, grid, cell)], slots)


def _one_bin_each(pos: Tensor, batch: Tensor, count: Tensor) -> Slots:
    """Make each system one bin."""
    atom = torch.argsort(batch, stable=True)
    start = torch.cat([count.new_zeros(1), count.cumsum(0)])
    sorted_batch = batch.index_select(0, atom)
    return Slots(
        atom=atom,
        batch=sorted_batch,
        pos=pos.index_select(0, atom),
        wrap=None,
        cell_bin=batch.new_zeros((batch.shape[0], 3)),
        start=start,
        first_bin=torch.arange(count.shape[0], device=batch.device),
    )


def _divide(
    pos: Tensor, batch: Tensor, count: Tensor, *, cell: Tensor, periodic: Tensor, radius: float
) -> tuple[Grid, Slots]:
    """Wrap the atoms around the first one of their system and sort them into bins."""
    inverse = torch.linalg.inv(cell)
    height = 1.0 / torch.linalg.vector_norm(inverse, dim=1)
    frac = (pos.unsqueeze(1) @ inverse.index_select(0, batch)).squeeze(1)
    wrap = _wrap(frac, batch, periodic)
    frac = frac - wrap
    index = batch.unsqueeze(1).expand(-1, 3)
    low = frac.new_zeros(periodic.shape).scatter_reduce(0, index, frac, "amin", include_self=False)
    high = frac.new_zeros(periodic.shape).scatter_reduce(0, index, frac, "amax", include_self=False)

    span = high - low
    repeats = periodic & ((1.0 - span) * height <= radius)
    length = torch.where(repeats, height, span * height)
    num = _limit_bins((length / radius).floor().clamp(min=1.0), count)
    images = torch.where(repeats, ((radius / height + span) * SLACK).floor(), 0.0)
    reach = torch.where(num > 1, 1, images.to(torch.int64))

    scale = torch.where(num > 1, num / torch.where(repeats, 1.0, span), 0.0)
    cell_bin = ((frac - low.index_select(0, batch)) * scale.index_select(0, batch)).to(torch.int64)
    cell_bin = torch.minimum(cell_bin, num.index_select(0, batch) - 1)
    last_bin = num.prod(1).cumsum(0)
    first_bin = last_bin - num.prod(1)
    bin_id = _bin_id(cell_bin, num.index_select(0, batch)) + first_bin.index_select(0, batch)
    atom = torch.argsort(bin_id, stable=True)
    filled = torch.bincount(bin_id, minlength=int(last_bin[-1]) if len(last_bin) else 0)
    wrapped = pos - (wrap.unsqueeze(1) @ cell.index_select(0, batch)).squeeze(1)
    slots = Slots(
        atom=atom,
        batch=batch.index_select(0, atom),
        pos=wrapped.index_select(0, atom),
        wrap=wrap.to(torch.int64).index_select(0, atom),
        cell_bin=cell_bin.index_select(0, atom),
        start=torch.cat([filled.new_zeros(1), filled.cumsum(0)]),
        first_bin=first_bin,
    )
    visited = (2.0 * reach + 1.0).prod(1) * count / num.prod(1)
    if bool((visited > MOST_CANDIDATES).any()):
        raise RuntimeError("torchmdnet: more than 2147483647 pairs: use a shorter cutoff, or fewer atoms at a time")
    return Grid(num, repeats, reach), slots


def _wrap(frac: Tensor, batch: Tensor, periodic: Tensor) -> Tensor:
    """Cells to take off each atom so that it is near the first atom of its system. (N, 3)"""
    atoms = torch.arange(batch.shape[0], device=batch.device)
    first = batch.new_zeros(periodic.shape[0]).scatter_reduce(0, batch, atoms, "amin", include_self=False)
    moved = torch.floor(frac - frac.index_select(0, first).index_select(0, batch) + 0.5)
    return torch.where(periodic.index_select(0, batch), moved, 0.0)


def _limit_bins(num: Tensor, count: Tensor) -> Tensor:
    """Merge bins where a system has fewer than ATOMS_PER_BIN atoms in one, the finest axes first."""
    left = (count / ATOMS_PER_BIN).clamp(min=1.0).to(num.dtype)
    ascending, axis = num.sort(dim=1)
    limited = []
    for k, power in enumerate((1.0 / 3.0, 0.5, 1.0)):
        limited.append(torch.minimum(ascending[:, k], left.pow(power).floor().clamp(min=1.0)))
        left = left / limited[-1]
    return torch.empty_like(num).scatter_(1, axis, torch.stack(limited, dim=1)).to(torch.int64)


def _bin_id(cell_bin: Tensor, num: Tensor) -> Tensor:
    """Number the bins of a system."""
    return (cell_bin[:, 0] * num[:, 1] + cell_bin[:, 1]) * num[:, 2] + cell_bin[:, 2]


def _spans(count: Tensor) -> Iterator[tuple[int, int, int]]:
    """Cut rows into runs (first row, last row + 1, sum of their counts) whose counts sum up to MAX_AT_ONCE or less.

    A row that alone exceeds the limit is a run of its own; empty runs are left out.
    """
    end = count.cumsum(0)
    rows, total = count.shape[0], int(end[-1]) if count.shape[0] else 0
    row = done = 0
    while done < total:
        stop = rows
        if total - done > MAX_AT_ONCE:
            stop = max(int(torch.searchsorted(end, done + MAX_AT_ONCE, right=True)), row + 1)
        upto = int(end[stop - 1])
        if upto > done:
            yield row, stop, upto - done
        row, done = stop, upto


def _repeat(count: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """Return, for each of ``total`` items, its row and its place in it; row r has ``count[r]`` items."""
    row = torch.repeat_interleave(count, output_size=total)
    begin = count.cumsum(0) - count
    place = torch.arange(total, device=count.device) - begin.index_select(0, row)
    return row, place


def _visit_own_bin(slots: Slots) -> Iterator[Visits]:
    """Visit, for each atom, the atoms behind it in its bin, where a system is one bin."""
    slot = torch.arange(slots.atom.shape[0], device=slots.atom.device)
    end = slots.start.index_select(0, slots.batch + 1)
    yield Visits(slot=slot, begin=slot + 1, num=end - slot - 1, image=None, translation=None)


def _visit_half(slots: Slots, grid: Grid, cell: Tensor) -> Iterator[Visits]:
    """Visit, for each atom, the bins within reach: one of two opposite offsets, and the atoms behind it in its own."""
    side = 2 * grid.reach + 1
    centre = side.prod(1) // 2
    count = (centre + 1).index_select(0, slots.batch)
    for first, last, total in _spans(count):
        row, place = _repeat(count[first:last], total)
        slot = row + first
        system = slots.batch.index_select(0, slot)
        num, width = grid.num.index_select(0, system), side.index_select(0, system)
        code = place + centre.index_select(0, system)
        offset = torch.stack(
            [code // (width[:, 1] * width[:, 2]), code // width[:, 2] % width[:, 1], code % width[:, 2]], 1
        )
        target = slots.cell_bin.index_select(0, slot) + offset - width // 2
        image = torch.where(grid.repeats.index_select(0, system), torch.div(target, num, rounding_mode="floor"), 0)
        target = target - image * num
        inside = ((target >= 0) & (target < num)).all(1)
        bin_id = torch.where(inside, _bin_id(target, num) + slots.first_bin.index_select(0, system), 0)
        begin = torch.where(place == 0, slot + 1, slots.start.index_select(0, bin_id))
        filled = torch.where(inside, slots.start.index_select(0, bin_id + 1) - begin, 0)
        keep = filled.nonzero().squeeze(1)
        image = image.index_select(0, keep)
        translation = (image.to(cell.dtype).unsqueeze(1) @ cell.index_select(0, system.index_select(0, keep))).squeeze(
            1
        )
        yield Visits(
            slot.index_select(0, keep), begin.index_select(0, keep), filled.index_select(0, keep), image, translation
        )


def _search(slots: Slots, visits: Visits, radius: float) -> HalfPairs:
    """Try all pairs of the visits; the result holds slots and images, not yet atoms and shifts."""
    i, j, image = [], [], []
    centre = slots.pos.index_select(0, visits.slot)
    if visits.translation is not None:
        centre = centre - visits.translation
    for first, last, total in _spans(visits.num):
        row, place = _repeat(visits.num[first:last], total)
        row = row + first if first else row
        partner = visits.begin.index_select(0, row) + place
        difference = centre.index_select(0, row) - slots.pos.index_select(0, partner)
        near = ((difference * difference).sum(1) < radius * radius).nonzero().squeeze(1)
        row = row.index_select(0, near)
        i.append(visits.slot.index_select(0, row))
        j.append(partner.index_select(0, near))
        if visits.image is not None:
            image.append(visits.image.index_select(0, row))
    none = slots.atom.new_empty(0)
    return HalfPairs(
        torch.cat([none, *i]),
        torch.cat([none, *j]),
        torch.cat([none.view(0, 3), *image]) if visits.image is not None else None,
    )


def _concatenate(found: list[HalfPairs], slots: Slots) -> HalfPairs:
    """Join the results and turn slots into atoms, images into shifts between the unwrapped positions."""
    none = slots.atom.new_empty(0)
    i, j = torch.cat([none, *(part.i for part in found)]), torch.cat([none, *(part.j for part in found)])
    shift = None
    if slots.wrap is not None:
        image = torch.cat([none.view(0, 3), *(part.shift for part in found if part.shift is not None)])
        shift = image + slots.wrap.index_select(0, i) - slots.wrap.index_select(0, j)
    return HalfPairs(slots.atom.index_select(0, i), slots.atom.index_select(0, j), shift)
