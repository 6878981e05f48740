r"""Sum of neighbours' tensors with a weight for each pair: :math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot X_j^c`.

Both directions of an edge have one weight, so that the sum is its own adjoint, and its derivatives are the sum itself
and the overlap :math:`O_{ij}^p = \sum_{c \in p} G_i^c \odot X_j^c`: two kernels, each twice differentiable because they
are each other's derivative.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops.scatter import scatter_sum

__all__ = ["PART_SIZES", "pair_message", "pair_message_reference"]

PART_SIZES = (1, 3, 5)
"""Components of the trace, antisymmetric and symmetric tracefree parts of a 3x3 tensor."""

_CHUNK_NUMBERS = 1 << 18
"""Numbers handled at once: a megabyte stays in the cache of one core."""


def pair_message_reference(weight: Tensor, x: Tensor, graph: Graph) -> Tensor:
    """:func:`pair_message` in one line an idea, with an edge's row for every component."""
    part = torch.repeat_interleave(torch.tensor(PART_SIZES, device=x.device))
    messages = weight[:, part][graph.pair] * x.transpose(0, 1)[graph.sender]
    return scatter_sum(messages, graph.receiver, x.shape[1]).transpose(0, 1)


def pair_message(weight: Tensor, x: Tensor, graph: Graph) -> Tensor:
    """Sum over any graph. weight: (P, 3, C), x: (9, N, C) -> (9, N, C)"""
    result: Tensor = _Sum.apply(weight, x, graph.pair, graph.receiver, graph.sender)
    return result


def _chunks(num_edges: int, row: int) -> Iterator[slice]:
    step = max(1, _CHUNK_NUMBERS // row)
    return (slice(start, start + step) for start in range(0, num_edges, step))


def _sum(weight: Tensor, x: Tensor, pair: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
    rows = x.transpose(0, 1).contiguous()
    result = torch.zeros_like(rows)
    for chunk in _chunks(pair.shape[0], rows[:1].numel()):
        messages = rows.index_select(0, sender[chunk])
        factors = weight.index_select(0, pair[chunk]).unbind(1)
        for message, factor in zip(messages.split(PART_SIZES, dim=1), factors, strict=True):
            message.mul_(factor.unsqueeze(1))
        result.index_add_(0, receiver[chunk], messages)
    return result.transpose(0, 1).contiguous()


def _overlap(
    grad: Tensor, x: Tensor, pair: Tensor, receiver: Tensor, sender: Tensor, num_pairs: int
) -> Tensor:
    left, right = grad.transpose(0, 1).contiguous(), x.transpose(0, 1).contiguous()
    result = x.new_zeros((num_pairs, len(PART_SIZES), x.shape[2]))
    for chunk in _chunks(pair.shape[0], right[:1].numel()):
        product = left.index_select(0, receiver[chunk]).mul_(right.index_select(0, sender[chunk]))
        overlap = torch.stack([part.sum(1) for part in product.split(PART_SIZES, dim=1)], dim=1)
        result.index_add_(0, pair[chunk], overlap)
    return result


class _Sum(torch.autograd.Function):
    """(w, X) -> M."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, pair: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        ctx.save_for_backward(weight, x, pair, receiver, sender)
        return _sum(weight, x, pair, receiver, sender)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        weight, x, *edges = ctx.saved_tensors
        return _Overlap.apply(grad, x, *edges, weight.shape[0]), _Sum.apply(weight, grad, *edges), None, None, None


class _Overlap(torch.autograd.Function):
    """(G, X) -> O."""

    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, x: Tensor, pair: Tensor, receiver: Tensor, sender: Tensor, num_pairs: int
    ) -> Tensor:
        ctx.save_for_backward(grad, x, pair, receiver, sender)
        return _overlap(grad, x, pair, receiver, sender, num_pairs)

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        grad, x, *edges = ctx.saved_tensors
        return _Sum.apply(weight, x, *edges), _Sum.apply(weight, grad, *edges), None, None, None, None
