"""Checks of what a user gives a prior, before anything is computed with it."""

import math
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["flag", "number", "positive"]


def number(value: Any, *, prior: str, option: str) -> float:
    """A finite number.

    Raises:
        ValueError: it is something else.
    """
    found = _as_float(value)
    if not math.isfinite(found):
        raise ValueError(f"{prior}: '{option}' must be a number, not {value!r}")
    return found


def positive(value: Any, *, prior: str, option: str) -> float:
    """A finite number above zero.

    Raises:
        ValueError: it is something else.
    """
    found = _as_float(value)
    if not 0 < found < math.inf:
        raise ValueError(f"{prior}: '{option}' must be a number above 0, not {value!r}")
    return found


def flag(value: Any, *, prior: str, option: str) -> bool:
    """True or false.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{prior}: '{option}' must be true or false, not {value!r}")
    return value


def _as_float(value: Any) -> float:
    """The value, NaN if it is no number."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:  # in checkpoints, and in attributes of data sets
        value = value.item()
    return math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
