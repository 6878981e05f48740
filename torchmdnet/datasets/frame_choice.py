"""Which frames ``dataset[...]`` means, in the ways that PyTorch Geometric's data sets take."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Choice", "as_number", "chosen_frames", "out_of_range"]

Choice = slice | Sequence[int] | Sequence[bool] | NDArray[Any] | Tensor | range
"""A slice, whose ends may be fractions; numbers, negative ones from the end; or a flag for each frame."""


def as_number(index: int | Choice) -> int | Choice:
    """A single number as an ``int``, also one in an array or tensor without dimensions; all else as it is."""
    if isinstance(index, int | np.integer):
        return int(index)
    if isinstance(index, Tensor | np.ndarray) and index.ndim == 0 and "int" in str(index.dtype):
        return int(index)
    return index


def chosen_frames(choice: Choice, size: int, name: str) -> NDArray[np.int64]:
    """Numbers of the frames, in the order asked for, repeated where asked for twice. (n,)

    Args:
        choice: what stands in the brackets.
        size: Frames there are.
        name: What messages call the data set.

    Raises:
        IndexError: a number is out of range, or there are more or fewer flags than frames.
        TypeError: the choice is none of these.
    """
    if isinstance(choice, slice):
        start, stop = (round(end * size) if isinstance(end, float) else end for end in (choice.start, choice.stop))
        return np.arange(size, dtype=np.int64)[start : stop : choice.step]
    numbers = _as_array(choice, name)
    if numbers.dtype == np.bool_:
        if len(numbers) != size:
            raise IndexError(f"a mask of {len(numbers)} flags was given for the {size} frames of {name}")
        return np.flatnonzero(numbers)
    wrong = numbers[(numbers < -size) | (numbers >= size)]
    if len(wrong):
        raise IndexError(out_of_range(int(wrong[0]), size, name))
    return np.where(numbers < 0, numbers + size, numbers).astype(np.int64)


def out_of_range(index: int, size: int, name: str) -> str:
    """The message on a frame that is not there."""
    return f"{name} has {size} frames{f' (0 to {size - 1})' if size else ''}; {index} was asked for"


def _as_array(choice: object, name: str) -> NDArray[Any]:
    """Whole numbers or flags. (n,)"""
    if isinstance(choice, Tensor):
        array = choice.detach().cpu().numpy()
    elif isinstance(choice, np.ndarray):
        array = choice
    elif isinstance(choice, Sequence) and not isinstance(choice, str | bytes) and _are_numbers(choice):
        array = np.array(choice, dtype=None if len(choice) else np.int64)
    else:
        array = np.empty(0)
    if array.dtype.kind not in "iub":
        raise TypeError(
            f"{name}: frames are chosen by a number, a slice, a list or array of numbers, or a mask; got {choice!r}"
        )
    return array.reshape(-1)


def _are_numbers(choice: Sequence[object]) -> bool:
    return all(isinstance(as_number(item), int) for item in choice)  # type: ignore[arg-type]
