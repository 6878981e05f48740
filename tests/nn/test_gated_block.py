"""Gated equivariant block."""

import torch
from small_models import rotation
from torch import nn

from torchmdnet.nn.gated_block import GatedEquivariantBlock
from torchmdnet.ops.vector_lengths import safe_norm


def block() -> GatedEquivariantBlock:
    torch.manual_seed(0)
    return GatedEquivariantBlock(6, 4, activation=nn.SiLU, scalar_activation=True).double()


def test_scalars_stay_and_vectors_turn_with_a_rotation() -> None:
    x, v = torch.randn(5, 6, dtype=torch.float64), torch.randn(5, 3, 6, dtype=torch.float64)
    scalars, vectors = block()(x, v)
    turned_scalars, turned_vectors = block()(x, rotation() @ v)
    torch.testing.assert_close(turned_scalars, scalars)
    torch.testing.assert_close(turned_vectors, rotation() @ vectors)


def test_vectors_of_length_zero_have_gradient_zero() -> None:
    v = torch.zeros(5, 3, 6, dtype=torch.float64, requires_grad=True)
    scalars, _ = block()(torch.ones(5, 6, dtype=torch.float64), v)
    (gradient,) = torch.autograd.grad(scalars.sum(), v)
    assert torch.equal(gradient, torch.zeros_like(v))


def test_norm_is_the_euclidean_one() -> None:
    v = torch.randn(5, 3, 6, dtype=torch.float64)
    torch.testing.assert_close(safe_norm(v, dim=1), torch.linalg.vector_norm(v, dim=1))
