"""Splits of a number of frames, as arrays or tensors: the functions that scripts of TorchMD-NET call."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmdnet.training.splits import Size, Splits, consecutive, load_splits, permuted, save_splits, set_sizes

__all__ = ["make_splits", "train_val_test_split"]

Order = Sequence[int] | NDArray[np.integer] | Tensor


def train_val_test_split(
    dset_len: int, train_size: Size, val_size: Size, test_size: Size, seed: int, order: Order | None = None
) -> Splits:
    """Frames for training, validation and test, those that a training with the same sizes and seed takes.

    Args:
        dset_len: Frames there are.
        train_size, val_size, test_size: a number of frames, a fraction of all, or None for the rest.
        seed: of the permutation.
        order: frames in the order to take them, instead of a permutation. (dset_len,)

    Raises:
        ValueError: the sizes do not fit, or ``order`` has not ``dset_len`` frames.
    """
    frames = permuted(dset_len, seed) if order is None else np.asarray(order, dtype=np.int64)
    if frames.shape != (dset_len,):
        raise ValueError(f"order has shape {frames.shape}, but there are {dset_len} frames; name each of them once")
    return consecutive(frames, set_sizes(dset_len, train_size=train_size, val_size=val_size, test_size=test_size))


def make_splits(
    dataset_len: int,
    train_size: Size,
    val_size: Size,
    test_size: Size,
    seed: int,
    filename: str | Path | None = None,
    splits: str | Path | None = None,
    order: Order | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same as tensors, drawn or read from a file, and written to another. Each (n,) int64

    Args:
        dataset_len: Frames there are.
        train_size, val_size, test_size, seed, order: as of :func:`train_val_test_split`.
        filename: npz file to write, ``.npz`` being added where it lacks; None: none.
        splits: npz file with ``idx_train``, ``idx_val`` and ``idx_test``, taken instead of drawing.

    Raises:
        ValueError: the sizes do not fit, or the file does not hold sets of distinct frames of this number.
        FileNotFoundError: there is no file ``splits``.
    """
    if splits is not None:
        made = load_splits(splits, dataset_len)
    else:
        made = train_val_test_split(dataset_len, train_size, val_size, test_size, seed, order)
    if filename is not None:
        path = Path(filename).expanduser()
        save_splits(made, path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz"))
    train, val, test = (torch.from_numpy(frames) for frames in made)
    return train, val, test
