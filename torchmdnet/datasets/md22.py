"""MD22: molecular dynamics of seven larger molecules with DFT energies and forces."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch_geometric.data import Data

from torchmdnet.datasets.file_units import file_units
from torchmdnet.datasets.npz_molecule import molecule_names, read_npz_molecules
from torchmdnet.datasets.published import PublishedDataset, PublishedFile

__all__ = ["MD22", "MOLECULES"]

URL = "http://www.quantum-machine.org/gdml/repo/datasets"


def _file(stem: str, *, published_as: str | None = None) -> PublishedFile:
    return PublishedFile(f"md22_{stem}.npz", f"{URL}/md22_{published_as or stem}.npz")


MOLECULES: dict[str, PublishedFile] = {
    "AT-AT-CG-CG": _file("AT-AT-CG-CG"),
    "AT-AT": _file("AT-AT"),
    "Ac-Ala3-NHMe": _file("Ac-Ala3-NHMe"),
    "DHA": _file("DHA"),
    "buckyball-catcher": _file("buckyball-catcher"),
    # TorchMD-NET keeps it under the shorter name
    "dw-nanotube": _file("dw_nanotube", published_as="double-walled_nanotube"),
    "stachyose": _file("stachyose"),
}
"""Molecules by name."""

SPELLINGS = {"double-walled": "dw", "_": "-", " ": "-"}


class MD22(PublishedDataset):
    """MD22: a peptide, a lipid, a carbohydrate, nucleic acids and two supramolecules, of 42 to 370 atoms.

    Energies and forces (PBE + many-body dispersion) are as published, in kcal/mol and kcal/mol/Å, unless
    ``energy_unit`` says what they are to be converted from. Chmiela et al., Sci. Adv. 9, eadf0873 (2023).

    Args:
        root: folder of the data set; files are looked for in ``root/raw`` and fetched if they are not there.
        molecules: name of a molecule, several in a list or parted by commas; see ``MOLECULES``.
        energy_unit: "kcal/mol" converts to eV and eV/Å; "eV" keeps the numbers as they are.
        transform, pre_transform, pre_filter: functions of samples, as of
            :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        ValueError: a molecule is unknown.
        FileNotFoundError: a file is not there and cannot be fetched.
        DatasetError: a file has faults.
    """

    def __init__(
        self,
        root: str | Path,
        molecules: str | Sequence[str] | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        *,
        energy_unit: str = "eV",
    ) -> None:
        names = molecule_names(molecules, MOLECULES, dataset="MD22", spellings=SPELLINGS)
        units = file_units(energy_unit, "Ang")
        super().__init__(
            root,
            [MOLECULES[name] for name in names],
            lambda paths: read_npz_molecules(paths, units),
            arguments={"molecules": names, "units": units._asdict()},
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            energy_unit="eV" if units.energy != 1.0 else "kcal/mol",
        )
