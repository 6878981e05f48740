"""The list of neighbours of atoms in any cells.

Letters in shapes: N atoms, B systems, E rows of the list.
"""

import math
from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops.lattice import read_lattice
from torchmdnet.ops.neighbor_pairs import FAULTS, MOST_PAIRS, NeighborPairs, list_pairs

__all__ = [
    "NO_CAPACITY",
    "NeighborPairs",
    "check_atoms",
    "check_capacity",
    "check_cutoffs",
    "check_status",
    "neighbor_pairs",
    "read_cells",
]

NO_CAPACITY = -1
"""As many rows as there are pairs."""


def neighbor_pairs(
    pos: Tensor,
    batch: Tensor | None = None,
    *,
    cutoff_upper: float,
    cutoff_lower: float = 0.0,
    box: Tensor | None = None,
    pbc: Tensor | None = None,
    num_systems: int | None = None,
    loop: bool = False,
    half: bool = False,
    capacity: int | None = None,
) -> NeighborPairs:
    r"""List all pairs with :math:`l \le |v| < u`, :math:`v = r_i - r_j - s\,\mathrm{box}`, l and u the cutoffs.

    Any invertible cell, any subset of periodic axes, one cell for all systems or one for each; atoms may lie outside
    the cell, and a cell may be thinner than the cutoff: then a pair has several images, and an atom is a neighbour of
    its own images. There is no limit on the number of neighbours. The work is proportional to the number of pairs.

    Shapes: pos: (N, 3) float32 or float64, batch: (N,) int64 in any order, gaps allowed; box: (3, 3) or (B, 3, 3), rows
    a, b, c, all zeros for a system without a cell; pbc: (3,) or (B, 3) bool.

    Args:
        num_systems: B; without it, the highest number in ``batch`` and one.
        pbc: Whether a, b, c are periodic; without it, all axes of systems that have a cell.
        loop: Each atom's row begins with the atom itself, at zero distance, whatever the lower cutoff.
        half: Each unordered pair once, instead of from both ends.
        capacity: Number of rows, the ones that are left being padding: static shapes, for ``torch.compile``,
            ``torch.export`` and CUDA graphs. On a GPU nothing is waited for then, and anything wrong makes all
            distances NaN: see :func:`check_status`.

    Raises:
        ValueError: cutoffs out of order, NaN or infinite positions or cells, a singular cell on a periodic axis, wrong
            shapes, a system number that is negative or not below ``num_systems``.
        TypeError: positions that are not float32 or float64, a batch that is not int64, a capacity that is no integer.
        RuntimeError: more pairs than ``capacity``; more than 2147483647 pairs.
    """
    check_cutoffs(cutoff_lower, cutoff_upper)
    _check_types(pos=pos, batch=batch, box=box, pbc=pbc)
    check_capacity(capacity)
    if batch is None:
        batch, num_systems = torch.zeros(pos.shape[0], dtype=torch.int64, device=pos.device), num_systems or 1
    check_atoms(pos, batch)
    if num_systems is None:
        if torch.compiler.is_compiling():
            raise ValueError("the number of systems cannot be read from batch in compiled code: pass num_systems")
        num_systems = int(batch.max()) + 1 if batch.shape[0] else 0
    cells, periodic = read_cells(pos, box, pbc, num_systems)
    rows = NO_CAPACITY if capacity is None else capacity
    arguments = (pos.contiguous(), batch.contiguous(), cells, periodic, num_systems)
    options = (float(cutoff_lower), float(cutoff_upper), loop, half, rows)
    if torch.compiler.is_compiling():
        return list_pairs(*arguments, *options)
    try:
        return list_pairs(*arguments, *options)
    except RuntimeError as error:
        _explain(*arguments, error)
        raise


def check_status(status: Tensor, *, capacity: int) -> None:
    """Raise what a search with a fixed capacity found wrong, as its ``status`` tells. Waits for the GPU.

    Raises:
        RuntimeError: anything of ``FAULTS``, with the number of pairs that were found.
    """
    found, faults = status.tolist()
    for bit, text in FAULTS.items():
        if faults & bit:
            raise RuntimeError(f"{text}: found {found}, with room for {capacity}")


def check_cutoffs(lower: float, upper: float) -> None:
    """Refuse cutoffs that no distance can satisfy."""
    if not (math.isfinite(lower) and math.isfinite(upper)) or lower < 0 or upper <= 0:
        raise ValueError(f"cutoffs must be finite, lower >= 0 and upper > 0, not lower {lower} and upper {upper}")
    if lower >= upper:
        raise ValueError(f"the lower cutoff must be below the upper one, not lower {lower} and upper {upper}")


def check_capacity(capacity: int | None) -> None:
    """Refuse what is no number of rows. A symbol of code that is exported is one."""
    if isinstance(capacity, (float, str)):
        raise TypeError(f"the capacity is a number of rows, an integer, not {capacity!r}")
    if capacity is not None and capacity < 0:
        raise ValueError(f"the capacity must not be negative, not {capacity}; leave it out for as many rows as needed")
    if isinstance(capacity, int) and capacity > MOST_PAIRS:
        raise ValueError(f"rows are counted by int32, so that the capacity is at most {MOST_PAIRS}, not {capacity}")


def read_cells(pos: Tensor, box: Tensor | None, pbc: Tensor | None, num_systems: int) -> tuple[Tensor, Tensor]:
    """Cells (B, 3, 3), or (0, 3, 3) for none, and flags (B, 3), or (0, 3) for none, as the ops take them."""
    if box is None:
        if pbc is not None and bool(pbc.any()):
            raise ValueError("pbc says that axes are periodic, but no box was given: pass box (B, 3, 3)")
        return pos.new_empty((0, 3, 3)), torch.empty((0, 3), dtype=torch.bool, device=pos.device)
    if not box.is_floating_point():
        raise TypeError(f"the box must be floating point, not {box.dtype}")
    if box.device != pos.device:
        raise ValueError(f"the box is on {box.device}, the positions on {pos.device}: put both on one device")
    given = tuple(box.shape)
    box = box.unsqueeze(0) if box.ndim == 2 else box
    if box.ndim != 3 or box.shape[1:] != (3, 3) or box.shape[0] not in (1, num_systems):
        raise ValueError(f"the box must have shape (3, 3), or (B, 3, 3) for B = {num_systems} systems, not {given}")
    box = box.to(pos.dtype).expand(num_systems, 3, 3).contiguous()
    if pbc is None:
        return box, torch.empty((0, 3), dtype=torch.bool, device=pos.device)
    if pbc.device != pos.device:
        raise ValueError(f"pbc is on {pbc.device}, the positions on {pos.device}: put both on one device")
    given = tuple(pbc.shape)
    pbc = pbc.unsqueeze(0) if pbc.ndim == 1 else pbc
    if pbc.ndim != 2 or pbc.shape[1] != 3 or pbc.shape[0] not in (1, num_systems):
        raise ValueError(f"pbc must have shape (3,), or (B, 3) for B = {num_systems} systems, not {given}")
    return box, pbc.to(torch.bool).expand(num_systems, 3).contiguous()


def _check_types(**tensors: Any) -> None:
    """Refuse what is no tensor."""
    for name, value in tensors.items():
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}: see torch.as_tensor")


def check_atoms(pos: Tensor, batch: Tensor) -> None:
    """Refuse what no search can work with, without looking at the numbers."""
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        raise RuntimeError(
            "a neighbour list has as many rows as there are pairs, which torch.func's transforms (vmap, grad) cannot "
            "follow: put systems into one batch, and differentiate by torch.autograd.grad"
        )
    if pos.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"positions must be float32 or float64, not {pos.dtype}")
    if batch.dtype != torch.int64:
        raise TypeError(f"batch must be int64, not {batch.dtype}")
    if pos.ndim != 2 or pos.shape[1] != 3 or batch.shape != pos.shape[:1]:
        raise ValueError(f"want pos (N, 3) and batch (N,), not {tuple(pos.shape)} and {tuple(batch.shape)}")
    if batch.device != pos.device:
        raise ValueError(f"batch is on {batch.device}, the positions on {pos.device}: put both on one device")


def _explain(pos: Tensor, batch: Tensor, box: Tensor, periodic: Tensor, num_systems: int, error: RuntimeError) -> None:
    """Say which atom or system was wrong, where the search told that something was.

    Raises:
        ValueError: what was given, and what is wanted.
    """
    finite = torch.isfinite(pos)
    if not bool(finite.all()):
        atom = int((~finite).any(1).nonzero()[0])
        raise ValueError(f"the position of atom {atom} is NaN or infinite: {pos[atom].tolist()}") from error
    if batch.shape[0] and not 0 <= int(batch.min()) <= int(batch.max()) < num_systems:
        raise ValueError(
            f"batch holds system numbers {int(batch.min())} to {int(batch.max())}, "
            f"but there are {num_systems} systems, numbered from 0"
        ) from error
    read_lattice(box, periodic)
