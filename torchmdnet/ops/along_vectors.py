r"""Gradients by distances as gradients by vectors, added to those that vectors have: :math:`g + g_d \, v / d`."""

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import keep_all, of_reference

__all__ = ["along_vectors", "along_vectors_reference"]


def along_vectors(by_vector: Tensor, by_distance: Tensor, vector: Tensor, distance: Tensor) -> Tensor:
    r"""Add :math:`g_d \, v / d`, which is zero where d is: such a pair has no direction. Differentiable to any order.

    Shapes: by_vector, vector: (E, 3), by_distance, distance: (E,) -> (E, 3).
    """
    grads = (by_vector.contiguous(), by_distance.contiguous())
    result: Tensor = native.call("along_vectors", *grads, vector.contiguous(), distance.contiguous())
    return result


def along_vectors_reference(by_vector: Tensor, by_distance: Tensor, vector: Tensor, distance: Tensor) -> Tensor:
    """Do the same with PyTorch's operations."""
    is_zero = distance == 0
    # Neither slope nor curvature may become NaN.
    slope = torch.where(is_zero, 0.0, by_distance / torch.where(is_zero, 1.0, distance))
    return by_vector + slope.unsqueeze(1) * vector


native.define(
    "along_vectors",
    "(Tensor by_vector, Tensor by_distance, Tensor vector, Tensor distance) -> Tensor",
    reference=along_vectors_reference,
    fake=native.like(),
    backward=of_reference(along_vectors_reference),
    setup_context=keep_all,
)
