"""Attention over neighbours in plain PyTorch."""

import torch
from attention_cases import make_attention_case
from small_models import rotation
from torch import Tensor

from torchmdnet.ops.radial_table import interpolate
from torchmdnet.ops.vector_attention import AttentionInput, head_sums, vector_attention

CASE = make_attention_case()
FACTORS = interpolate(CASE.table, CASE.s)


def attend(inputs: AttentionInput, factors: Tensor = FACTORS) -> tuple[Tensor, Tensor]:
    return vector_attention(factors, inputs, graph=CASE.graph, num_heads=2, activation=torch.tanh)


def turned(vectors: Tensor) -> Tensor:
    """Vectors (N, 3, C) in a rotated frame."""
    return torch.einsum("xy,nyc->nxc", rotation(), vectors)


def test_scalars_stay_and_vectors_turn_with_what_comes_in() -> None:
    inputs = CASE.inputs
    scalar, vector = attend(inputs)
    direction = inputs.direction @ rotation().t()
    got_scalar, got_vector = attend(inputs._replace(vector=turned(inputs.vector), direction=direction))
    torch.testing.assert_close(got_scalar, scalar)
    torch.testing.assert_close(got_vector, turned(vector))


def test_channels_of_one_head_do_not_see_those_of_another() -> None:
    other = CASE.inputs.query.clone()
    other[:, 3:] += 1
    scalar, _ = attend(CASE.inputs)
    changed, _ = attend(CASE.inputs._replace(query=other))
    assert torch.equal(changed[:, :3], scalar[:, :3])
    assert not torch.equal(changed[:, 3:], scalar[:, 3:])


def test_distances_with_values_of_zero_bring_nothing() -> None:
    factors = FACTORS.clone()
    factors[:, 1:] = 0
    assert not any(bool(result.any()) for result in attend(CASE.inputs, factors))


def test_sums_the_channels_of_each_head() -> None:
    assert head_sums(torch.arange(6.0)[None], 2).tolist() == [[3.0, 12.0]]
