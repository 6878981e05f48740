"""Extended XYZ files, as written by ASE, QUIP, n2p2, MACE, NequIP and others."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import ase.io
from ase import Atoms

from torchmdnet.datasets.ase_frames import frames_of_images
from torchmdnet.datasets.file_units import FileUnits, file_units
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.label_keys import LEAVE_OUT, LabelKeys, NameFinder
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset
from torchmdnet.datasets.validation import DatasetError

__all__ = ["ExtXYZ"]


class ExtXYZ(StoredDataset):
    """Frames of extended XYZ files.

    Labels are recognised by their names (``energy``, ``REF_energy``, ``forces``, ``stress``, ``virial``, ...); where
    two names would do, or for other names, say which with the ``*_key`` arguments; ``"none"`` leaves a quantity out.

    Args:
        root: one or several files or patterns, in a list or parted by ``;``.
        energy_key, forces_key, stress_key, virial_key, charge_key, spin_key, dipole_key, partial_charges_key: names in
            the file. Stress and virial have nine components, or six in the order xx, yy, zz, yz, xz, xy;
            virial = -stress x volume.
        energy_unit, length_unit: of the numbers in the file; converted to eV and Å.

    Raises:
        FileNotFoundError: a file does not exist or a pattern matches nothing.
        DatasetError: the data have faults.
    """

    def __init__(
        self,
        root: str | Path | Sequence[str | Path],
        *,
        energy_key: str | None = None,
        forces_key: str | None = None,
        stress_key: str | None = None,
        virial_key: str | None = None,
        charge_key: str | None = None,
        spin_key: str | None = None,
        dipole_key: str | None = None,
        partial_charges_key: str | None = None,
        energy_unit: str = "eV",
        length_unit: str = "Ang",
    ) -> None:
        paths = find_files(root)
        keys = LabelKeys(
            energy_key, forces_key, stress_key, virial_key, charge_key, spin_key, dipole_key, partial_charges_key
        )
        units = file_units(energy_unit, length_unit)
        super().__init__(
            StoreRequest(
                dataset="ExtXYZ",
                arguments={"keys": keys._asdict(), "units": units._asdict()},
                sources=paths,
                read=lambda: _read(paths, keys, units),
                hint=LEAVE_OUT,
            )
        )


def _read(paths: Sequence[Path], keys: LabelKeys, units: FileUnits) -> Iterator[Frames]:
    finder = NameFinder(keys, dataset="ExtXYZ")
    for file, path in enumerate(paths):
        if path.stat().st_size == 0:
            raise DatasetError(f"ExtXYZ: {path} is empty")
        yield from frames_of_images(_images(path), file=file, name=path.name, finder=finder, units=units)
    finder.check_given_names()


def _images(path: Path) -> Iterator[Atoms]:
    number = 0
    try:
        for atoms in ase.io.iread(path, index=":", format="extxyz"):
            yield atoms
            number += 1
    except Exception as error:  # what ASE raises depends on where a line goes wrong
        raise DatasetError(f"ExtXYZ: {path}, frame {number} cannot be read: {error}") from error
