r"""Directions from receivers to senders, :math:`-v / |v|` of the vectors of edges, in one pass."""

from typing import Any

from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.edge_tensors import direction_and_inverse
from torchmdnet.ops.part_maps import keep_all, of_reference

__all__ = ["sender_directions", "sender_directions_backward_reference", "sender_directions_reference"]


def sender_directions(vector: Tensor) -> Tensor:
    """Unit vectors against the vectors of edges, zero and without gradient where those are zero.

    Differentiable to any order. Shapes: vector: (E, 3) -> (E, 3).

    Raises:
        ValueError: vectors that are not (E, 3).
    """
    if vector.ndim != 2 or vector.shape[1] != 3:
        raise ValueError(f"want vectors (E, 3), not {tuple(vector.shape)}")
    result: Tensor = native.call("sender_directions", vector.contiguous())
    return result


def sender_directions_reference(vector: Tensor) -> Tensor:
    """Do the same with PyTorch's operations. (E, 3) -> (E, 3)"""
    return -direction_and_inverse(vector)[0]


def sender_directions_backward_reference(grad: Tensor, vector: Tensor) -> Tensor:
    """Gradient by the vectors. grad, vector: (E, 3) -> (E, 3)"""
    u, inverse = direction_and_inverse(vector)
    return ((grad * u).sum(-1, keepdim=True) * u - grad) * inverse


def _backward(ctx: Any, grad: Tensor | None) -> Tensor | None:
    (vector,) = ctx.saved_tensors
    if grad is None:
        return None
    result: Tensor = native.call("sender_directions_backward", grad.contiguous(), vector)
    return result


native.define(
    "sender_directions",
    "(Tensor vector) -> Tensor",
    reference=sender_directions_reference,
    fake=native.like(),
    backward=_backward,
    setup_context=keep_all,
)
native.define(
    "sender_directions_backward",
    "(Tensor grad, Tensor vector) -> Tensor",
    reference=sender_directions_backward_reference,
    fake=native.like(position=1),
    backward=of_reference(sender_directions_backward_reference),
    setup_context=keep_all,
)
