"""HDF5 files of layout "Ace", versions 1.0 and 2.0.

Version 1.0 has a group a molecule with ``atomic_numbers`` (a,), ``formal_charges`` (a,) and a group ``conformations``
with a group a conformation: ``positions`` (a, 3), ``formation_energy``, ``forces`` (a, 3), ``partial_charges`` (a,),
``dipole_moment`` (3,). Version 2.0 has one group with a group a molecule, whose arrays are stacked: ``positions``
(n, a, 3), ``formation_energies`` (n,), ``forces`` (n, a, 3), ``partial_charges`` (n, a), ``dipole_moments`` (n, 3).
Every array of a conformation says its unit in an attribute ``units``.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.unit_attributes import factor_of_units
from torchmdnet.datasets.validation import DatasetError

__all__ = ["read_ace"]

VERSIONS = ("1.0", "2.0")
FIELDS_1 = {
    "pos": "positions",
    "y": "formation_energy",
    "neg_dy": "forces",
    "partial_charges": "partial_charges",
    "dp": "dipole_moment",
}
FIELDS_2 = FIELDS_1 | {"y": "formation_energies", "dp": "dipole_moments"}
QUANTITIES = {"pos": "length", "y": "energy", "neg_dy": "force", "partial_charges": "charge", "dp": "dipole"}


def read_ace(path: Path, *, file: int, every: int) -> Iterator[Frames]:
    """Blocks of frames in eV and Å, molecule after molecule, conformations in the order of their names or rows.

    Args:
        path: the file.
        file: index of the file among the sources.
        every: 1 for all molecules, 2 for every other one, and so on.

    Raises:
        DatasetError: the file cannot be read or has another layout, version or unit.
    """
    try:
        opened = h5py.File(path, "r")
    except OSError as error:
        raise DatasetError(f"Ace: {path} cannot be read as an HDF5 file: {error}") from error
    with opened:
        version = _version(opened, path)
        molecules = opened if version == "1.0" else _only_group(opened, path)
        for name in islice(molecules, 0, None, every):
            where = f"Ace: {path.name}, molecule {name}"
            try:
                arrays = _stack(molecules[name], where) if version == "1.0" else _rows(molecules[name], where)
                yield from _frames(arrays, molecules[name], name, file=file, where=where)
            except KeyError as error:
                raise DatasetError(f"{where} has not the layout of version {version}: {error.args[0]}") from error


def _version(opened: Any, path: Path) -> str:
    layout, version = (_text(opened.attrs.get(name, "missing")) for name in ("layout", "layout_version"))
    if layout != "Ace" or version not in VERSIONS:
        raise DatasetError(
            f"Ace: {path}: its attribute layout is {layout} and layout_version is {version}; 'Ace' and one of "
            f"{', '.join(VERSIONS)} were expected"
        )
    return version


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _only_group(opened: Any, path: Path) -> Any:
    names = list(opened)
    if len(names) != 1 or not isinstance(opened[names[0]], h5py.Group):
        raise DatasetError(f"Ace: {path} has {', '.join(names) or 'nothing'}; one group of molecules was expected")
    return opened[names[0]]


def _stack(molecule: Any, where: str) -> dict[str, NDArray[np.float64]]:
    """Arrays of version 1.0, conformations stacked."""
    conformations = [molecule["conformations"][name] for name in molecule["conformations"]]
    if not conformations:
        return {}
    return {
        field: np.stack([_converted(group[name], field, where) for group in conformations])
        for field, name in FIELDS_1.items()
    }


def _rows(molecule: Any, where: str) -> dict[str, NDArray[np.float64]]:
    """Arrays of version 2.0."""
    return {field: _converted(molecule[name], field, where) for field, name in FIELDS_2.items()}


def _converted(array: Any, field: str, where: str) -> NDArray[np.float64]:
    """Numbers in eV, Å and e."""
    factor = factor_of_units(array, QUANTITIES[field], where=f"{where}: {array.name.split('/')[-1]}")
    return np.asarray(array[()], dtype=np.float64) * factor


def _frames(
    arrays: dict[str, NDArray[np.float64]], molecule: Any, name: str, *, file: int, where: str
) -> Iterator[Frames]:
    """The conformations whose energy was computed: NaN stands for one that was not."""
    if not arrays:
        return
    z = np.asarray(molecule["atomic_numbers"][()], dtype=np.int64)
    charge = float(np.sum(molecule["formal_charges"][()]))
    size, num_atoms = len(arrays["pos"]), len(z)
    shapes = {"pos": (num_atoms, 3), "y": (), "neg_dy": (num_atoms, 3), "partial_charges": (num_atoms,), "dp": (3,)}
    for field, shape in shapes.items():
        if arrays[field].shape != (size, *shape):
            raise DatasetError(
                f"{where}: {FIELDS_1[field]} of its {size} conformations have shape {arrays[field].shape}; "
                f"{(size, *shape)} was expected"
            )
    numbers = np.flatnonzero(~np.isnan(arrays["y"]))
    if len(numbers):
        kept = {field: values[numbers] for field, values in arrays.items()}
        yield Frames(
            file,
            name,
            int(numbers[0]),
            np.full(len(numbers), num_atoms),
            z=np.tile(z, len(numbers)),
            pos=kept["pos"].reshape(-1, 3),
            neg_dy=kept["neg_dy"].reshape(-1, 3),
            partial_charges=kept["partial_charges"].reshape(-1),
            y=kept["y"],
            q=np.full(len(numbers), charge),
            dp=kept["dp"],
            numbers=numbers,
        )
