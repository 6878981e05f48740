r"""Sum over neighbours when every system is small: one dense block of weights a system.

In a molecule no larger than a few cutoffs most pairs of atoms are neighbours. Weights spread over all pairs of a block,
zero where there is no edge, make the sum a batched matrix product, whose derivatives are batched matrix products too.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops.pair_message import PART_SIZES

__all__ = ["Blocks", "block_message", "make_blocks"]

MAX_FILL = 4
"""Slots in the blocks for each edge, above which blocks cost more than they save."""


class Blocks(NamedTuple):
    """B blocks of n x n slots, n the size of the largest system; slot (b n + i) n + j is edge j -> i of system b."""

    size: int
    """n"""
    pair: Tensor
    """Row of each slot among the distinct distances, P where there is no edge. (B n n,)"""
    forward: Tensor
    """A slot of each distinct distance. (P,)"""
    backward: Tensor
    """The slot of its reverse edge. (P,)"""
    own_row: Tensor
    """Row of the self pairs, where there are any. (0 or 1,)"""
    own: Tensor
    """Slots of the self pairs. (N,) or (0,)"""
    atom: Tensor | None
    """Atom of each row of the blocks, N for none; None when every row is its own atom. (B n,)"""
    row: Tensor | None
    """Row of each atom in the blocks. (N,)"""


def make_blocks(graph: Graph, batch: Tensor, *, num_systems: int) -> Blocks | None:
    """Blocks of a graph without periodic images, or None where they would be mostly empty."""
    num_edges, num_pairs = graph.receiver.shape[0], graph.pair_distance.shape[0]
    if num_edges == 0:
        return None
    counts = torch.bincount(batch, minlength=num_systems)
    size = int(counts.max())
    if num_systems * size * size > MAX_FILL * num_edges:
        return None
    row, atom = _rows(batch, counts, size=size)
    slot = row.index_select(0, graph.receiver) * size + row.index_select(0, graph.sender) % size
    pair = slot.new_full((num_systems * size * size,), num_pairs)
    pair[slot] = graph.pair
    is_forward = graph.receiver > graph.sender
    is_backward = graph.receiver < graph.sender
    is_own = graph.receiver == graph.sender
    forward, backward = slot.new_zeros(num_pairs), slot.new_zeros(num_pairs)
    forward[graph.pair[is_forward]] = slot[is_forward]
    backward[graph.pair[is_backward]] = slot[is_backward]
    is_full = bool(torch.equal(row, torch.arange(row.shape[0], device=row.device))) and row.shape[0] == atom.shape[0]
    return Blocks(
        size=size,
        pair=pair,
        forward=forward,
        backward=backward,
        own_row=graph.pair[is_own][:1],
        own=slot[is_own],
        atom=None if is_full else atom,
        row=None if is_full else row,
    )


def _rows(batch: Tensor, counts: Tensor, *, size: int) -> tuple[Tensor, Tensor]:
    """Row of each atom in the blocks (N,), and atom of each row, N where there is none (B n,)."""
    order = torch.argsort(batch, stable=True)
    start = counts.cumsum(0) - counts
    number = torch.arange(batch.shape[0], device=batch.device)
    sorted_batch = batch.index_select(0, order)
    row = torch.empty_like(batch)
    row[order] = sorted_batch * size + number - start.index_select(0, sorted_batch)
    atom = batch.new_full((counts.shape[0] * size,), batch.shape[0])
    atom[row] = number
    return row, atom


def block_message(weight: Tensor, x: Tensor, blocks: Blocks) -> Tensor:
    """The sum of :func:`torchmdnet.ops.pair_message.pair_message`. weight: (P, 3, C), x: (9, N, C) -> (9, N, C)"""
    channels, num_atoms, size = x.shape[2], x.shape[1], blocks.size
    tables = (blocks.pair, blocks.forward, blocks.backward, blocks.own_row, blocks.own)
    dense = _Spread.apply(weight.flatten(1), *tables).view(len(PART_SIZES), -1, size, size)
    rows = x.permute(2, 1, 0)
    if blocks.atom is not None:
        rows = _Move.apply(rows, blocks.atom, blocks.row)
    parts = rows.reshape(-1, size, x.shape[0]).split(PART_SIZES, dim=2)
    sums = torch.cat([torch.bmm(w, part) for w, part in zip(dense.unbind(0), parts, strict=True)], dim=2)
    rows = sums.view(channels, -1, x.shape[0])
    if blocks.atom is not None:
        rows = _Move.apply(rows, blocks.row, blocks.atom)
    return rows.view(channels, num_atoms, x.shape[0]).permute(2, 1, 0)


class _Spread(torch.autograd.Function):
    """Weights of pairs to slots: (P, F) -> (F, B n n)."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, pair: Tensor, forward: Tensor, backward: Tensor, own_row: Tensor, own: Tensor
    ) -> Tensor:
        ctx.save_for_backward(pair, forward, backward, own_row, own)
        padded = weight.new_zeros((weight.shape[1], weight.shape[0] + 1))
        padded[:, :-1] = weight.t()
        return padded.index_select(1, pair)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        return _Collect.apply(grad, *ctx.saved_tensors), None, None, None, None, None


class _Collect(torch.autograd.Function):
    """The transpose of :class:`_Spread`: (F, B n n) -> (P, F)."""

    @staticmethod
    def forward(
        ctx: Any, dense: Tensor, pair: Tensor, forward: Tensor, backward: Tensor, own_row: Tensor, own: Tensor
    ) -> Tensor:
        ctx.save_for_backward(pair, forward, backward, own_row, own)
        result = dense.index_select(1, forward).add_(dense.index_select(1, backward))
        if own_row.shape[0]:
            result.index_copy_(1, own_row, dense.index_select(1, own).sum(1, keepdim=True))
        return result.t().contiguous()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        return _Spread.apply(grad, *ctx.saved_tensors), None, None, None, None, None


class _Move(torch.autograd.Function):
    """Rows to other places, zero where ``source`` is out of range; ``target`` is the way back. (F, M, K) -> (F, M', K)"""

    @staticmethod
    def forward(ctx: Any, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(source, target)
        return torch.cat([x, x.new_zeros((x.shape[0], 1, x.shape[2]))], dim=1).index_select(1, source)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        source, target = ctx.saved_tensors
        return _Move.apply(grad, target, source), None, None
