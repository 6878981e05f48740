r"""3x3 tensors as nine components in the orthonormal basis of :mod:`torchmdnet.ops.tensor_algebra`.

Component 0 is the trace part, 1 to 3 the antisymmetric part, 4 to 8 the symmetric tracefree part. The basis is
orthonormal, so the Frobenius norm is the Euclidean norm of the components and a linear map of one part never sees the
others. Components come first, so that each part of (9, N, C) is one contiguous block.
"""

import torch
from torch import Tensor

from torchmdnet.ops.tensor_algebra import PART_SIZES

__all__ = ["part_squared_norms", "squared_norm"]


def squared_norm(x: Tensor) -> Tensor:
    """Squared Frobenius norm. (9, N, C) -> (N, C)"""
    return (x * x).sum(0)


def part_squared_norms(x: Tensor) -> Tensor:
    """Squared Frobenius norms of the three parts, side by side. (9, N, C) -> (N, 3 C)"""
    return torch.cat([part.sum(0) for part in (x * x).split(PART_SIZES)], dim=-1)
