r"""Where distances lie in a table: :math:`s = (e^{-a d} - e) f`, in one pass."""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import keep_all, of_reference

__all__ = ["table_coordinate", "table_coordinate_backward_reference", "table_coordinate_reference"]


def table_coordinate(distance: Tensor, *, rate: float, end: float, factor: float) -> Tensor:
    """Coordinate s of each distance, differentiable to any order. distance: (P,) -> (P,)

    Raises:
        ValueError: distances that are not (P,).
    """
    if distance.ndim != 1:
        raise ValueError(f"want distances (P,), not {tuple(distance.shape)}")
    result: Tensor = native.call("table_coordinate", distance.contiguous(), rate, end, factor)
    return result


def table_coordinate_reference(distance: Tensor, rate: float, end: float, factor: float) -> Tensor:
    """Do the same with PyTorch's operations. (P,) -> (P,)"""
    return (torch.exp(-rate * distance) - end) * factor


def table_coordinate_backward_reference(
    grad: Tensor, distance: Tensor, rate: float, end: float, factor: float
) -> Tensor:
    """Gradient by the distances, whatever the end. grad, distance: (P,) -> (P,)"""
    return grad * (-rate * factor) * torch.exp(-rate * distance)


def _backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    (distance,) = ctx.saved_tensors
    if grad is None:
        return (None,) * 4
    result: Tensor = native.call("table_coordinate_backward", grad.contiguous(), distance, *ctx.others)
    return result, None, None, None


native.define(
    "table_coordinate",
    "(Tensor distance, float rate, float end, float factor) -> Tensor",
    reference=table_coordinate_reference,
    fake=native.like(),
    backward=_backward,
    setup_context=keep_all,
)
native.define(
    "table_coordinate_backward",
    "(Tensor grad, Tensor distance, float rate, float end, float factor) -> Tensor",
    reference=table_coordinate_backward_reference,
    fake=native.like(),
    backward=of_reference(table_coordinate_backward_reference),
    setup_context=keep_all,
)
