"""HDF5 files of SPICE: one group a molecule, its conformations stacked. Units are Bohr, Hartree and Hartree/Bohr."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

__all__ = ["read_spice"]

ARRAYS = ("atomic_numbers", "conformations", "formation_energy", "dft_total_gradient")
SUBSET = "subset"


def read_spice(path: Path, *, subsets: Sequence[str] = (), step: int = 1) -> Iterator[Frames]:
    """Blocks of frames, one a molecule, in the order of the molecules' names.

    Args:
        path: the file.
        subsets: names of the subsets to read; empty: all.
        step: read every so many-th molecule, counted before ``subsets`` are chosen.

    Raises:
        DatasetError: the file cannot be read, has another layout, or has none of a subset.
    """
    try:
        opened = h5py.File(path, "r")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read as an HDF5 file: {error}") from error
    with opened:
        for name in _molecules(opened, path, subsets=subsets, step=step):
            yield _read_molecule(opened[name], name, where=f"{path}, group {name}")


def _molecules(opened: Any, path: Path, *, subsets: Sequence[str], step: int) -> list[str]:
    names = list(opened)
    if not subsets:
        return names[::step]
    subset_of = {name: _subset(opened[name], where=f"{path}, group {name}") for name in names}
    present = sorted(set(subset_of.values()))
    unknown = [subset for subset in subsets if subset not in present]
    if unknown:
        raise DatasetError(
            f"{path} has no subset {', '.join(map(repr, unknown))}; it has {', '.join(map(repr, present))}"
        )
    return [name for name in names[::step] if subset_of[name] in subsets]


def _subset(group: Any, where: str) -> str:
    if not isinstance(group, h5py.Group) or SUBSET not in group:
        raise DatasetError(f"{where} has no {SUBSET}; leave subsets out to read all molecules")
    value = np.ravel(group[SUBSET][()])[0]
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_molecule(group: Any, name: str, *, where: str) -> Frames:
    missing = [array for array in ARRAYS if not isinstance(group, h5py.Group) or array not in group]
    if missing:
        raise DatasetError(f"{where} has no {', '.join(missing)}; {', '.join(ARRAYS)} were expected")
    z, pos, energy, gradient = (group[array][()] for array in ARRAYS)
    shape = pos.shape
    expected = {
        "conformations": [(*shape[:1], len(z), 3)],
        "formation_energy": [shape[:1], (*shape[:1], 1)],
        "dft_total_gradient": [shape],
    }
    for array, shapes in expected.items():
        if group[array].shape not in shapes:
            raise DatasetError(
                f"{where}: {array} has shape {group[array].shape}; {shapes[0]} was expected "
                f"with {len(z)} atomic_numbers and conformations of shape {shape}"
            )
    return Frames(
        0,
        name,
        0,
        np.full(len(pos), len(z)),
        z=np.tile(z, len(pos)),
        pos=pos.astype(np.float64).reshape(-1, 3) * BOHR_IN_ANGSTROM,
        y=energy.astype(np.float64).reshape(-1) * HARTREE_IN_EV,
        neg_dy=gradient.astype(np.float64).reshape(-1, 3) * (-HARTREE_IN_EV / BOHR_IN_ANGSTROM),
    )
