"""Leaving frames out by their labels, and labels out of frames. n frames of a block."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.frames import Frames, select
from torchmdnet.datasets.validation import DatasetError

__all__ = [
    "check_force_limit",
    "check_properties",
    "largest_forces",
    "only_labels",
    "with_labels",
    "within_force_limit",
]


def with_labels(blocks: Iterator[Frames]) -> Iterator[Frames]:
    """Frames whose energy and forces, as far as the blocks carry them, are numbers: NaN says that none was computed."""
    for frames in blocks:
        kept = np.ones(len(frames.num_atoms), dtype=bool)
        if frames.y is not None:
            kept &= ~np.isnan(np.asarray(frames.y, dtype=np.float64))
        if frames.neg_dy is not None:
            kept &= ~np.isnan(largest_forces(frames))
        yield frames if kept.all() else select(frames, kept)


def only_labels(blocks: Iterator[Frames], chosen: Sequence[str]) -> Iterator[Frames]:
    """The same frames, whose energies (y) and forces (neg_dy) are left out if they are not chosen."""
    left_out: dict[str, Any] = dict.fromkeys({"y", "neg_dy"} - {*chosen})
    return (frames._replace(**left_out) for frames in blocks)


def within_force_limit(blocks: Iterator[Frames], limit: float | None) -> Iterator[Frames]:
    """Frames in which no force is longer than ``limit`` (eV/Å); all of them if that is None.

    Frames with NaN are kept: they are faults to be told, not large forces.

    Raises:
        DatasetError: every frame has a longer force.
    """
    if limit is None:
        yield from blocks
        return
    num_seen = num_kept = 0
    for frames in blocks:
        kept = ~(largest_forces(frames) > limit)
        num_seen += len(kept)
        num_kept += int(kept.sum())
        yield frames if kept.all() else select(frames, kept)
    if num_seen and not num_kept:
        raise DatasetError(f"all {num_seen} frames have forces above max_gradient, {limit:g} eV/Å; give a larger one")


def largest_forces(frames: Frames) -> NDArray[np.float64]:
    """Length of the longest force on an atom of each frame, NaN if there is a NaN. (n,)"""
    owner = np.repeat(np.arange(len(frames.num_atoms)), frames.num_atoms)
    largest = np.zeros(len(frames.num_atoms))
    lengths = np.linalg.norm(np.asarray(frames.neg_dy, dtype=np.float64), axis=1)
    with np.errstate(invalid="ignore"):
        np.maximum.at(largest, owner, lengths)
    return largest


def check_force_limit(dataset: str, limit: object) -> float | None:
    """The value of an option ``max_gradient``.

    Raises:
        ValueError: it is neither None nor a positive number.
    """
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit > 0:
        raise ValueError(f"{dataset}: max_gradient is {limit!r}; a positive number (eV/Å) or None was expected")
    return float(limit)


def check_properties(dataset: str, given: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The value of an option ``properties``, in the order of ``known``.

    Raises:
        ValueError: it names nothing, or something that is not known.
        TypeError: it is no list of names.
    """
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{dataset}: properties is {given!r}; a list out of {', '.join(known)} was expected")
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"{dataset}: properties: '{name}' is none of {', '.join(known)}{meant}")
    if not names:
        raise ValueError(f"{dataset}: properties is empty; name at least one of {', '.join(known)}")
    return tuple(name for name in known if name in names)
