"""Files of layout "Ace" in both versions, and rows of the same as a table."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

UNITS = {
    "positions": "Å",
    "forces": "eV/Å",
    "partial_charges": "e",
    "dipole_moment": "e*Å",
    "dipole_moments": "e*Å",
    "formation_energy": "eV",
    "formation_energies": "eV",
}
STACKED = {"dipole_moment": "dipole_moments", "formation_energy": "formation_energies"}
Molecule = dict[str, np.ndarray]


def ace_molecule(z: list[int], *, count: int = 2, seed: int = 0, charge: int = 0) -> Molecule:
    """Conformations with numbers drawn at random; the longest force of conformation i is 5 (i + 1) eV/Å."""
    rng = np.random.default_rng(seed)
    size = len(z)
    forces = np.zeros((count, size, 3))
    forces[:, -1] = np.arange(1, count + 1)[:, None] * np.array([3.0, 0.0, -4.0])
    return {
        "atomic_numbers": np.array(z),
        "formal_charges": np.array([charge, *[0] * (size - 1)]),
        "positions": 1.5 * np.arange(size)[None, :, None] + 0.1 * rng.normal(size=(count, size, 3)),
        "formation_energy": rng.normal(size=count),
        "forces": forces,
        "partial_charges": rng.normal(size=(count, size)),
        "dipole_moment": rng.normal(size=(count, 3)),
    }


def write_ace(path: Path, *molecules: Molecule, version: str = "1.0", layout: str = "Ace", **units: str | None) -> Path:
    """Write the molecules "m0", "m1", ...; ``units`` gives arrays another unit, or with None no attribute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs.update(layout=layout, layout_version=version)
        for number, molecule in enumerate(molecules):
            _write(file, f"m{number}", molecule, version, UNITS | units)
    return path


def _write(file: h5py.File, name: str, molecule: Molecule, version: str, units: dict[str, Any]) -> None:
    group = file.create_group(name if version == "1.0" else f"master/{name}")
    fixed = {key: molecule[key] for key in ("atomic_numbers", "formal_charges") if key in molecule}
    for key, values in fixed.items():
        group[key] = values
    for key, values in molecule.items():
        if key in fixed:
            continue
        if version == "1.0":
            for i, value in enumerate(values):
                _add(group, f"conformations/c{i}/{key}", value, units.get(key))
        else:
            stacked = STACKED.get(key, key)
            _add(group, stacked, values, units.get(stacked))


def _add(group: h5py.Group, name: str, values: np.ndarray, unit: str | None) -> None:
    group[name] = values
    if unit is not None:
        group[name].attrs["units"] = unit


def ace_rows(*molecules: Molecule) -> list[dict[str, Any]]:
    """The same as one row a conformation."""
    fixed = ("atomic_numbers", "formal_charges")
    return [
        {key: (values if key in fixed else values[i]).tolist() for key, values in molecule.items()}
        for molecule in molecules
        for i in range(len(molecule["formation_energy"]))
    ]
