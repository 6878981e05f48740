"""Liquid water: 1593 boxes of 64 molecules with revPBE0-D3 energies and forces."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch_geometric.data import Data

from torchmdnet.datasets.ase_frames import frames_of_images
from torchmdnet.datasets.extxyz import ExtXYZ
from torchmdnet.datasets.file_units import FileUnits, file_units
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.label_keys import LabelKeys, NameFinder
from torchmdnet.datasets.published import PublishedDataset, PublishedFile

__all__ = ["WaterBox"]

FILE = PublishedFile(
    "training-set/dataset_1593.xyz",
    "https://raw.githubusercontent.com/BingqingCheng/ab-initio-thermodynamics-of-water/master/"
    "training-set/dataset_1593.xyz",
)
KEYS = LabelKeys("TotEnergy", "force", *["none"] * 6)


class WaterBox(PublishedDataset):
    """Liquid water (Cheng, Engel, Behler, Dellago, Ceriotti, PNAS 116, 1110 (2019), doi:10.1073/pnas.1815117116).

    Samples have y, neg_dy and box. The file is in atomic units, Hartree and Bohr, and its numbers are kept as they are
    unless the units say what they are to be converted from: cutoffs are in Bohr then. With
    ``energy_unit="Hartree", length_unit="Bohr"`` the samples are in eV and Å.

    Args:
        root: folder of the data set; the file is looked for in ``root/raw/training-set``.
        energy_unit, length_unit: of the numbers in the file; converted to eV and Å.
        transform, pre_transform, pre_filter: as of :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        ValueError: a unit is unknown.
        FileNotFoundError: the file is not there and cannot be fetched.
        DatasetError: the file has faults.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        *,
        pre_filter: Callable[[Data], bool] | None = None,
        energy_unit: str = "eV",
        length_unit: str = "Ang",
    ) -> None:
        units = file_units(energy_unit, length_unit)
        super().__init__(
            root,
            [FILE],
            lambda paths: _read(paths, units),
            arguments={"units": units._asdict()},
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            energy_unit="Hartree" if units.energy == 1.0 else "eV",
            length_unit="Bohr" if units.length == 1.0 else "Å",
        )


def _read(paths: Sequence[Path], units: FileUnits) -> Iterator[Frames]:
    for file, path in enumerate(paths):
        finder = NameFinder(KEYS, dataset="WaterBox")
        yield from frames_of_images(ExtXYZ.images(path), file=file, name=path.name, finder=finder, units=units)
        finder.check_given_names()
