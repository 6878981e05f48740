"""ASE databases: SQLite, JSON and whatever else ``ase.db.connect`` opens by a file's name."""

from collections.abc import Iterator
from pathlib import Path

import ase.db
from ase import Atoms

from torchmdnet.datasets.image_files import ImageFiles
from torchmdnet.datasets.validation import DatasetError

__all__ = ["ASEDatabase"]


class ASEDatabase(ImageFiles):
    """Rows of ASE databases; labels are looked for in the calculator's results, the key-value pairs and the row's data.

    Arguments as of :class:`~torchmdnet.datasets.image_files.ImageFiles`.
    """

    @staticmethod
    def images(path: Path) -> Iterator[Atoms]:
        """Rows of one database, in order."""
        try:
            database = ase.db.connect(path, use_lock_file=False)
            for row in database.select(include_data=True):
                atoms = row.toatoms()
                # Some names (charge, mass, ...) are properties of a row as well, which hide the value under them
                stored = {name: vars(row).get(name, value) for name, value in row.key_value_pairs.items()}
                atoms.info = {**stored, **row.data}
                yield atoms
        except Exception as error:  # each kind of database fails in its own way
            raise DatasetError(f"ASEDatabase: {path} cannot be read as an ASE database: {error!r}") from error
