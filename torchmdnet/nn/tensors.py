r"""3x3 tensors as nine components in the orthonormal basis of :mod:`torchmdnet.ops.tensor_algebra`.

Component 0 is the trace part, 1 to 3 the antisymmetric part, 4 to 8 the symmetric tracefree part. The basis is
orthonormal, so the Frobenius norm is the Euclidean norm of the components and a linear map of one part never sees the
others. Components come first, so that each part of (9, N, C) is one contiguous block.
"""

import math

import torch
from torch import Tensor

from torchmdnet.ops.tensor_algebra import PART_SIZES

__all__ = ["direction_components", "part_squared_norms", "squared_norm"]


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


def squared_norm(x: Tensor) -> Tensor:
    """Squared Frobenius norm. (9, N, C) -> (N, C)"""
    return (x * x).sum(0)


def part_squared_norms(x: Tensor) -> Tensor:
    """Squared Frobenius norms of the three parts, side by side. (9, N, C) -> (N, 3 C)"""
    return torch.cat([part.sum(0) for part in (x * x).split(PART_SIZES)], dim=-1)
