"""Sum rows that share an index."""

from torch import Tensor

__all__ = ["scatter_sum"]


def scatter_sum(src: Tensor, index: Tensor, dim_size: int) -> Tensor:
    r"""Sum the rows of ``src`` that share an index k: :math:`\mathrm{out}_k = \sum_{e:\,i_e = k} \mathrm{src}_e`.

    Rows are added in ascending order of e, so that repeated calls give the same bits.

    Shapes: src: (E, ...), index: (E,) int32 or int64, dim_size: K -> (K, ...); rows without a source are zero.
    """
    return src.new_zeros((dim_size, *src.shape[1:])).index_add(0, index, src)
