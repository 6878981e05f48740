"""Faults of data that would spoil a training, found while the store is built and told with file and frame."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.frames import ATOM_FIELDS, FRAME_FIELDS, Frames

__all__ = ["CLOSEST_PAIR", "MAX_ATOMIC_NUMBER", "DatasetError", "Faults", "close_pairs", "find_faults"]

CLOSEST_PAIR = 1e-3
"""Atoms nearer than this (Å) are taken for the same atom written twice."""
MAX_ATOMIC_NUMBER = 118
NAMED_AT_MOST = 5

Mask = NDArray[np.bool_]


class DatasetError(ValueError):
    """A data set that cannot be used as it is."""


class Faults:
    """Faulty frames by kind: how many, and the first few."""

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, rows: NDArray[np.int64]) -> None:
        """Note that frames (numbers of rows in the store) have this fault."""
        if len(rows):
            named = self._rows.setdefault(kind, [])
            named.extend(int(row) for row in rows[: NAMED_AT_MOST - len(named)])
            self._counts[kind] = self._counts.get(kind, 0) + len(rows)

    def raise_if_any(self, dataset: str, frame_name: Callable[[int], str]) -> None:
        """Raise one DatasetError that names the first frames of each kind and counts the others."""
        if not self._rows:
            return
        lines = []
        for kind, rows in self._rows.items():
            names = "; ".join(frame_name(row) for row in rows)
            others = self._counts[kind] - len(rows)
            lines.append(f"  {kind}: {names}" + (f" and {others} more" if others else ""))
        raise DatasetError(
            f"{dataset}: these frames cannot be used (frames are counted from 0); correct or remove them:\n"
            + "\n".join(lines)
        )


def find_faults(frames: Frames, start: int, faults: Faults) -> None:
    """Check every frame of a block whose first frame is row ``start`` of the store."""
    rows = start + np.arange(len(frames.num_atoms))
    owner = np.repeat(np.arange(len(rows)), frames.num_atoms)
    faults.add("no atoms", rows[frames.num_atoms == 0])
    usable = np.ones(len(rows), dtype=bool)
    for name in frames.present():
        values = np.asarray(frames.get(name))
        if values.dtype.kind not in "fc":
            continue
        finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        wrong: Mask = np.logical_not(finite)
        if name in ATOM_FIELDS:
            wrong = _frames_with(wrong, owner, len(rows))
        description = {**ATOM_FIELDS, **FRAME_FIELDS}[name].description
        faults.add(f"NaN or infinite {description}", rows[wrong])
        if name in ("pos", "box"):
            usable &= ~wrong
    outside = (frames.z < 1) | (frames.z > MAX_ATOMIC_NUMBER)  # type: ignore[operator]
    faults.add(f"atomic number outside 1 to {MAX_ATOMIC_NUMBER}", rows[_frames_with(outside, owner, len(rows))])
    box, pbc = frames.box, frames.pbc
    if box is not None and pbc is not None:
        singular = pbc.any(axis=1) & _is_singular(np.asarray(box, dtype=np.float64)) & usable
        faults.add("cell without volume although an axis is periodic", rows[singular])
        usable &= ~singular
    usable_atoms = usable[owner]
    kept = np.flatnonzero(usable)
    if len(kept):
        pairs = close_pairs(
            np.asarray(frames.pos, dtype=np.float64)[usable_atoms],
            frames.num_atoms[kept],
            box=None if box is None else np.asarray(box, dtype=np.float64)[kept],
            pbc=None if pbc is None else np.asarray(pbc, dtype=bool)[kept],
        )
        faults.add(f"two atoms nearer than {CLOSEST_PAIR} Å", rows[kept[pairs]])


def _frames_with(atoms: Mask, owner: NDArray[np.int64], num_frames: int) -> Mask:
    found = np.zeros(num_frames, dtype=bool)
    found[owner[atoms]] = True
    return found


def _is_singular(box: NDArray[np.float64]) -> Mask:
    lengths = np.linalg.norm(box, axis=2)
    with np.errstate(invalid="ignore"):
        volume = np.abs(np.linalg.det(box))
    return ~(volume > 1e-6 * np.maximum(lengths.prod(axis=1), CLOSEST_PAIR**3))


def close_pairs(
    pos: NDArray[np.float64],
    num_atoms: NDArray[np.int64],
    *,
    box: NDArray[np.float64] | None = None,
    pbc: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Frames in which two atoms, or an atom and an image of another, are nearer than ``CLOSEST_PAIR``.

    Near atoms are near along any line: atoms are sorted along one line of general direction, and only neighbours in
    that order are compared. Images matter only for atoms at a face of the cell, which get a copy beyond the other face.

    Args:
        pos: (a, 3), finite
        num_atoms: (n,)
        box: (n, 3, 3), invertible where ``pbc`` is set
        pbc: (n, 3)

    Returns:
        Numbers of the frames, ascending.
    """
    owner = np.repeat(np.arange(len(num_atoms)), num_atoms)
    if box is not None and pbc is not None and pbc.any():
        pos, owner = _with_images(pos, owner, box, pbc)
    along = pos @ np.array([0.5257311, 0.6180340, 0.5842971])
    order = np.lexsort((along, owner))
    pos, owner, along = pos[order], owner[order], along[order]
    found: list[NDArray[np.int64]] = []
    lower = np.arange(len(pos) - 1)
    lag = 1
    while len(lower):
        lower = lower[lower + lag < len(pos)]
        upper = lower + lag
        lower = lower[(owner[upper] == owner[lower]) & (along[upper] - along[lower] < CLOSEST_PAIR)]
        distance = np.linalg.norm(pos[lower + lag] - pos[lower], axis=1)
        found.append(owner[lower[distance < CLOSEST_PAIR]])
        lag += 1
    return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)


def _with_images(
    pos: NDArray[np.float64], owner: NDArray[np.int64], box: NDArray[np.float64], pbc: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    periodic = np.any(pbc, axis=1, keepdims=True)[:, None]
    box = np.where(periodic, box, np.eye(3))
    inverse = np.linalg.inv(box)
    fractional = np.einsum("ai,aij->aj", pos, inverse[owner])
    fractional = np.where(pbc[owner], fractional - np.floor(fractional), fractional)
    # Thickness of the layer at a face in fractional units: columns of the inverse are the reciprocal vectors
    margin = 2 * CLOSEST_PAIR * np.linalg.norm(inverse, axis=1)
    for axis in range(3):
        at_face = pbc[owner, axis] & (fractional[:, axis] < margin[owner, axis])
        copies = fractional[at_face].copy()
        copies[:, axis] += 1.0
        fractional = np.concatenate([fractional, copies])
        owner = np.concatenate([owner, owner[at_face]])
    return np.einsum("ai,aij->aj", fractional, box[owner]), owner
