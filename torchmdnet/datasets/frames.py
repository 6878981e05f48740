"""The record that readers hand to the store: some consecutive frames of one file.

Letters in shapes: n frames of the block, a atoms of all of them together.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ATOM_FIELDS", "FRAME_FIELDS", "LABELS", "Field", "Frames", "concatenate", "select"]

Array = NDArray[np.generic]


class Field(NamedTuple):
    """How one quantity is kept on disk."""

    dtype: str
    """NumPy name of the type in the store."""
    shape: tuple[int, ...]
    """Shape of one row."""
    description: str
    """What messages call it."""


ATOM_FIELDS: dict[str, Field] = {
    "z": Field("uint8", (), "atomic numbers"),
    "pos": Field("float64", (3,), "positions"),
    "neg_dy": Field("float64", (3,), "forces"),
    "partial_charges": Field("float64", (), "partial charges"),
}
"""Quantities with one row an atom."""

FRAME_FIELDS: dict[str, Field] = {
    "y": Field("float64", (), "energy"),
    "box": Field("float64", (3, 3), "cell"),
    "pbc": Field("bool", (3,), "periodic axes"),
    "q": Field("float64", (), "charge"),
    "s": Field("float64", (), "spin"),
    "stress": Field("float64", (3, 3), "stress"),
    "dp": Field("float64", (3,), "dipole"),
}
"""Quantities with one row a frame."""

LABELS = ("y", "neg_dy", "stress", "dp", "partial_charges")
"""What a model can be trained on; a data set needs at least one of them."""


class Frames(NamedTuple):
    """Frames of one section of one source file, in order; None where the file has no such quantity."""

    file: int
    """Index of the file among the sources."""
    section: str
    """Name of a group within the file, empty if it has none."""
    first: int
    """Number of the first frame within the section."""
    num_atoms: NDArray[np.int64]
    """Atoms of each frame. (n,)"""
    z: Array
    """Atomic numbers. (a,)"""
    pos: Array
    """Positions, Å. (a, 3)"""
    neg_dy: Array | None = None
    """Forces, eV/Å. (a, 3)"""
    partial_charges: Array | None = None
    """Charge of each atom, e. (a,)"""
    y: Array | None = None
    """Energy, eV. (n,)"""
    box: Array | None = None
    """Cell vectors as rows, Å. (n, 3, 3)"""
    pbc: Array | None = None
    """Periodic axes. (n, 3)"""
    q: Array | None = None
    """Total charge, e. (n,)"""
    s: Array | None = None
    """Spin, in the convention of the file. (n,)"""
    stress: Array | None = None
    """(1/V) dE/dstrain, eV/Å³. (n, 3, 3)"""
    dp: Array | None = None
    """Dipole moment, e Å. (n, 3)"""
    numbers: Array | None = None
    """Numbers of the frames within the section, where they do not simply follow ``first``. (n,)"""

    def frame_numbers(self) -> NDArray[np.int64]:
        """Number of each frame within the section. (n,)"""
        follow = self.first + np.arange(len(self.num_atoms), dtype=np.int64)
        return follow if self.numbers is None else np.asarray(self.numbers, dtype=np.int64)

    def get(self, field: str) -> Array | None:
        """The array of a field by its name."""
        return getattr(self, field)

    def present(self) -> tuple[str, ...]:
        """Names of the fields this block carries."""
        return tuple(name for name in (*ATOM_FIELDS, *FRAME_FIELDS) if self.get(name) is not None)


def select(frames: Frames, kept: NDArray[np.bool_]) -> Frames:
    """The frames of a block that are kept, under the numbers they have in the file. (n,)"""
    atoms = np.repeat(kept, frames.num_atoms)
    chosen: dict[str, Any] = {
        name: np.asarray(frames.get(name))[atoms if name in ATOM_FIELDS else kept] for name in frames.present()
    }
    numbers = frames.frame_numbers()[kept]
    first = int(numbers[0]) if len(numbers) else frames.first
    return frames._replace(first=first, num_atoms=frames.num_atoms[kept], numbers=numbers, **chosen)


def concatenate(parts: list[Frames]) -> Frames:
    """Join frames of one section that carry the same fields."""
    head = parts[0]
    joined: dict[str, Any] = {
        name: np.concatenate([np.asarray(part.get(name)) for part in parts]) for name in head.present()
    }
    return head._replace(
        num_atoms=np.concatenate([part.num_atoms for part in parts]),
        numbers=np.concatenate([part.frame_numbers() for part in parts]),
        **joined,
    )
