"""Lists of pairs for the ops that make one or work on one, and how two of them are compared."""

from typing import Any, NamedTuple

import torch
from random_systems import random_system
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.ops.neighbor_pairs import NeighborPairs, list_pairs

UPPER = 2.5
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}
"""Rounding of separations of some 20 Å."""


class Listed(NamedTuple):
    """A system as the ops take it, and its pairs."""

    pos: Tensor
    batch: Tensor
    box: Tensor
    pairs: NeighborPairs


def arguments(
    system: System,
    *,
    lower: float = 0.0,
    upper: float = UPPER,
    loop: bool = False,
    half: bool = False,
    capacity: int = -1,
) -> list[Any]:
    """Those of neighbor_pairs."""
    num = system.num_systems
    box = system.pos.new_zeros((0, 3, 3)) if system.box is None else system.box
    box = box if len(box) in (0, num) else box.expand(num, 3, 3)
    pbc = torch.zeros((0, 3), dtype=torch.bool) if system.pbc is None else system.pbc
    return [system.pos, system.batch, box.contiguous(), pbc, num, lower, upper, loop, half, capacity]


def listed(system: System, **options: Any) -> Listed:
    """The pairs of a system."""
    given = arguments(system, **options)
    return Listed(given[0], given[1], given[2], list_pairs(*given))


def shared_cell(system: System) -> System:
    """One cell is the cell of all."""
    if system.box is None or system.box.ndim == 3:
        return system
    return system._replace(box=system.box.expand(system.num_systems, 3, 3))


def some_systems(kind: str, dtype: torch.dtype = torch.float64, *, upper: float = UPPER, num: int = 6) -> list[System]:
    """Batches of a kind, every other one with some open axes."""
    return [
        random_system(seed, kind=kind, upper=upper, spread=2.0, is_partial=seed % 2 == 1, dtype=dtype)
        for seed in range(num)
    ]


def names(pairs: NeighborPairs) -> dict[tuple[int, ...], int]:
    """Row of each edge that is no padding, by receiver, sender and shift; no edge is listed twice."""
    num = int(pairs.row_ptr[-1])
    shift = pairs.shift if len(pairs.shift) else pairs.shift.new_zeros((len(pairs.receiver), 3))
    key = torch.cat([pairs.receiver[:num, None], pairs.sender[:num, None], shift[:num]], 1).tolist()
    rows = {tuple(name): row for row, name in enumerate(key)}
    assert len(rows) == num
    return rows


def undirected(rows: dict[tuple[int, ...], int]) -> dict[tuple[int, ...], int]:
    """The same for half lists, which may hold an edge or its reverse."""
    both = {name: (name[1], name[0], *(-s for s in name[2:])) for name in rows}
    return {min(name, both[name]): row for name, row in rows.items()}


def assert_same_pairs(
    ours: NeighborPairs, theirs: NeighborPairs, tolerance: float, *, cutoffs: tuple[float, float], half: bool = False
) -> None:
    """The same edges in any order; those as near to a cutoff as the tolerance may be in one list only."""
    one, other = names(ours), names(theirs)
    if half:
        one, other = undirected(one), undirected(other)
    for mine, yours, pairs in ((one, other, ours), (other, one, theirs)):
        alone = pairs.distance[[row for name, row in mine.items() if name not in yours]]
        is_near = torch.stack([(alone - cutoff).abs() < tolerance for cutoff in cutoffs]).any(0)
        assert is_near.all(), f"{int((~is_near).sum())} edges are in one list only"
    both = sorted(one.keys() & other.keys())
    a, b = (torch.tensor([rows[name] for name in both], dtype=torch.int64) for rows in (one, other))
    torch.testing.assert_close(ours.distance[a], theirs.distance[b], rtol=0, atol=tolerance)
    is_same = ours.receiver[a] == theirs.receiver[b]
    if len(ours.shift):
        is_same &= (ours.shift[a] == theirs.shift[b]).all(1)
    assert half or is_same.all()
    vectors = torch.where(is_same[:, None], theirs.vector[b], -theirs.vector[b])
    torch.testing.assert_close(ours.vector[a], vectors, rtol=0, atol=tolerance)
