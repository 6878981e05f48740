r"""Squared norms of the three parts of tensors, :math:`\sum_{c \in p} (X^c)^2`, in one pass."""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import keep_all, of_reference
from torchmdnet.ops.tensor_algebra import PART_SIZES

__all__ = ["part_norms", "part_norms_backward_reference", "part_norms_reference"]


def part_norms(x: Tensor) -> Tensor:
    """Squared Frobenius norms of the three parts, differentiable to any order. (9, N, C) -> (N, 3, C)"""
    result: Tensor = native.call("part_norms", x.contiguous())
    return result


def part_norms_reference(x: Tensor) -> Tensor:
    """Do the same with PyTorch's operations. (9, N, C) -> (N, 3, C)"""
    return torch.stack([part.sum(0) for part in (x * x).split(PART_SIZES)], dim=1)


def part_norms_backward_reference(grad: Tensor, x: Tensor) -> Tensor:
    """Gradient by x. grad: (N, 3, C), x: (9, N, C) -> (9, N, C)"""
    parts = zip(grad.unbind(1), x.split(PART_SIZES), strict=True)
    return torch.cat([2 * by_norm * part for by_norm, part in parts])


def _backward(ctx: Any, grad: Tensor | None) -> Tensor | None:
    (x,) = ctx.saved_tensors
    if grad is None:
        return None
    result: Tensor = native.call("part_norms_backward", grad.contiguous(), x)
    return result


def _fake(x: Tensor) -> Tensor:
    return x.new_empty((x.shape[1], len(PART_SIZES), x.shape[2]))


native.define(
    "part_norms",
    "(Tensor x) -> Tensor",
    reference=part_norms_reference,
    fake=_fake,
    backward=_backward,
    setup_context=keep_all,
)
native.define(
    "part_norms_backward",
    "(Tensor grad, Tensor x) -> Tensor",
    reference=part_norms_backward_reference,
    fake=native.like(position=1),
    backward=of_reference(part_norms_backward_reference),
    setup_context=keep_all,
)
