"""Reduce rows that share an index: sum, mean or largest."""

import torch
from torch import Tensor

from torchmdnet.ops.scatter import scatter_sum

__all__ = ["reduce_rows"]


def reduce_rows(src: Tensor, index: Tensor, dim_size: int, *, op: str) -> Tensor:
    r"""Reduce the rows of ``src`` that share an index.

    'add' and 'sum' add; 'atom_mean' divides by the number n of rows. TorchMD-NET's 'mean' and 'max' count one more row
    of zeros, and models trained there need them: :math:`\sum / (n + 1)` and :math:`\max(0, \dots)`.

    Shapes: src: (E, C), index: (E,) int64, dim_size: K -> (K, C); rows without a source are zero.
    """
    if op == "max":
        target = index.unsqueeze(-1).expand_as(src)
        return src.new_zeros(dim_size, src.shape[1]).scatter_reduce(0, target, src, "amax", include_self=True)
    total = scatter_sum(src, index, dim_size)
    if op in ("add", "sum"):
        return total
    count = scatter_sum(torch.ones_like(src[:, :1]), index, dim_size)
    return total / (count + 1 if op == "mean" else count.clamp(min=1))
