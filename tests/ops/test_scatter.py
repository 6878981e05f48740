"""The sum of rows that share an index."""

import torch

from torchmdnet.ops.scatter import scatter_sum


def test_adds_the_rows_of_each_index() -> None:
    src = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    out = scatter_sum(src, torch.tensor([2, 0, 2]), 4)
    assert out.tolist() == [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0], [0.0, 0.0]]


def test_takes_short_indices() -> None:
    src, index = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 0, 1, 3, 1])
    assert torch.equal(scatter_sum(src, index.to(torch.int32), 4), scatter_sum(src, index, 4))


def test_nothing_adds_up_to_zeros() -> None:
    assert scatter_sum(torch.zeros((0, 3, 2)), torch.zeros(0, dtype=torch.int64), 2).shape == (2, 3, 2)


def test_has_first_and_second_derivatives() -> None:
    src = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    index = torch.tensor([1, 0, 1, 3, 1])
    assert torch.autograd.gradcheck(lambda x: scatter_sum(x, index, 4).sin(), src)
    assert torch.autograd.gradgradcheck(lambda x: scatter_sum(x, index, 4).sin(), src)
