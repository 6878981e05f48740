"""Distances of pairs from those of their edges: a gather whose derivative is a gather as well."""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import keep_all, of_reference

__all__ = ["pair_distances", "pair_distances_backward_reference", "pair_distances_reference"]


def pair_distances(distance: Tensor, first: Tensor, pair: Tensor) -> Tensor:
    """The distance of each pair, which is that of one of its edges. Differentiable to any order.

    ``first`` and ``pair`` are those of :func:`torchmdnet.ops.distinct_pairs.distinct_pairs`. A row that is no edge's
    pair has no gradient.

    Shapes: distance: (E,), first: (P,) int32, pair: (E,) int32 -> (P,).
    """
    result: Tensor = native.call("pair_distances", distance.contiguous(), first, pair)
    return result


def pair_distances_reference(distance: Tensor, first: Tensor, pair: Tensor) -> Tensor:
    """Do the same with PyTorch's operations."""
    return distance.index_select(0, first)


def pair_distances_backward_reference(grad: Tensor, first: Tensor, pair: Tensor) -> Tensor:
    """Gradient by the distances of edges. grad: (P,) -> (E,)"""
    is_first = first.index_select(0, pair) == torch.arange(pair.shape[0], device=pair.device)
    return grad.index_select(0, pair) * is_first.to(grad.dtype)


def _backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, None, None]:
    first, pair = ctx.saved_tensors
    if grad is None:
        return None, None, None
    result: Tensor = native.call("pair_distances_backward", grad.contiguous(), first, pair)
    return result, None, None


def _keep_indices(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    keep_all(ctx, inputs[1:], output)


native.define(
    "pair_distances",
    "(Tensor distance, Tensor first, Tensor pair) -> Tensor",
    reference=pair_distances_reference,
    fake=lambda distance, first, pair: distance.new_empty(first.shape),
    backward=_backward,
    setup_context=_keep_indices,
)
native.define(
    "pair_distances_backward",
    "(Tensor grad, Tensor first, Tensor pair) -> Tensor",
    reference=pair_distances_backward_reference,
    fake=lambda grad, first, pair: grad.new_empty(pair.shape),
    backward=of_reference(pair_distances_backward_reference),
    setup_context=keep_all,
)
