"""Every data set of the registry on small files in its own layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pytest
from ani_spice_files import ani_group, conformations, size_group, write_groups
from dataset_files import METHANE, WATER, molecules, write_custom, write_database, write_extxyz, write_hdf5, write_npz
from published_files import write_published

from torchmdnet.datasets import DATASETS, StoredDataset
from torchmdnet.datasets.ani_dataset import AniDataset

__all__ = ["SETS", "open_published", "open_user_files"]

SETS = (molecules(WATER, count=4, seed=0), molecules(METHANE, count=3, seed=1))


def open_user_files(name: str, folder: Path) -> StoredDataset:
    """``SETS`` in a format that may hold anybody's frames; files that are there are not written again."""
    folder.mkdir(exist_ok=True)
    new = not any(folder.iterdir())
    cls: Callable[..., StoredDataset] = DATASETS[name]
    if name == "Custom":
        if new:
            write_custom(folder, *SETS)
        kinds = {"coordglob": "coords", "embedglob": "embed", "energyglob": "energy", "forceglob": "forces"}
        return cls(**{key: str(folder / f"{kind}_*.npy") for key, kind in kinds.items()})
    if name in ("MD17", "MD22"):
        files = {
            "MD17": ("raw/md17_aspirin.npz", "raw/rmd17/npz_data/rmd17_toluene.npz"),
            "MD22": ("raw/md22_DHA.npz", "raw/md22_AT-AT.npz"),
        }[name]
        for file, frames in zip(files, SETS, strict=True):
            if new:
                write_npz(folder / file, frames, revised="rmd17" in file)
        return cls(folder, molecules={"MD17": "aspirin,revised_toluene", "MD22": ["DHA", "AT-AT"]}[name])
    write, file = {
        "ExtXYZ": (write_extxyz, "a.xyz"),
        "ASEDatabase": (write_database, "a.db"),
        "HDF5": (write_hdf5, "a.h5"),
    }[name]
    if new:
        write(folder / file, *SETS)
    return cls(folder / file)


def open_published(name: str, root: Path, **options: Any) -> StoredDataset:
    """A published data set on some waters; files that are there are not written again."""
    cls: Callable[..., StoredDataset] = DATASETS[name]
    new = not (root / "raw").exists()
    if new and name in WRITERS:
        WRITERS[name](root / "raw")
    elif new and issubclass(DATASETS[name], AniDataset) and not name.startswith(("ANI1", "ANI2")):
        for file in DATASETS[name].files:
            groups = {"003": size_group(3, 4)} if name == "COMP6v2" else {"a/b": ani_group("OHH", [-76.4, -76.3])}
            write_groups(root / "raw" / file.name, groups)
    elif new:
        write_published("ANI1X" if name == "ANI1CCX" else name, root)
    if name == "AceHF":
        package = pytest.importorskip("datasets", reason="AceHF needs the package datasets")
        with mock.patch.object(package.config, "HF_DATASETS_CACHE", root / "cache"):
            return cls("parquet", paths=root / "raw", **options)
    own: dict[str, Any] = {
        "QM9": {"label": "energy_U0"},
        "MD17": {"molecules": "aspirin"},
        "MD22": {"molecules": "DHA"},
        "Ace": {"paths": root / "raw"},
    }
    return cls(root, **own.get(name, {}), **options)


def write_md22(raw: Path) -> None:
    """Docosahexaenoic acid, which is water here."""
    write_npz(raw / "md22_DHA.npz", SETS[0])


def write_qm9q(raw: Path) -> None:
    """Water, once more and once less charged."""
    raw.mkdir(parents=True)
    units = {
        "positions": "Å : ångströms",
        "energy": "E_h : hartree",
        "gradient_vector": "vector : Hartree/Bohr ",
        "electronic_charge": "n : fractional electrons",
        "dipole_moment": "x,y,z : Debye",
    }
    values = {
        "positions": conformations(3, 4),
        "energy": np.linspace(-76.4, -76.0, 4),
        "gradient_vector": 0.01 * conformations(3, 4),
        "electronic_charge": np.array([[-0.8, 0.4, 0.4]] * 3 + [[-0.2, 0.6, 0.6]]),
        "dipole_moment": np.ones((4, 3)),
    }
    with h5py.File(raw / "a.h5", "w") as output:
        molecule = output.create_group("all").create_group("water")
        molecule["atomic_numbers"] = WATER
        for name, rows in values.items():
            molecule.create_group(name).attrs["units"] = units[name]
            for number, row in enumerate(rows):
                molecule[name][f"c{number}"] = row


def write_ace(raw: Path) -> None:
    """Water in layout 2.0."""
    raw.mkdir(parents=True)
    units = {
        "positions": "Å",
        "formation_energies": "eV",
        "forces": "eV/Å",
        "partial_charges": "e",
        "dipole_moments": "e*Å",
    }
    frames = SETS[0]
    arrays = dict(zip(units, (frames[key] for key in ("pos", "y", "neg_dy", "partial_charges", "dp")), strict=True))
    with h5py.File(raw / "a.h5", "w") as output:
        output.attrs.update({"layout": "Ace", "layout_version": "2.0"})
        molecule = output.create_group("all").create_group("water")
        molecule["atomic_numbers"], molecule["formal_charges"] = WATER, np.zeros(3, dtype=int)
        for name, values in arrays.items():
            molecule[name] = values
            molecule[name].attrs["units"] = units[name]


def write_ace_hf(raw: Path) -> None:
    """Water as rows of a table."""
    package = pytest.importorskip("datasets", reason="AceHF needs the package datasets")
    raw.mkdir(parents=True)
    frames = SETS[0]
    columns = {
        "atomic_numbers": [frames["z"].tolist()] * 4,
        "positions": frames["pos"].tolist(),
        "formation_energy": frames["y"].tolist(),
        "forces": frames["neg_dy"].tolist(),
        "formal_charges": [[0, 0, 0]] * 4,
        "partial_charges": frames["partial_charges"].tolist(),
        "dipole_moment": frames["dp"].tolist(),
    }
    package.Dataset.from_dict(columns).to_parquet(raw / "a.parquet")


def write_genentech(raw: Path) -> None:
    """A torsion scan of water."""
    raw.mkdir(parents=True)
    records = []
    for number, positions in enumerate(conformations(3, 4)):
        atoms = [
            "".join(f"{x:10.4f}" for x in row) + f" {symbol:<3} 0  0"
            for row, symbol in zip(positions, "OHH", strict=True)
        ]
        records += ["water", "", "", "  3  0  0  0  0  0  0  0  0  0999 V2000", *atoms, "M  END"]
        records += [">  <MinMethod>", "CCSD_T_CBS_MP2", "", ">  <deltaE>", f"{0.5 * number}", "", "$$$$"]
    name = "QM_MM_Gas_Phase_Torsion_Scan_Individual_Results_with_CCSD_T_CBS_baseline.sdf"
    (raw / name).write_text("\n".join(records) + "\n")


def write_water_box(raw: Path) -> None:
    """Three waters in a box."""
    frames = []
    for positions in conformations(9, 4):
        rows = [
            f"{symbol} " + " ".join(f"{x:.6f}" for x in row) + " 0.01 0.02 0.03"
            for symbol, row in zip("OHH" * 3, positions, strict=True)
        ]
        lattice = 'Lattice="20.0 0.0 0.0 0.0 20.0 0.0 0.0 0.0 20.0"'
        frames += ["9", f'{lattice} TotEnergy=-51.5 pbc="T T T" Properties=species:S:1:pos:R:3:force:R:3', *rows]
    (raw / "training-set").mkdir(parents=True)
    (raw / "training-set" / "dataset_1593.xyz").write_text("\n".join(frames) + "\n")


def write_mdcath(raw: Path) -> None:
    """A domain of three atoms at one temperature."""
    raw.mkdir(parents=True)
    with h5py.File(raw / "mdcath_source.h5", "w") as output:
        output.create_group("1abcA00").attrs.update({"numProteinAtoms": 3, "numNoHAtoms": 1, "numResidues": 1})
        replica = output.create_group("1abcA00/348/0")
        replica.attrs.update({"numFrames": 4, "min_gyration_radius": 0.5, "max_gyration_radius": 0.7})
        replica.attrs.update({"alpha": 50.0, "beta": 30.0, "coil": 20.0})
    with h5py.File(raw / "mdcath_dataset_1abcA00.h5", "w") as output:
        output["1abcA00/z"] = WATER
        for name, unit in (("coords", "Angstrom"), ("forces", "kcal/mol/Angstrom")):
            output[f"1abcA00/348/0/{name}"] = conformations(3, 4)
            output[f"1abcA00/348/0/{name}"].attrs["unit"] = unit


WRITERS: dict[str, Callable[[Path], None]] = {
    "MD22": write_md22,
    "QM9q": write_qm9q,
    "Ace": write_ace,
    "AceHF": write_ace_hf,
    "GenentechTorsions": write_genentech,
    "WaterBox": write_water_box,
    "MDCATH": write_mdcath,
}
