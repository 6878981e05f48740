"""MD17: molecular dynamics of small molecules with DFT or coupled-cluster energies and forces."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from torchmdnet.datasets.download import download, extract
from torchmdnet.datasets.file_units import FileUnits, file_units
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.npz_molecule import read_npz_molecule
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset

__all__ = ["MD17", "MOLECULES"]

SGDML_URL = "http://www.quantum-machine.org/gdml/data/npz"
REVISED_URL = "https://figshare.com/ndownloader/files/23950376"
REVISED_ARCHIVE = "rmd17.tar.bz2"
REVISED_FOLDER = "rmd17/npz_data"


class _Files(NamedTuple):
    """Where one molecule's frames are."""

    folder: str
    """Below ``raw``."""
    train: str
    test: str | None
    """Second file of the coupled-cluster sets."""
    archive: str | None
    """Archive that holds them, None if the file itself is published."""
    url: str


def _plain(name: str) -> _Files:
    return _Files("", name, None, None, f"{SGDML_URL}/{name}")


def _coupled_cluster(stem: str) -> _Files:
    return _Files("", f"{stem}-train.npz", f"{stem}-test.npz", f"{stem}.zip", f"{SGDML_URL}/{stem}.zip")


def _revised(name: str) -> _Files:
    return _Files(REVISED_FOLDER, f"rmd17_{name}.npz", None, REVISED_ARCHIVE, REVISED_URL)


MOLECULES: dict[str, _Files] = {
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


class MD17(StoredDataset):
    """MD17, its revised version and its coupled-cluster variants.

    Energies and forces are as published, in kcal/mol and kcal/mol/Å, unless ``energy_unit`` says what they are to be
    converted from. Files are looked for in ``root/raw`` and fetched if they are not there.

    Args:
        root: folder of the data set.
        molecules: name of a molecule, several in a list or parted by commas; see ``MOLECULES``.
        train: of the coupled-cluster variants, which come in two files: True the first, False the second, None both.
        energy_unit: "kcal/mol" converts to eV and eV/Å; "eV" keeps the numbers as they are.

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
        *,
        energy_unit: str = "eV",
    ) -> None:
        folder = Path(root).expanduser().absolute()
        names = _molecule_names(molecules)
        units = file_units(energy_unit, "Ang")
        paths = [path for name in names for path in _fetch(folder / "raw", name, train=train)]
        super().__init__(
            StoreRequest(
                dataset="MD17",
                arguments={"molecules": names, "train": train, "units": units._asdict()},
                sources=paths,
                read=lambda: _read(paths, units),
                folder=folder / "processed",
            )
        )
        self.energy_unit = "eV" if units.energy != 1.0 else "kcal/mol"


def _read(paths: Sequence[Path], units: FileUnits) -> Iterator[Frames]:
    for file, path in enumerate(paths):
        yield from read_npz_molecule(path, file=file, units=units)


def _molecule_names(molecules: str | Sequence[str] | None) -> list[str]:
    listed = ", ".join(MOLECULES)
    if not molecules:
        raise ValueError(f"MD17: molecules is missing; give dataset_arg: {{molecules: NAME}}, NAME one of {listed}")
    given = molecules.split(",") if isinstance(molecules, str) else list(molecules)
    names = []
    for name in given:
        key = name.strip().replace(" ", "_").replace("naphthalene", "naphtalene")
        key = key.replace("CCSD(T)", "CCSD_T")
        if key not in MOLECULES:
            close = difflib.get_close_matches(key, list(MOLECULES), n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"MD17: molecule '{name}' is none of {listed}{meant}")
        names.append(key)
    return names


def _fetch(raw: Path, name: str, *, train: bool | None) -> list[Path]:
    files = MOLECULES[name]
    folder = raw / files.folder
    both = [files.train] if files.test is None else [files.train, files.test]
    wanted = both if train is None or files.test is None else [files.train if train else files.test]
    paths = [folder / file for file in wanted]
    if all(path.is_file() for path in paths):
        return paths
    raw.mkdir(parents=True, exist_ok=True)
    with FileLock(raw / f".{name}.lock"):
        if files.archive is None:
            if not paths[0].is_file():
                download(files.url, paths[0])
        elif not all(path.is_file() for path in paths):
            archive = raw / files.archive
            if not archive.is_file():
                download(files.url, archive)
            extract(archive, [path.name for path in paths], folder)
    return paths
