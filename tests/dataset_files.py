"""Small raw data files in every layout, all from the same frames."""

from pathlib import Path
from typing import Any

import ase.db
import ase.io
import h5py
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

WATER = np.array([8, 1, 1])
METHANE = np.array([6, 1, 1, 1, 1])


def molecules(z: np.ndarray, *, count: int, seed: int) -> dict[str, np.ndarray]:
    """Frames of one molecule with labels drawn at random."""
    rng = np.random.default_rng(seed)
    size = len(z)
    return {
        "z": z,
        "pos": np.arange(size)[None, :, None] * 1.5 + 0.1 * rng.normal(size=(count, size, 3)),
        "y": -500.0 + rng.normal(size=count),
        "neg_dy": rng.normal(size=(count, size, 3)),
        "box": np.tile(np.array([[9.0, 0, 0], [1.0, 8.0, 0], [0.5, -1.0, 10.0]]), (count, 1, 1)),
        "pbc": np.tile(np.array([True, True, False]), (count, 1)),
        "q": rng.integers(-1, 2, count).astype(float),
        "s": rng.integers(1, 3, count).astype(float),
        "stress": _symmetric(rng.normal(size=(count, 3, 3))),
        "dp": rng.normal(size=(count, 3)),
        "partial_charges": rng.normal(size=(count, size)),
    }


def _symmetric(x: np.ndarray) -> np.ndarray:
    return 0.5 * (x + x.swapaxes(1, 2))


def images(frames: dict[str, np.ndarray]) -> list[Atoms]:
    """The frames as ASE's Atoms, labels in a calculator."""
    made = []
    for i in range(len(frames["y"])):
        atoms = Atoms(frames["z"], frames["pos"][i], cell=frames["box"][i], pbc=frames["pbc"][i])
        atoms.info |= {"charge": float(frames["q"][i]), "spin": float(frames["s"][i])}
        stress = frames["stress"][i]
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=frames["y"][i],
            forces=frames["neg_dy"][i],
            stress=stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
            dipole=frames["dp"][i],
            charges=frames["partial_charges"][i],
        )
        made.append(atoms)
    return made


def write_extxyz(path: Path, *sets: dict[str, np.ndarray]) -> Path:
    """All sets in one extended XYZ file."""
    ase.io.write(path, [atoms for frames in sets for atoms in images(frames)], format="extxyz")
    return path


def write_database(path: Path, *sets: dict[str, np.ndarray]) -> Path:
    """All sets in one ASE database."""
    with ase.db.connect(path) as database:
        for frames in sets:
            for atoms in images(frames):
                database.write(atoms, charge=atoms.info["charge"], spin=atoms.info["spin"])
    return path


def write_hdf5(path: Path, *sets: dict[str, np.ndarray], **metadata: Any) -> Path:
    """One group a set."""
    names = {"z": "types", "y": "energy", "neg_dy": "forces", "s": "spin", "dp": "dipole"}
    with h5py.File(path, "w") as output:
        for number, frames in enumerate(sets):
            group = output.create_group(f"molecule{number}")
            for name, values in frames.items():
                group.create_dataset(names.get(name, name), data=values)
        if metadata:
            group = output.create_group("_metadata")
            for name, value in metadata.items():
                group.create_dataset(name, data=value)
    return path


def write_custom(folder: Path, *sets: dict[str, np.ndarray]) -> dict[str, str]:
    """One quadruple of files a set; returns the patterns."""
    folder.mkdir(exist_ok=True)
    for number, frames in enumerate(sets):
        np.save(folder / f"coords_{number}.npy", frames["pos"])
        np.save(folder / f"embed_{number}.npy", frames["z"])
        np.save(folder / f"energy_{number}.npy", frames["y"][:, None])
        np.save(folder / f"forces_{number}.npy", frames["neg_dy"])
    kinds = {"coordglob": "coords", "embedglob": "embed", "energyglob": "energy", "forceglob": "forces"}
    return {key: str(folder / f"{kind}_*.npy") for key, kind in kinds.items()}


def write_npz(path: Path, frames: dict[str, np.ndarray], *, revised: bool = False) -> Path:
    """One molecule in the layout of MD17 or its revision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old, new = ("z", "R", "E", "F"), ("nuclear_charges", "coords", "energies", "forces")
    values = (frames["z"].astype(np.uint8), frames["pos"], frames["y"][:, None], frames["neg_dy"])
    np.savez(path, **dict(zip(new if revised else old, values, strict=True)))
    return path
