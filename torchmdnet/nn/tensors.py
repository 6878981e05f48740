r"""3x3 tensors as nine components in an orthonormal basis of their irreducible parts.

Component 0 is the trace part, 1 to 3 the antisymmetric part, 4 to 8 the symmetric tracefree part. The basis is
orthonormal, so the Frobenius norm is the Euclidean norm of the components and a linear map of one part never sees the
others. Components come first, so that each part of (9, N, C) is one contiguous block.
"""

import math

import torch
from torch import Tensor

__all__ = [
    "NUM_COMPONENTS",
    "PART_SIZES",
    "direction_components",
    "from_matrix",
    "part_squared_norms",
    "squared_norm",
    "tensor_basis",
    "to_matrix",
]

PART_SIZES = (1, 3, 5)
"""Components of the trace, antisymmetric and symmetric tracefree parts."""

NUM_COMPONENTS = sum(PART_SIZES)


def tensor_basis() -> Tensor:
    r"""The basis as rows of flattened 3x3 matrices. () -> (9, 9) float64

    Trace :math:`1/\sqrt3`; antisymmetric :math:`K(e_k)/\sqrt2`, where K(w) v is the cross product w × v; symmetric
    xy, yz, xz, x² - y², 2z² - x² - y², each of norm 1.
    """
    basis = torch.zeros(NUM_COMPONENTS, 3, 3, dtype=torch.float64)
    basis[0] = torch.eye(3, dtype=torch.float64) / math.sqrt(3)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        basis[1 + k, j, i] = 1 / math.sqrt(2)
        basis[1 + k, i, j] = -1 / math.sqrt(2)
    for component, (i, j) in zip((4, 5, 6), ((0, 1), (1, 2), (0, 2)), strict=True):
        basis[component, i, j] = basis[component, j, i] = 1 / math.sqrt(2)
    basis[7] = torch.diag(torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)) / math.sqrt(2)
    basis[8] = torch.diag(torch.tensor([-1.0, -1.0, 2.0], dtype=torch.float64)) / math.sqrt(6)
    return basis.reshape(NUM_COMPONENTS, 9)


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


def to_matrix(x: Tensor, basis: Tensor) -> Tensor:
    """Components to matrices. x: (9, N, C), basis: (9, 9) -> (3, 3, N, C)"""
    return (basis.t() @ x.flatten(1)).reshape(3, 3, *x.shape[1:])


def from_matrix(matrix: Tensor, basis: Tensor) -> Tensor:
    """Matrices to components. matrix: (3, 3, N, C), basis: (9, 9) -> (9, N, C)"""
    return (basis @ matrix.reshape(NUM_COMPONENTS, -1)).reshape(NUM_COMPONENTS, *matrix.shape[2:])


def squared_norm(x: Tensor) -> Tensor:
    """Squared Frobenius norm. (9, N, C) -> (N, C)"""
    return (x * x).sum(0)


def part_squared_norms(x: Tensor) -> Tensor:
    """Squared Frobenius norms of the three parts, side by side. (9, N, C) -> (N, 3 C)"""
    return torch.cat([part.sum(0) for part in (x * x).split(PART_SIZES)], dim=-1)
