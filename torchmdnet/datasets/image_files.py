"""Data sets whose files hold ASE's Atoms: all but the reading of one file."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from ase import Atoms

from torchmdnet.datasets.ase_frames import frames_of_images
from torchmdnet.datasets.file_units import FileUnits, file_units
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.label_keys import LEAVE_OUT, LabelKeys, NameFinder
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset

__all__ = ["ImageFiles"]


class ImageFiles(StoredDataset):
    """Frames from files of Atoms; a subclass defines :meth:`images`.

    Labels are recognised by their names (``energy``, ``REF_energy``, ``forces``, ``stress``, ``virial``, ...); where
    two names would do, or for other names, say which with the ``*_key`` arguments; ``"none"`` leaves a quantity out.

    Args:
        root: one or several files or patterns, in a list or parted by ``;``.
        energy_key, forces_key, stress_key, virial_key, charge_key, spin_key, dipole_key, partial_charges_key: names in
            the files. Stress and virial have nine components, or six in the order xx, yy, zz, yz, xz, xy;
            virial = -stress x volume.
        energy_unit, length_unit: of the numbers in the files; converted to eV and Å.

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
                dataset=type(self).__name__,
                arguments={"keys": keys._asdict(), "units": units._asdict()},
                sources=paths,
                read=lambda: self._read(paths, keys, units),
                hint=LEAVE_OUT,
            )
        )

    @staticmethod
    @abstractmethod
    def images(path: Path) -> Iterator[Atoms]:
        """Atoms of one file, one after the other, labels in ``info``, ``arrays`` or the calculator's results.

        Raises:
            DatasetError: the file cannot be read.
        """

    @classmethod
    def _read(cls, paths: Sequence[Path], keys: LabelKeys, units: FileUnits) -> Iterator[Frames]:
        finder = NameFinder(keys, dataset=cls.__name__)
        for file, path in enumerate(paths):
            yield from frames_of_images(cls.images(path), file=file, name=path.name, finder=finder, units=units)
        finder.check_given_names()
