"""The pairs of a longer list that are within a shorter cutoff at new positions.

What a Verlet list does between two searches. The order of the longer list is kept.

Letters in shapes: N atoms, B systems, L rows of the longer list, E rows of the result.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.neighbor_pairs import empty_list, keep_list, list_backward
from torchmdnet.ops.pair_vectors import pair_vectors_reference

__all__ = ["refresh_pairs", "refresh_pairs_reference"]


def refresh_pairs(*arguments: Any) -> tuple[Tensor, ...]:
    """Run the op; see :func:`refresh_pairs_reference`."""
    rows: tuple[Tensor, ...] = torch.ops.torchmdnet.refresh_pairs(*arguments)
    return rows


def refresh_pairs_reference(
    pos: Tensor,
    batch: Tensor,
    box: Tensor,
    sender: Tensor,
    shift: Tensor,
    row_ptr: Tensor,
    cutoff_lower: float,
    cutoff_upper: float,
) -> tuple[Tensor, ...]:
    """Measure the pairs again and keep those with lower <= distance < upper, and each atom with itself.

    Shapes: pos: (N, 3), batch: (N,), box: (B, 3, 3), sender: (L,), shift: (L, 3) or (0, 3), row_ptr: (N + 1,) -> the
    fields of :class:`torchmdnet.ops.neighbor_pairs.NeighborPairs` up to ``row_ptr``.
    """
    num_atoms = row_ptr.shape[0] - 1
    receiver = torch.repeat_interleave(row_ptr.diff()).to(torch.int32)
    sender, shift = sender[: receiver.shape[0]], shift[: receiver.shape[0]]
    vector = pair_vectors_reference(pos, box, batch, receiver, sender, shift, row_ptr)
    squared = (vector * vector).sum(1)
    upper, lower = pos.new_tensor(cutoff_upper), pos.new_tensor(cutoff_lower)
    own = (receiver == sender) if shift.shape[0] == 0 else (receiver == sender) & (shift == 0).all(1)
    keep = (((squared < upper * upper) & (squared >= lower * lower)) | own).nonzero().squeeze(1)
    vector, receiver, sender = (rows.index_select(0, keep) for rows in (vector, receiver, sender))
    shift = shift.index_select(0, keep) if shift.shape[0] else torch.empty_like(shift)
    num_edges = torch.bincount(receiver, minlength=num_atoms)
    row_ptr = torch.cat([num_edges.new_zeros(1), num_edges.cumsum(0)]).to(torch.int32)
    return vector, torch.linalg.vector_norm(vector, dim=1), receiver, sender, shift, row_ptr


def _fake(pos: Tensor, batch: Tensor, box: Tensor, sender: Tensor, shift: Tensor, *_: Any) -> tuple[Tensor, ...]:
    return empty_list(pos, torch.library.get_ctx().new_dynamic_size(), with_shift=shift.shape[0] > 0)


native.define(
    "refresh_pairs",
    "(Tensor pos, Tensor batch, Tensor box, Tensor sender, Tensor shift, Tensor row_ptr, float cutoff_lower, "
    "float cutoff_upper) -> (Tensor vector, Tensor distance, Tensor receiver, Tensor sender, Tensor shift, "
    "Tensor row_ptr)",
    reference=refresh_pairs_reference,
    fake=_fake,
    backward=list_backward,
    setup_context=keep_list,
)
