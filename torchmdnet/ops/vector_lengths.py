r"""Lengths of vectors, whose gradient is zero, not undefined, where a vector is zero; in one pass."""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import keep_all, of_reference

__all__ = ["safe_norm", "vector_lengths", "vector_lengths_backward_reference", "vector_lengths_reference"]


def safe_norm(vectors: Tensor, *, dim: int) -> Tensor:
    """Euclidean norm whose gradient is zero, not undefined, where the vector is zero. (..., 3, ...) -> (..., ...)"""
    squared = (vectors * vectors).sum(dim)
    is_zero = squared == 0
    return torch.sqrt(squared.masked_fill(is_zero, 1)).masked_fill(is_zero, 0)


def vector_lengths(vectors: Tensor) -> Tensor:
    """Euclidean norm over the three axes, differentiable to any order. (N, 3, C) -> (N, C)

    Raises:
        ValueError: vectors that are not (N, 3, C).
    """
    if vectors.ndim != 3 or vectors.shape[1] != 3:
        raise ValueError(f"want vectors (N, 3, C), not {tuple(vectors.shape)}")
    if not native.has_kernel("vector_lengths", vectors):  # under autocast, vectors may be of lower precision
        return vector_lengths_reference(vectors)
    result: Tensor = native.call("vector_lengths", vectors.contiguous())
    return result


def vector_lengths_reference(vectors: Tensor) -> Tensor:
    """Do the same with PyTorch's operations. (N, 3, C) -> (N, C)"""
    return safe_norm(vectors, dim=1)


def vector_lengths_backward_reference(grad: Tensor, vectors: Tensor) -> Tensor:
    """Gradient by the vectors. grad: (N, C), vectors: (N, 3, C) -> (N, 3, C)"""
    squared = (vectors * vectors).sum(1)
    is_zero = squared == 0
    factor = (grad * squared.masked_fill(is_zero, 1).rsqrt()).masked_fill(is_zero, 0)
    return factor.unsqueeze(1) * vectors


def _backward(ctx: Any, grad: Tensor | None) -> Tensor | None:
    (vectors,) = ctx.saved_tensors
    if grad is None:
        return None
    result: Tensor = native.call("vector_lengths_backward", grad.contiguous(), vectors)
    return result


native.define(
    "vector_lengths",
    "(Tensor vectors) -> Tensor",
    reference=vector_lengths_reference,
    fake=lambda vectors: vectors.new_empty((vectors.shape[0], vectors.shape[2])),
    backward=_backward,
    setup_context=keep_all,
)
native.define(
    "vector_lengths_backward",
    "(Tensor grad, Tensor vectors) -> Tensor",
    reference=vector_lengths_backward_reference,
    fake=native.like(position=1),
    backward=of_reference(vector_lengths_backward_reference),
    setup_context=keep_all,
)
