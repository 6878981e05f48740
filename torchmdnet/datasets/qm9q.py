"""QM9q: molecules of QM9 and their ions, with energies, forces, partial charges and dipole moments."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.ionic_reference import ionic_reference
from torchmdnet.datasets.published import PublishedDataset
from torchmdnet.datasets.selection import within_force_limit
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.unit_attributes import factor_of_units
from torchmdnet.datasets.validation import DatasetError

__all__ = ["QM9q"]

MAX_FORCE = 100.0
"""Frames with a longer force (eV/Å) are calculations that went wrong."""
QUANTITIES = {
    "positions": "length",
    "energy": "energy",
    "gradient_vector": "force",
    "electronic_charge": "charge",
    "dipole_moment": "dipole",
}
"""Groups of a molecule, each with an array a conformer, and what they hold."""


class QM9q(PublishedDataset):
    """QM9q: energies y minus those of free ions, forces, charge q, partial charges and dipole moment dp.

    The files have one group of molecules: ``atomic_numbers`` (a,), and groups ``energy``, ``positions``,
    ``gradient_vector``, ``electronic_charge`` and ``dipole_moment`` with one array a conformer and an attribute
    ``units``. They have no public address: give their place in ``paths``.

    Args:
        root: folder in which the store is made.
        paths: files, folders of ``.h5`` files or patterns, one or a list; None: those in ``root/raw``.
        transform, pre_transform, pre_filter: functions of samples, as of
            :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        FileNotFoundError: there is no file.
        DatasetError: a file has another layout or unknown units, or the data have faults.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        paths: str | Path | Sequence[str | Path] | None = None,
    ) -> None:
        super().__init__(
            root,
            _files(root, paths),
            _read,
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
        )


def _files(root: str | Path, paths: str | Path | Sequence[str | Path] | None) -> list[Path]:
    raw = Path(root or ".").expanduser() / "raw"
    if not paths:
        if not any(raw.glob("*.h5")):
            raise ValueError(f"QM9q: paths is missing, and {raw} has no .h5 files; give dataset_arg: {{paths: FILES}}")
        paths = raw
    items = [paths] if isinstance(paths, (str, Path)) else list(paths)
    places = [Path(name.strip()).expanduser() for item in items for name in str(item).split(";")]
    return find_files([place / "*.h5" if place.is_dir() else place for place in places], "paths")


def _read(paths: Sequence[Path]) -> Iterator[Frames]:
    for file, path in enumerate(paths):
        try:
            opened = h5py.File(path, "r")
        except OSError as error:
            raise DatasetError(f"QM9q: {path} cannot be read: {error}") from error
        with opened:
            groups = [group for group in opened.values() if isinstance(group, h5py.Group)]
            if len(groups) != 1:
                raise DatasetError(f"QM9q: {path} has {len(groups)} groups ({', '.join(opened)}); one was expected")
            for name, molecule in groups[0].items():
                yield from within_force_limit(_molecule(molecule, name, file=file, path=path), MAX_FORCE)


def _molecule(molecule: Any, name: str, *, file: int, path: Path) -> Iterator[Frames]:
    """All conformers of one molecule as a block."""
    where = f"QM9q: {path.name}, molecule {name}"
    missing = {"atomic_numbers", *QUANTITIES} - set(molecule)
    if missing:
        raise DatasetError(f"{where} has {', '.join(molecule) or 'nothing'}, but no {', '.join(sorted(missing))}")
    numbers = np.asarray(molecule["atomic_numbers"][()], dtype=np.int64).reshape(-1)
    conformers = list(molecule["energy"])
    if not conformers:
        return
    shapes = {"positions": (-1, 3), "gradient_vector": (-1, 3), "electronic_charge": (-1,), "dipole_moment": (1, 3)}
    arrays = {
        key: _stacked(molecule[key], conformers, shapes.get(key, (1,)), quantity, f"{where}, {key}")
        for key, quantity in QUANTITIES.items()
    }
    partial = arrays["electronic_charge"]
    charges = _total_charges(partial, len(numbers), where)
    reference = np.array([ionic_reference(numbers.tolist(), int(charge), where=where) for charge in charges])
    yield Frames(
        file,
        name,
        0,
        np.full(len(conformers), len(numbers)),
        z=np.tile(numbers, len(conformers)),
        pos=arrays["positions"],
        neg_dy=-arrays["gradient_vector"],
        partial_charges=partial,
        y=arrays["energy"] - reference,
        q=charges,
        dp=arrays["dipole_moment"],
    )


def _stacked(
    group: Any, conformers: Sequence[str], shape: tuple[int, ...], quantity: str, where: str
) -> NDArray[np.float64]:
    """Rows of all conformers, one after the other, in the units of the samples."""
    factor = factor_of_units(group, quantity, where=where)
    missing = [name for name in conformers if name not in group]
    if missing:
        raise DatasetError(f"{where} lacks conformer {missing[0]}, which has an energy")
    try:
        rows = [np.asarray(group[name][()], dtype=np.float64).reshape(shape) for name in conformers]
    except ValueError as error:
        raise DatasetError(f"{where}: an array does not have the shape {shape}: {error}") from error
    return np.concatenate(rows) * factor


def _total_charges(partial: NDArray[np.float64], num_atoms: int, where: str) -> NDArray[np.float64]:
    """Charge of each conformer: the sum of its partial charges, which is an integer but for rounding."""
    if num_atoms == 0 or len(partial) % num_atoms:
        raise DatasetError(f"{where} has {num_atoms} atoms, but {len(partial)} partial charges")
    sums = partial.reshape(-1, num_atoms).sum(axis=1)
    charges = np.rint(sums)
    if np.abs(sums - charges).max() > 0.1:
        worst = sums[np.argmax(np.abs(sums - charges))]
        raise DatasetError(f"{where}: partial charges add up to {worst:g} e, which is no whole charge")
    return charges
