"""Reduce rows that share an index: sum, mean or largest."""

import torch
from torch import Tensor

from torchmdnet.ops.scatter import scatter_sum

__all__ = ["from_sums", "reduce_rows"]


def reduce_rows(src: Tensor, index: Tensor, dim_size: int, *, op: str, count: Tensor | None = None) -> Tensor:
    r"""Reduce the rows of ``src`` that share an index.

    'add' and 'sum' add; 'atom_mean' divides by the number n of rows. TorchMD-NET's 'mean' and 'max' count one more row
    of zeros, and models trained there need them: :math:`\sum / (n + 1)` and :math:`\max(0, \dots)`.

    ``count`` is the number of rows of each index where some rows are padding, zeros; by default rows are counted.

    Shapes: src: (E, C), index: (E,) int32 or int64, dim_size: K, count: (K,) -> (K, C); rows without a source are zero.
    """
    if op == "max":
        target = index.long().unsqueeze(-1).expand_as(src)  # scatter_reduce takes nothing shorter
        return src.new_zeros(dim_size, src.shape[1]).scatter_reduce(0, target, src, "amax", include_self=True)
    total = scatter_sum(src, index, dim_size)
    if op in ("add", "sum"):
        return total
    if count is None:
        count = scatter_sum(torch.ones_like(src[:, 0]), index, dim_size)
    return from_sums(total, count, op=op)


def from_sums(total: Tensor, count: Tensor, *, op: str) -> Tensor:
    """From sums to what ``op`` makes of them; only of 'max' they do not tell. total: (K, C), count: (K,) -> (K, C)"""
    if op in ("add", "sum"):
        return total
    return total / (count + 1 if op == "mean" else count.clamp(min=1)).unsqueeze(-1)
