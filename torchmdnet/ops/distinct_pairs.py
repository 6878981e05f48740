"""Which directed edges are one pair: an edge and its reverse, and all edges from an atom to itself.

What depends on the distance alone is computed once for each pair.

Letters in shapes: N atoms, E rows of the list, P pairs.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native

__all__ = ["distinct_pairs", "distinct_pairs_reference"]


def distinct_pairs(*arguments: Any) -> tuple[Tensor, Tensor]:
    """Run the op; see :func:`distinct_pairs_reference`."""
    numbered: tuple[Tensor, Tensor] = native.call("distinct_pairs", *arguments)
    return numbered


def distinct_pairs_reference(
    sender: Tensor, shift: Tensor, row_ptr: Tensor, loop: bool, padded: bool
) -> tuple[Tensor, Tensor]:
    """Number the pairs of a list that has both directions of each.

    P = (E - N loop) / 2, and one for the self pairs, the first, with ``loop``, and one for the padding, the last, with
    ``padded``.

    Shapes: sender: (E,), shift: (E, 3) or (0, 3), row_ptr: (N + 1,) -> an edge of each pair (P,) int32, the pair of
    each edge (E,) int32.

    Raises:
        RuntimeError: an edge without its reverse.
    """
    num_rows, num_atoms = sender.shape[0], row_ptr.shape[0] - 1
    self_rows = int(loop and num_atoms > 0)
    num_pairs = max(num_rows - loop * num_atoms, 0) // 2 + self_rows + padded
    num_edges = int(row_ptr[-1])
    receiver = torch.repeat_interleave(row_ptr.diff())
    sender, shift = sender[:num_edges], shift[:num_edges]
    if shift.shape[0] == 0:
        shift = shift.new_zeros((num_edges, 3))
    key = torch.stack([receiver, sender, *shift.unbind(1)], 1)
    reverse_key = torch.stack([sender, receiver, *(-shift).unbind(1)], 1)
    names, row = torch.unique(torch.cat([key, reverse_key]), dim=0, return_inverse=True)
    row, reverse_row = row[:num_edges], row[num_edges:]
    edges = torch.arange(num_edges, device=sender.device)
    place = edges.new_full((names.shape[0],), -1).index_copy(0, row, edges)
    reverse = place.index_select(0, reverse_row)
    forward = (edges < reverse).nonzero().squeeze(1)
    if bool((reverse < 0).any()) or 2 * forward.shape[0] + loop * num_atoms != num_edges:
        raise RuntimeError("torchmdnet: not a full list: an edge has no reverse, or loop is wrong")
    numbers = torch.arange(forward.shape[0], device=sender.device) + self_rows
    pair = edges.new_zeros(num_edges).index_copy(0, forward, numbers)
    pair = pair.index_copy(0, reverse.index_select(0, forward), numbers)
    first = edges.new_full((num_pairs,), max(num_rows - 1, 0))
    first[:self_rows] = 0
    first[self_rows : self_rows + forward.shape[0]] = forward
    pair = torch.cat([pair, pair.new_full((num_rows - num_edges,), max(num_pairs - 1, 0))])
    return first.to(torch.int32), pair.to(torch.int32)


def _fake(sender: Tensor, shift: Tensor, row_ptr: Tensor, loop: bool, padded: bool) -> tuple[Tensor, Tensor]:
    num_rows, num_atoms = sender.shape[0], row_ptr.shape[0] - 1
    num_edges = num_rows - num_atoms if loop else num_rows
    num_pairs = num_edges // 2 + int(loop and num_atoms > 0) + int(padded)
    return sender.new_empty((num_pairs,)), sender.new_empty((num_rows,))


native.define(
    "distinct_pairs",
    "(Tensor sender, Tensor shift, Tensor row_ptr, bool loop, bool padded) -> (Tensor first, Tensor pair)",
    reference=distinct_pairs_reference,
    fake=_fake,
)
