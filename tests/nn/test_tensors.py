"""3x3 tensors as components of their irreducible parts."""

import torch
from small_models import rotation
from torch import Tensor

from torchmdnet.nn.tensors import (
    direction_components,
    from_matrix,
    part_squared_norms,
    squared_norm,
    tensor_basis,
    to_matrix,
)

BASIS = tensor_basis()


def components(seed: int = 0) -> Tensor:
    return torch.randn((9, 4, 5), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_basis_is_orthonormal() -> None:
    torch.testing.assert_close(BASIS @ BASIS.t(), torch.eye(9, dtype=torch.float64))


def test_matrices_and_components_are_inverse() -> None:
    x = components()
    torch.testing.assert_close(from_matrix(to_matrix(x, BASIS), BASIS), x)


def test_parts_are_trace_antisymmetric_and_symmetric_tracefree() -> None:
    x = components()
    for part, kept in (("trace", slice(0, 1)), ("antisymmetric", slice(1, 4)), ("symmetric", slice(4, 9))):
        alone = torch.zeros_like(x)
        alone[kept] = x[kept]
        matrix = to_matrix(alone, BASIS)
        trace = matrix.diagonal().sum(-1)
        sign = -1 if part == "antisymmetric" else 1
        torch.testing.assert_close(matrix.transpose(0, 1), sign * matrix)
        if part == "trace":
            expected = torch.eye(3, dtype=torch.float64)[:, :, None, None] * trace / 3
            torch.testing.assert_close(matrix, expected)
        else:
            torch.testing.assert_close(trace, torch.zeros_like(trace))


def test_norm_is_that_of_the_matrix() -> None:
    x = components()
    torch.testing.assert_close(squared_norm(x), to_matrix(x, BASIS).square().sum((0, 1)))


def test_norms_of_parts_add_up() -> None:
    x = components()
    torch.testing.assert_close(part_squared_norms(x).unflatten(-1, (3, -1)).sum(1), squared_norm(x))


def test_a_direction_becomes_unit_cross_product_and_dyad() -> None:
    u = rotation()[:2]
    matrix = to_matrix(direction_components(u).t().unsqueeze(-1), BASIS)[..., 0].permute(2, 0, 1)
    x, y, z = u.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(2, 3, 3)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(matrix, eye + cross + u[:, :, None] * u[:, None, :] - eye / 3)


def test_direction_zero_keeps_the_trace_alone() -> None:
    row = direction_components(torch.zeros(1, 3, dtype=torch.float64))[0]
    torch.testing.assert_close(row, torch.tensor([3**0.5] + [0.0] * 8, dtype=torch.float64))
