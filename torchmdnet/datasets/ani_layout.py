"""HDF5 files of the ANI family: one group a molecule or a number of atoms, frames stacked in its arrays.

A group is one with an array ``coordinates``, at whatever depth. Units are Å, Hartree and Hartree/Å.
Letters in shapes: n frames of a group, a atoms of each.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.elements import ATOMIC_NUMBERS
from torchmdnet.units import HARTREE_IN_EV

__all__ = ["AniLayout", "read_ani"]

POSITIONS = "coordinates"
BLOCK_ATOMS = 1 << 18


class AniLayout(NamedTuple):
    """Names of the arrays in a group."""

    z: str
    """Atomic numbers or symbols. (a,) or (n, a)"""
    energy: str
    """Energies, Hartree. (n,)"""
    forces: str | None = None
    """Forces, Hartree/Å. (n, a, 3)"""
    gradients: str | None = None
    """Derivatives of the energy, Hartree/Å, whatever the file calls them: forces with the other sign. (n, a, 3)"""

    def names(self) -> tuple[str, ...]:
        """All arrays that a group must have."""
        return (POSITIONS, *(name for name in self if name is not None))


def read_ani(paths: Sequence[Path], layout: AniLayout) -> Iterator[Frames]:
    """Blocks of frames, file by file, groups in the order of their names.

    Raises:
        DatasetError: a file cannot be read or has another layout.
    """
    for file, path in enumerate(paths):
        try:
            opened = h5py.File(path, "r")
        except OSError as error:
            raise DatasetError(f"{path} cannot be read as an HDF5 file: {error}") from error
        with opened:
            found = False
            for group in _groups(opened):
                found = True
                yield from _read_group(group, layout, file=file, where=f"{path}, group {group.name[1:]}")
            if not found:
                raise DatasetError(f"{path} has no group with arrays {', '.join(layout.names())}, only {_list(opened)}")


def _groups(group: Any) -> Iterator[Any]:
    if POSITIONS in group:
        yield group
        return
    for name in group:
        if isinstance(group[name], h5py.Group):
            yield from _groups(group[name])


def _list(group: Any) -> str:
    names = list(group)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "nothing"


def _read_group(group: Any, layout: AniLayout, *, file: int, where: str) -> Iterator[Frames]:
    missing = [name for name in layout.names() if name not in group]
    if missing:
        raise DatasetError(f"{where} has no {', '.join(missing)}; it has {_list(group)}")
    size, num_atoms = _check_shapes(group, layout, where)
    derivatives, sign = (layout.forces, 1.0) if layout.forces else (layout.gradients, -1.0)
    common_z = _atomic_numbers(group[layout.z][()], where) if group[layout.z].ndim == 1 else None
    step = max(1, BLOCK_ATOMS // max(1, num_atoms))
    for start in range(0, size, step):
        rows = slice(start, min(size, start + step))
        count = rows.stop - start
        z = _atomic_numbers(group[layout.z][rows], where) if common_z is None else np.tile(common_z, count)
        yield Frames(
            file,
            group.name[1:],
            start,
            np.full(count, num_atoms),
            z=z.reshape(-1),
            pos=group[POSITIONS][rows].astype(np.float64).reshape(-1, 3),
            y=group[layout.energy][rows].astype(np.float64).reshape(-1) * HARTREE_IN_EV,
            neg_dy=None
            if derivatives is None
            else sign * HARTREE_IN_EV * group[derivatives][rows].astype(np.float64).reshape(-1, 3),
        )


def _check_shapes(group: Any, layout: AniLayout, where: str) -> tuple[int, int]:
    """Number of frames and of atoms of each."""
    shape = group[POSITIONS].shape
    if len(shape) != 3 or shape[2] != 3:
        raise DatasetError(f"{where}: {POSITIONS} has shape {shape}; (frames, atoms, 3) was expected")
    size, num_atoms = shape[:2]
    expected = {layout.z: [(num_atoms,), (size, num_atoms)], layout.energy: [(size,), (size, 1)]}
    expected |= {name: [shape] for name in (layout.forces, layout.gradients) if name}
    for name, shapes in expected.items():
        if group[name].shape not in shapes:
            raise DatasetError(
                f"{where}: {name} has shape {group[name].shape}, but {POSITIONS} has {shape}: {shapes[0]} was expected"
            )
    return size, num_atoms


def _atomic_numbers(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Numbers from numbers or symbols, in the same shape."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if values.dtype.kind not in "OSU":
        raise DatasetError(f"{where}: atoms are given as {values.dtype}; symbols or whole numbers were expected")
    kinds, inverse = np.unique(values.reshape(-1).astype("U"), return_inverse=True)
    unknown = [str(symbol) for symbol in kinds if symbol not in ATOMIC_NUMBERS]
    if unknown:
        raise DatasetError(f"{where}: {', '.join(map(repr, unknown))} is no symbol of an element")
    numbers = np.array([ATOMIC_NUMBERS[symbol] for symbol in kinds], dtype=np.int64)
    return numbers[inverse].reshape(values.shape)
