r"""All pairs of atoms with :math:`l \le |v| < u`, :math:`v = r_i - r_j - s\,\mathrm{box}`, in any cells.

One op for molecules and crystals, alone and in batches; written in C++ and CUDA, and here in plain PyTorch.
:mod:`torchmdnet.neighbors` has the functions for users.

Letters in shapes: N atoms, B systems, E rows of the list.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.along_vectors import along_vectors, along_vectors_reference
from torchmdnet.ops.half_pairs import half_pairs
from torchmdnet.ops.lattice import read_lattice
from torchmdnet.ops.pair_vectors import pair_vectors_transpose

__all__ = ["FAULTS", "NeighborPairs", "list_pairs", "neighbor_pairs_reference"]

MOST_PAIRS = 2**31 - 1
"""Rows are counted by int32."""

MOST_CELLS = 2**30
"""Cells between two atoms."""

OVERFLOW = 64
"""Bit of the status that says that there are more pairs than rows."""

FAULTS = {
    1: "a position is NaN or infinite",
    2: "batch holds a system number that is negative or not below num_systems",
    4: "a box is singular on its periodic axes, NaN or infinite",
    8: "pbc says that an axis is periodic, but the box of that system is all zeros",
    16: "an atom is more than 2^30 cells away from the first atom of its system",
    32: "more than 2147483647 pairs: use a shorter cutoff, or fewer atoms at a time",
    OVERFLOW: "more neighbour pairs than the list has room for",
    128: "an atom has moved too far, or a cell has changed, since the longer list was made",
    256: "row_ptr does not fit the number of rows",
    512: "row_ptr descends",
    1024: "a receiver or sender is not an atom",
}
"""Bits of ``status[1]``; those after the overflow are told of a longer list that is cut: :mod:`.refresh_pairs`."""


class NeighborPairs(NamedTuple):
    """A list of pairs, sorted by receiver.

    ``vector`` and ``distance`` differentiate twice through positions and cells; pairs of length zero contribute
    nothing. With a fixed capacity, the rows after ``row_ptr[N]`` are padding: the last atom with itself, at
    ``vector = (cutoff_upper, 0, 0)``, where all functions of the distance vanish.
    """

    vector: Tensor
    """``pos[receiver] - pos[sender] - shift @ box``. (E, 3)"""
    distance: Tensor
    """Length of ``vector``. (E,)"""
    receiver: Tensor
    """Ascending. (E,) int32"""
    sender: Tensor
    """(E,) int32"""
    shift: Tensor
    """Cells between the two; no rows where no box was given. (E, 3) or (0, 3) int32"""
    row_ptr: Tensor
    """Rows of atom i are ``row_ptr[i]:row_ptr[i + 1]``. (N + 1,) int32"""
    status: Tensor
    """Number of pairs found, and what was wrong (``FAULTS``, or'ed together). (2,) int32"""


def list_pairs(*arguments: Any) -> NeighborPairs:
    """Run the op; see :func:`neighbor_pairs_reference`."""
    return NeighborPairs(*native.call("neighbor_pairs", *arguments))


def neighbor_pairs_reference(
    pos: Tensor,
    batch: Tensor,
    box: Tensor,
    periodic: Tensor,
    num_systems: int,
    cutoff_lower: float,
    cutoff_upper: float,
    loop: bool,
    half: bool,
    capacity: int,
) -> tuple[Tensor, ...]:
    """List the pairs with PyTorch's own operations: the fields of :class:`NeighborPairs`.

    Shapes: pos: (N, 3), batch: (N,) int64 in any order, box: (B, 3, 3), or (0, 3, 3) for none; periodic: (B, 3) bool,
    or (0, 3) for "where there is a box".

    Args:
        loop: Each atom's row begins with the atom itself.
        half: Each unordered pair once, instead of from both ends.
        capacity: Number of rows, or negative for as many as there are pairs.

    Raises:
        RuntimeError: anything of ``FAULTS``.
    """
    _check(pos, batch, num_systems)
    try:
        lattice = read_lattice(box, periodic)
    except ValueError as error:
        raise RuntimeError(f"torchmdnet: {error}") from error
    i, j, shift = half_pairs(
        pos,
        batch,
        num_systems=num_systems,
        cell=None if lattice is None else lattice.cell,
        periodic=None if lattice is None else lattice.periodic,
        cutoff=cutoff_upper,
    )
    if shift is not None and bool((shift.abs() > MOST_CELLS).any()):
        raise RuntimeError(f"torchmdnet: {FAULTS[16]}")
    shift = i.new_zeros((i.shape[0], 3)) if shift is None else shift
    vector = pos.index_select(0, i) - pos.index_select(0, j)
    if box.shape[0]:
        vector = vector - (shift.to(pos.dtype).unsqueeze(2) * box.index_select(0, batch.index_select(0, i))).sum(1)
    squared = (vector * vector).sum(1)
    upper, lower = pos.new_tensor(cutoff_upper), pos.new_tensor(cutoff_lower)
    keep = ((squared < upper * upper) & (squared >= lower * lower)).nonzero().squeeze(1)
    i, j, shift, vector = (rows.index_select(0, keep) for rows in (i, j, shift, vector))
    receiver, sender, shift, vector = _sort(i, j, shift, vector, num_atoms=pos.shape[0], loop=loop, half=half)
    rows = finish_list(vector, receiver, sender, shift, pos.shape[0], cutoff_upper, capacity)
    return rows if box.shape[0] else (*rows[:4], rows[4][:0], *rows[5:])


def _check(pos: Tensor, batch: Tensor, num_systems: int) -> None:
    """Refuse what the search cannot work with."""
    if not bool(torch.isfinite(pos).all()):
        raise RuntimeError(f"torchmdnet: {FAULTS[1]}")
    if batch.shape[0] and not 0 <= int(batch.min()) <= int(batch.max()) < num_systems:
        raise RuntimeError(f"torchmdnet: {FAULTS[2]}")


def _sort(
    i: Tensor, j: Tensor, shift: Tensor, vector: Tensor, *, num_atoms: int, loop: bool, half: bool
) -> tuple[Tensor, ...]:
    """Spread unordered pairs to both directions, add the self pairs and sort by receiver."""
    atoms = torch.arange(num_atoms if loop else 0, device=i.device)
    none = shift.new_zeros((atoms.shape[0], 3))
    receiver, sender, shifts, vectors = [atoms, i], [atoms, j], [none, shift], [none.to(vector.dtype), vector]
    if not half:
        receiver, sender, shifts, vectors = [*receiver, j], [*sender, i], [*shifts, -shift], [*vectors, -vector]
    ordered, order = torch.sort(torch.cat(receiver), stable=True)
    return ordered, *(torch.cat(rows).index_select(0, order) for rows in (sender, shifts, vectors))


def finish_list(
    vector: Tensor, receiver: Tensor, sender: Tensor, shift: Tensor, num_atoms: int, cutoff: float, capacity: int
) -> tuple[Tensor, ...]:
    """Make the index arrays int32, and append the padding.

    Raises:
        RuntimeError: more pairs than an int32 counts, or than ``capacity``.
    """
    total = receiver.shape[0]
    if total > MOST_PAIRS:
        raise RuntimeError(f"torchmdnet: {FAULTS[32]}")
    if 0 <= capacity < total:
        raise RuntimeError(
            f"torchmdnet: {total} neighbour pairs were found, more than the capacity of {capacity}: "
            "give a larger capacity, or a NeighborList more edges_per_atom"
        )
    num_edges = torch.bincount(receiver, minlength=num_atoms)
    row_ptr = torch.cat([num_edges.new_zeros(1), num_edges.cumsum(0)])
    status = row_ptr.new_tensor([total, 0])
    distance = torch.linalg.vector_norm(vector, dim=1)
    if capacity > total:
        more = capacity - total
        last = receiver.new_full((more,), max(num_atoms - 1, 0))
        receiver, sender = torch.cat([receiver, last]), torch.cat([sender, last])
        vector = torch.cat([vector, vector.new_tensor([[cutoff, 0.0, 0.0]]).expand(more, 3)])
        distance = torch.cat([distance, distance.new_full((more,), cutoff)])
        shift = torch.cat([shift, shift.new_zeros((more, 3))])
    receiver, sender, shift, row_ptr, status = (
        rows.to(torch.int32) for rows in (receiver, sender, shift, row_ptr, status)
    )
    return vector, distance, receiver, sender, shift, row_ptr, status


def empty_list(pos: Tensor, num_rows: Any, *, with_shift: bool) -> tuple[Tensor, ...]:
    """Arrays as those of a list, up to ``row_ptr``, without values: what an op returns, without computing it."""
    index = torch.int32
    return (
        pos.new_empty((num_rows, 3)),
        pos.new_empty((num_rows,)),
        pos.new_empty((num_rows,), dtype=index),
        pos.new_empty((num_rows,), dtype=index),
        pos.new_empty((num_rows if with_shift else 0, 3), dtype=index),
        pos.new_empty((pos.shape[0] + 1,), dtype=index),
    )


def _fake(
    pos: Tensor, batch: Tensor, box: Tensor, periodic: Tensor, num_systems: int, *options: Any
) -> tuple[Tensor, ...]:
    capacity = options[-1]
    num_rows = capacity if capacity >= 0 else torch.library.get_ctx().new_dynamic_size()
    return *empty_list(pos, num_rows, with_shift=box.shape[0] > 0), pos.new_empty((2,), dtype=torch.int32)


def keep_list(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what :func:`list_backward` needs. The first inputs are pos, batch and box."""
    _, batch, box = inputs[:3]
    vector, distance, _, sender, shift, row_ptr = output[:6]
    ctx.num_systems, ctx.num_inputs = box.shape[0], len(inputs)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(vector, distance, batch, sender, shift, row_ptr)


def list_backward(ctx: Any, grad_vector: Tensor | None, grad_distance: Tensor | None, *_: Any) -> tuple[Any, ...]:
    """Gradients of positions and boxes from those of vectors and distances."""
    vector, distance, *pairs = ctx.saved_tensors
    rest: tuple[None, ...] = (None,) * (ctx.num_inputs - 3)
    if grad_distance is not None:
        grad_vector = torch.zeros_like(vector) if grad_vector is None else grad_vector
        has_kernel = native.has_kernel("along_vectors", vector, grad_vector, grad_distance)
        add_along = along_vectors if has_kernel else along_vectors_reference
        grad_vector = add_along(grad_vector, grad_distance, vector, distance)
    if grad_vector is None:
        return None, None, None, *rest
    with_box = ctx.needs_input_grad[2]
    pos, box = pair_vectors_transpose(grad_vector.contiguous(), *pairs, ctx.num_systems, with_box)
    return pos, None, box if with_box else None, *rest


native.define(
    "neighbor_pairs",
    "(Tensor pos, Tensor batch, Tensor box, Tensor periodic, SymInt num_systems, float cutoff_lower, "
    "float cutoff_upper, bool loop, bool half, SymInt capacity) -> (Tensor vector, Tensor distance, Tensor receiver, "
    "Tensor sender, Tensor shift, Tensor row_ptr, Tensor status)",
    reference=neighbor_pairs_reference,
    fake=_fake,
    backward=list_backward,
    setup_context=keep_list,
)
