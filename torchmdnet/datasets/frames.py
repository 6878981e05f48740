"""The record that readers hand to the store: some consecutive frames of one file.

Letters in shapes: n frames of the block, a atoms of all of them together.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ATOM_FIELDS", "FRAME_FIELDS", "LABELS", "Field", "Frames", "concatenate"]

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
    """Consecutive frames of one section of one source file; None where the file has no such quantity."""

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

    def get(self, field: str) -> Array | None:
        """The array of a field by its name."""
        return getattr(self, field)

    def present(self) -> tuple[str, ...]:
        """Names of the fields this block carries."""
        return tuple(name for name in (*ATOM_FIELDS, *FRAME_FIELDS) if self.get(name) is not None)


def concatenate(parts: list[Frames]) -> Frames:
    """Join frames that follow each other in one section and carry the same fields."""
    head = parts[0]
    joined: dict[str, Any] = {
        name: np.concatenate([np.asarray(part.get(name)) for part in parts]) for name in head.present()
    }
    return head._replace(num_atoms=np.concatenate([part.num_atoms for part in parts]), **joined)
