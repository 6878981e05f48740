r"""Tensors of the directions of edges: :math:`1 + K(u) + (u \otimes u - \tfrac13 |u|^2)` with :math:`u = v / |v|`.

One pass each in the native op and its gradient; second derivatives are those of the reference.
"""

import math
from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import keep_all, of_reference

__all__ = [
    "direction_and_inverse",
    "direction_components",
    "edge_tensors",
    "edge_tensors_backward_reference",
    "edge_tensors_reference",
]


def edge_tensors(vector: Tensor) -> Tensor:
    """Components of the tensors of edges; a vector of length zero has the trace part alone, and no gradient.

    Differentiable to any order. Shapes: vector: (E, 3) -> (E, 9).

    Raises:
        ValueError: vectors that are not (E, 3).
    """
    if vector.ndim != 2 or vector.shape[1] != 3:
        raise ValueError(f"want vectors (E, 3), not {tuple(vector.shape)}")
    result: Tensor = native.call("edge_tensors", vector.contiguous())
    return result


def direction_components(direction: Tensor) -> Tensor:
    r"""Components of :math:`1 + K(u) + (u \otimes u - \tfrac13 |u|^2)`; a zero direction keeps the trace part alone.

    Shapes: direction: (E, 3) of length 1 or 0 -> (E, 9).
    """
    x, y, z = direction.unbind(-1)
    root2 = math.sqrt(2)
    symmetric = (root2 * x * y, root2 * y * z, root2 * x * z, (x * x - y * y) / root2)
    last = (2 * z * z - x * x - y * y) / math.sqrt(6)
    trace = torch.full_like(x, math.sqrt(3))
    return torch.stack([trace, root2 * x, root2 * y, root2 * z, *symmetric, last], dim=-1)


def edge_tensors_reference(vector: Tensor) -> Tensor:
    """Do the same with PyTorch's operations. (E, 3) -> (E, 9)"""
    return direction_components(direction_and_inverse(vector)[0])


def edge_tensors_backward_reference(grad: Tensor, vector: Tensor) -> Tensor:
    """Gradient by the vectors. grad: (E, 9), vector: (E, 3) -> (E, 3)"""
    u, inverse = direction_and_inverse(vector)
    x, y, z = u.unbind(-1)
    g = grad.unbind(-1)
    root2, root6 = math.sqrt(2), math.sqrt(6)
    by_u = torch.stack(
        [
            root2 * (g[1] + y * g[4] + z * g[6] + x * g[7]) - 2 / root6 * x * g[8],
            root2 * (g[2] + x * g[4] + z * g[5] - y * g[7]) - 2 / root6 * y * g[8],
            root2 * (g[3] + y * g[5] + x * g[6]) + 4 / root6 * z * g[8],
        ],
        dim=-1,
    )
    return (by_u - (by_u * u).sum(-1, keepdim=True) * u) * inverse


def direction_and_inverse(vector: Tensor) -> tuple[Tensor, Tensor]:
    """Directions and one over the lengths; both zero where a vector is. (E, 3) -> (E, 3), (E, 1)"""
    squared = (vector * vector).sum(-1, keepdim=True)
    is_zero = squared == 0
    inverse = torch.where(is_zero, 0.0, torch.where(is_zero, 1.0, squared).rsqrt())
    return vector * inverse, inverse


def _backward(ctx: Any, grad: Tensor | None) -> Tensor | None:
    (vector,) = ctx.saved_tensors
    if grad is None:
        return None
    result: Tensor = native.call("edge_tensors_backward", grad.contiguous(), vector)
    return result


native.define(
    "edge_tensors",
    "(Tensor vector) -> Tensor",
    reference=edge_tensors_reference,
    fake=lambda vector: vector.new_empty((vector.shape[0], 9)),
    backward=_backward,
    setup_context=keep_all,
)
native.define(
    "edge_tensors_backward",
    "(Tensor grad, Tensor vector) -> Tensor",
    reference=edge_tensors_backward_reference,
    fake=native.like(position=1),
    backward=of_reference(edge_tensors_backward_reference),
    setup_context=keep_all,
)
