"""3x3 tensors as components of their irreducible parts."""

import torch
from small_models import rotation
from torch import Tensor

from torchmdnet.nn.tensors import part_squared_norms, squared_norm
from torchmdnet.ops.edge_tensors import direction_components
from torchmdnet.ops.tensor_algebra import to_matrix


def components(seed: int = 0) -> Tensor:
    return torch.randn((9, 4, 5), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_norm_is_that_of_the_matrix() -> None:
    x = components()
    torch.testing.assert_close(squared_norm(x), to_matrix(x).square().sum((0, 1)))


def test_norms_of_parts_add_up() -> None:
    x = components()
    torch.testing.assert_close(part_squared_norms(x).unflatten(-1, (3, -1)).sum(1), squared_norm(x))


def test_a_direction_becomes_unit_cross_product_and_dyad() -> None:
    u = rotation()[:2]
    matrix = to_matrix(direction_components(u).t().unsqueeze(-1))[..., 0].permute(2, 0, 1)
    x, y, z = u.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(2, 3, 3)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(matrix, eye + cross + u[:, :, None] * u[:, None, :] - eye / 3)


def test_direction_zero_keeps_the_trace_alone() -> None:
    row = direction_components(torch.zeros(1, 3, dtype=torch.float64))[0]
    torch.testing.assert_close(row, torch.tensor([3**0.5] + [0.0] * 8, dtype=torch.float64))
