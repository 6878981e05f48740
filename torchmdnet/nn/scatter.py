"""TorchMD-NET's reduction of slices that share an index."""

from torch import Tensor

from torchmdnet.ops.reduce import reduce_rows

__all__ = ["scatter"]

_REDUCTIONS = ("sum", "add", "mean", "max")


def scatter(src: Tensor, index: Tensor, dim: int = 0, dim_size: int | None = None, reduce: str = "sum") -> Tensor:
    r"""Reduce the slices of ``src`` along ``dim`` that share an index, as :func:`torchmdnet.ops.reduce.reduce_rows`.

    'mean' and 'max' count one more slice of zeros, as models of TorchMD-NET need them: :math:`\sum / (n + 1)` and
    :math:`\max(0, \dots)`.

    Args:
        src: Slices. (..., E, ...)
        index: Index of each slice. (E,)
        dim: Axis of the E slices.
        dim_size: Length K of that axis in the result, by default the largest index plus one. -> (..., K, ...)
        reduce: 'sum' or 'add', 'mean', 'max'.

    Raises:
        ValueError: The reduction is unknown.
    """
    if reduce not in _REDUCTIONS:
        raise ValueError(f"reduce: got {reduce!r}, expected one of {', '.join(_REDUCTIONS)}")
    if dim_size is None:
        dim_size = int(index.max()) + 1 if len(index) else 0
    moved = src.movedim(dim, 0)
    rows = reduce_rows(moved.flatten(1) if moved.dim() > 1 else moved.unsqueeze(1), index, dim_size, op=reduce)
    return rows.reshape(dim_size, *moved.shape[1:]).movedim(0, dim)
