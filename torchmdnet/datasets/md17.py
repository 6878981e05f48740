"""MD17: molecular dynamics of small molecules with DFT or coupled-cluster energies and forces."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch_geometric.data import Data

from torchmdnet.datasets.file_units import file_units
from torchmdnet.datasets.npz_molecule import molecule_names, read_npz_molecules
from torchmdnet.datasets.published import PublishedDataset, PublishedFile

__all__ = ["MD17", "MOLECULES"]

SGDML_URL = "http://www.quantum-machine.org/gdml/data/npz"
REVISED_URL = "https://ndownloader.figshare.com/files/23950376"
REVISED_ARCHIVE = "rmd17.tar.bz2"
REVISED_FOLDER = "rmd17/npz_data"
REVISED_CHECKSUM = "md5:cb1a927628d96f2e966025da4fb63d18"
REVISED_BYTES = 1066301513

Files = tuple[PublishedFile, ...]


def _plain(name: str) -> Files:
    return (PublishedFile(name, f"{SGDML_URL}/{name}"),)


def _coupled_cluster(stem: str) -> Files:
    """Two files, for training and for testing."""
    archive = f"{stem}.zip"
    return tuple(PublishedFile(f"{stem}-{part}.npz", f"{SGDML_URL}/{archive}", archive) for part in ("train", "test"))


def _revised(name: str) -> Files:
    file = f"{REVISED_FOLDER}/rmd17_{name}.npz"
    return (PublishedFile(file, REVISED_URL, REVISED_ARCHIVE, REVISED_CHECKSUM, REVISED_BYTES),)


MOLECULES: dict[str, Files] = {
    "aspirin": _plain("md17_aspirin.npz"),
    "benzene": _plain("md17_benzene2017.npz"),
    "ethanol": _plain("md17_ethanol.npz"),
    "malonaldehyde": _plain("md17_malonaldehyde.npz"),
    "naphtalene": _plain("md17_naphthalene.npz"),
    "salicylic_acid": _plain("md17_salicylic.npz"),
    "toluene": _plain("md17_toluene.npz"),
    "uracil": _plain("md17_uracil.npz"),
    "paracetamol": _plain("paracetamol_dft.npz"),
    "azobenzene": _plain("azobenzene_dft.npz"),
    "benzene_FHI-aims": _plain("benzene2018_dft.npz"),
    "revised_aspirin": _revised("aspirin"),
    "revised_azobenzene": _revised("azobenzene"),
    "revised_benzene": _revised("benzene"),
    "revised_ethanol": _revised("ethanol"),
    "revised_malonaldehyde": _revised("malonaldehyde"),
    "revised_naphtalene": _revised("naphthalene"),
    "revised_paracetamol": _revised("paracetamol"),
    "revised_salicylic_acid": _revised("salicylic"),
    "revised_toluene": _revised("toluene"),
    "revised_uracil": _revised("uracil"),
    "aspirin_CCSD": _coupled_cluster("aspirin_ccsd"),
    "benzene_CCSD_T": _coupled_cluster("benzene_ccsd_t"),
    "ethanol_CCSD_T": _coupled_cluster("ethanol_ccsd_t"),
    "malonaldehyde_CCSD_T": _coupled_cluster("malonaldehyde_ccsd_t"),
    "toluene_CCSD_T": _coupled_cluster("toluene_ccsd_t"),
}
"""Molecules by name; naphthalene is also known under the misspelling that TorchMD-NET uses."""


SPELLINGS = {" ": "_", "naphthalene": "naphtalene", "CCSD(T)": "CCSD_T"}


class MD17(PublishedDataset):
    """MD17, its revised version and its coupled-cluster variants.

    Energies and forces are as published, in kcal/mol and kcal/mol/Å, unless ``energy_unit`` says what they are to be
    converted from. Chmiela et al., Sci. Adv. 3, e1603015 (2017) and Nat. Commun. 9, 3887 (2018); revised: Christensen
    and von Lilienfeld, Mach. Learn.: Sci. Technol. 1, 045018 (2020).

    Args:
        root: folder of the data set; files are looked for in ``root/raw`` and fetched if they are not there.
        molecules: name of a molecule, several in a list or parted by commas; see ``MOLECULES``.
        train: of the coupled-cluster variants, which come in two files: True the first, False the second, None both.
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
        train: bool | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        *,
        energy_unit: str = "eV",
    ) -> None:
        names = molecule_names(molecules, MOLECULES, dataset="MD17", spellings=SPELLINGS)
        units = file_units(energy_unit, "Ang")
        super().__init__(
            root,
            [file for name in names for file in _chosen(MOLECULES[name], train)],
            lambda paths: read_npz_molecules(paths, units),
            arguments={"molecules": names, "train": train, "units": units._asdict()},
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            energy_unit="eV" if units.energy != 1.0 else "kcal/mol",
        )


def _chosen(files: Files, train: bool | None) -> Files:
    return files if train is None or len(files) == 1 else files[:1] if train else files[1:]
