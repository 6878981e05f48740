"""The pairs of a longer list that are within a shorter cutoff at new positions.

What a Verlet list does between two searches. The order of the longer list is kept.

Letters in shapes: N atoms, B systems, L rows of the longer list, E rows of the result.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.neighbor_pairs import FAULTS, NeighborPairs, empty_list, finish_list, keep_list, list_backward
from torchmdnet.ops.pair_vectors import pair_vectors_reference

__all__ = ["refresh_pairs", "refresh_pairs_reference"]


def refresh_pairs(*arguments: Any) -> NeighborPairs:
    """Run the op; see :func:`refresh_pairs_reference`."""
    return NeighborPairs(*native.call("refresh_pairs", *arguments))


def refresh_pairs_reference(
    pos: Tensor,
    batch: Tensor,
    box: Tensor,
    sender: Tensor,
    shift: Tensor,
    row_ptr: Tensor,
    known_pos: Tensor,
    known_box: Tensor,
    reach: float,
    cutoff_lower: float,
    cutoff_upper: float,
    capacity: int,
) -> tuple[Tensor, ...]:
    """Measure the pairs again and keep those with lower <= distance < upper, and each atom with itself.

    Shapes: pos: (N, 3), batch: (N,), box: (B, 3, 3), sender: (L,), shift: (L, 3) or (0, 3), row_ptr: (N + 1,),
    known_pos: (N, 3) or (0, 3), known_box: (B, 3, 3) or (0, 3, 3) -> the fields of
    :class:`torchmdnet.ops.neighbor_pairs.NeighborPairs`.

    Args:
        known_pos: Positions when the longer list was made, or none: then nobody asks how far the atoms have moved.
        known_box: Cells at that time, or none.
        reach: Each atom has to be nearer than this to its known position.
        capacity: Number of rows, or negative for as many as there are pairs: as in a search.

    Raises:
        RuntimeError: positions that are not finite, more pairs than ``capacity``, an atom that has moved too far or a
            cell that has changed. On a GPU with a capacity, ``status`` tells these, and all distances are NaN.
    """
    _check(pos, box, known_pos, known_box, reach)
    num_atoms = row_ptr.shape[0] - 1
    receiver = torch.repeat_interleave(row_ptr.diff()).to(torch.int32)
    sender, shift = sender[: receiver.shape[0]], shift[: receiver.shape[0]]
    vector = pair_vectors_reference(pos, box, batch, receiver, sender, shift, row_ptr)
    squared = (vector * vector).sum(1)
    upper, lower = pos.new_tensor(cutoff_upper), pos.new_tensor(cutoff_lower)
    own = (receiver == sender) if shift.shape[0] == 0 else (receiver == sender) & (shift == 0).all(1)
    keep = (((squared < upper * upper) & (squared >= lower * lower)) | own).nonzero().squeeze(1)
    vector, receiver, sender = (rows.index_select(0, keep) for rows in (vector, receiver, sender))
    shifts = shift.index_select(0, keep) if shift.shape[0] else shift.new_zeros((receiver.shape[0], 3))
    rows = finish_list(vector, receiver, sender, shifts, num_atoms, cutoff_upper, capacity)
    return rows if box.shape[0] else (*rows[:4], rows[4][:0], *rows[5:])


def _check(pos: Tensor, box: Tensor, known_pos: Tensor, known_box: Tensor, reach: float) -> None:
    """Refuse atoms and cells that the longer list is not for."""
    if not bool(torch.isfinite(pos).all()):
        raise RuntimeError(f"torchmdnet: {FAULTS[1]}")
    is_near = not known_pos.shape[0] or bool(((pos - known_pos).square().sum(1) < pos.new_tensor(reach) ** 2).all())
    if not is_near or (known_box.shape[0] and not torch.equal(box, known_box)):
        raise RuntimeError(f"torchmdnet: {FAULTS[128]}")


def _fake(pos: Tensor, batch: Tensor, box: Tensor, sender: Tensor, shift: Tensor, *options: Any) -> tuple[Tensor, ...]:
    capacity = options[-1]
    num_rows = capacity if capacity >= 0 else torch.library.get_ctx().new_dynamic_size()
    return *empty_list(pos, num_rows, with_shift=box.shape[0] > 0), pos.new_empty((2,), dtype=torch.int32)


native.define(
    "refresh_pairs",
    "(Tensor pos, Tensor batch, Tensor box, Tensor sender, Tensor shift, Tensor row_ptr, Tensor known_pos, "
    "Tensor known_box, float reach, float cutoff_lower, float cutoff_upper, SymInt capacity) -> (Tensor vector, "
    "Tensor distance, Tensor receiver, Tensor sender, Tensor shift, Tensor row_ptr, Tensor status)",
    reference=refresh_pairs_reference,
    fake=_fake,
    backward=list_backward,
    setup_context=keep_list,
)
