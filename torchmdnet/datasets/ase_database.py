"""ASE databases: SQLite, JSON and whatever else ``ase.db.connect`` opens by a file's name."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import ase.db
from ase import Atoms

from torchmdnet.datasets.ase_frames import frames_of_images
from torchmdnet.datasets.file_units import FileUnits, file_units
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.label_keys import LEAVE_OUT, LabelKeys, NameFinder
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset
from torchmdnet.datasets.validation import DatasetError

__all__ = ["ASEDatabase"]


class ASEDatabase(StoredDataset):
    """Rows of ASE databases; labels are looked for in the calculator's results, the key-value pairs and the row's data.

    Args:
        root: one or several databases (``.db``, ``.json``, ...) or patterns, in a list or parted by ``;``.
        energy_key, forces_key, stress_key, virial_key, charge_key, spin_key, dipole_key, partial_charges_key: names in
            the database; recognised if not given, "none" leaves a quantity out. Stress and virial have nine components,
            or six in the order xx, yy, zz, yz, xz, xy; virial = -stress x volume.
        energy_unit, length_unit: of the numbers in the database; converted to eV and Å.

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
                dataset="ASEDatabase",
                arguments={"keys": keys._asdict(), "units": units._asdict()},
                sources=paths,
                read=lambda: _read(paths, keys, units),
                hint=LEAVE_OUT,
            )
        )


def _read(paths: Sequence[Path], keys: LabelKeys, units: FileUnits) -> Iterator[Frames]:
    finder = NameFinder(keys, dataset="ASEDatabase")
    for file, path in enumerate(paths):
        yield from frames_of_images(_images(path), file=file, name=path.name, finder=finder, units=units)
    finder.check_given_names()


def _images(path: Path) -> Iterator[Atoms]:
    try:
        database = ase.db.connect(path, use_lock_file=False)
        for row in database.select(include_data=True):
            atoms = row.toatoms()
            # Some names (charge, mass, ...) are properties of a row as well, which hide the value stored under them
            stored = {name: vars(row).get(name, value) for name, value in row.key_value_pairs.items()}
            atoms.info = {**stored, **row.data}
            yield atoms
    except DatasetError:
        raise
    except Exception as error:  # each kind of database fails in its own way
        raise DatasetError(f"ASEDatabase: {path} cannot be read as an ASE database: {error!r}") from error
