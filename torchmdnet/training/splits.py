"""Which frames are for training, validation and test."""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Splits", "consecutive", "load_splits", "make_splits", "permuted", "save_splits", "set_sizes", "split_sizes"]

Size = int | float | None
KEYS = ("train_size", "val_size", "test_size")
ARRAYS = ("idx_train", "idx_val", "idx_test")


class Splits(NamedTuple):
    """Numbers of the frames of each set, in the order drawn. Each (n,) int64"""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def split_sizes(num_frames: int, *, train_size: Size, val_size: Size, test_size: Size) -> tuple[int, int, int]:
    """Frames of each set.

    An integer is a number of frames, a float a fraction of all, rounded, and None the rest. If the fractions together
    round to one frame too many, the test set gives it up, or else the validation or the training set.

    Raises:
        ValueError: a size is out of range, two are None, they exceed the frames there are, or nothing is left to train.
    """
    sizes = set_sizes(num_frames, train_size=train_size, val_size=val_size, test_size=test_size)
    if sizes[0] == 0:
        raise ValueError(
            f"{_described((train_size, val_size, test_size))} leave none of the {num_frames} frames for training; "
            "lower val_size or test_size"
        )
    return sizes


def set_sizes(num_frames: int, *, train_size: Size, val_size: Size, test_size: Size) -> tuple[int, int, int]:
    """The same, also where nothing is left to train."""
    given: dict[str, Size] = dict(zip(KEYS, (train_size, val_size, test_size), strict=True))
    rest = [key for key, value in given.items() if value is None]
    if len(rest) > 1:
        raise ValueError(f"{' and '.join(rest)} are both none, but only one of the three sizes can be the rest")
    sizes = {key: _count(key, value, num_frames) for key, value in given.items() if value is not None}
    excess = sum(sizes.values()) - num_frames
    fractions = [key for key in reversed(KEYS) if isinstance(given[key], float) and sizes[key] > 0]
    if excess == 1 and fractions:
        sizes[fractions[0]] -= 1
        excess = 0
    if excess > 0:
        raise ValueError(f"{_described(given.values())} ask for {excess} more frames than the {num_frames} there are")
    for key in rest:
        sizes[key] = -excess
    return sizes["train_size"], sizes["val_size"], sizes["test_size"]


def _described(sizes: Iterable[Size]) -> str:
    return ", ".join(f"{key}: {size}" for key, size in zip(KEYS, sizes, strict=True))


def _count(key: str, value: int | float, num_frames: int) -> int:
    if value < 0:
        raise ValueError(f"{key}: {value} is negative; give a number of frames, a fraction from 0 to 1, or none")
    if isinstance(value, float):
        if not value <= 1:
            raise ValueError(f"{key}: {value} is no fraction from 0 to 1; write a number of frames without a dot")
        return round(num_frames * value)
    return value


def make_splits(num_frames: int, *, train_size: Size, val_size: Size, test_size: Size, seed: int) -> Splits:
    """Draw the sets: consecutive blocks (training, validation, test) of a permutation of all frames."""
    num_train, num_val, num_test = split_sizes(
        num_frames, train_size=train_size, val_size=val_size, test_size=test_size
    )
    return consecutive(permuted(num_frames, seed), (num_train, num_val, num_test))


def permuted(num_frames: int, seed: int) -> NDArray[np.int64]:
    """All frames in the order that a seed gives. (num_frames,)"""
    return np.random.default_rng(seed).permutation(np.arange(num_frames))


def consecutive(order: NDArray[np.int64], sizes: tuple[int, int, int]) -> Splits:
    """The first frames of an order, the next ones, and those after them."""
    ends = np.cumsum(sizes)
    return Splits(order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] : ends[2]])


def save_splits(splits: Splits, path: Path) -> None:
    """Write ``idx_train``, ``idx_val`` and ``idx_test`` to an npz file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez(partial, idx_train=splits.train, idx_val=splits.val, idx_test=splits.test)
    partial.replace(path)


def load_splits(path: str | Path, num_frames: int) -> Splits:
    """Read the sets from an npz file and check them against the data set.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it does not hold three sets of distinct frames of this data set, or none for training.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"splits: there is no file {str(path)!r}")
    try:
        with np.load(file) as content:
            arrays = [np.asarray(content[name]) for name in ARRAYS]
    except (KeyError, OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"splits: {str(path)!r} is not an npz file with {', '.join(ARRAYS)}: {error}") from error
    for name, array in zip(ARRAYS, arrays, strict=True):
        _check_indices(name, array, path, num_frames)
    splits = Splits(*(array.astype(np.int64) for array in arrays))
    _check_overlap(splits, path)
    if len(splits.train) == 0:
        raise ValueError(f"splits: idx_train of {str(path)!r} is empty: there is nothing to train on")
    return splits


def _check_indices(name: str, array: NDArray[np.generic], path: str | Path, num_frames: int) -> None:
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"splits: {name} of {str(path)!r} is not a list of integers but {array.dtype} {array.shape}")
    outside = array[(array < 0) | (array >= num_frames)] if array.size else array  # type: ignore[operator]
    if outside.size:
        raise ValueError(
            f"splits: {name} of {str(path)!r} holds frame {outside[0]}, "
            f"but the data set has frames 0 to {num_frames - 1}"
        )


def _check_overlap(splits: Splits, path: str | Path) -> None:
    everything = np.concatenate(splits)
    values, counts = np.unique(everything, return_counts=True)
    if (counts > 1).any():
        frame = values[counts > 1][0]
        places = [name for name, indices in zip(ARRAYS, splits, strict=True) if frame in indices]
        where = " and ".join(places) if len(places) > 1 else f"{places[0]} twice"
        raise ValueError(
            f"splits: {int((counts > 1).sum())} frames of {str(path)!r} are used more than once, "
            f"for example frame {frame} in {where}"
        )
