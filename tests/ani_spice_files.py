"""Small files in the layouts of the ANI family, SPICE and MACE-OFF, as their publishers describe them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ANI_ELEMENTS = np.array([1, 6, 7, 8, 9, 16, 17])


def write_groups(path: Path, groups: Mapping[str, Mapping[str, Any]]) -> Path:
    """An HDF5 file of groups of arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as output:
        for group, arrays in groups.items():
            for name, values in arrays.items():
                output[f"{group}/{name}"] = values
    return path


def conformations(num_atoms: int, count: int, seed: int = 0) -> np.ndarray:
    """Atoms along a line, displaced. (count, num_atoms, 3) float32"""
    displaced = 0.1 * np.random.default_rng(seed).normal(size=(count, num_atoms, 3))
    return (displaced + 1.5 * np.arange(num_atoms)[:, None]).astype(np.float32)


def ani_group(symbols: str, energies: list[float], *, seed: int = 0, derivatives: bool = True) -> dict[str, np.ndarray]:
    """One molecule of ANI-1 (without derivatives) or COMP6 v1."""
    rng = np.random.default_rng(seed)
    positions = conformations(len(symbols), len(energies), seed)
    group = {
        "species": np.array(list(symbols), dtype="S1"),
        "coordinates": positions,
        "energies": np.array(energies),
    }
    return group | ({"forces": rng.normal(size=positions.shape).astype(np.float32)} if derivatives else {})


def ani1x_group(z: list[int], count: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """One formula of ANI-1x."""
    rng = np.random.default_rng(seed)
    positions = conformations(len(z), count, seed)
    return {
        "atomic_numbers": np.array(z, dtype=np.uint8),
        "coordinates": positions,
        "wb97x_dz.energy": rng.normal(size=count),
        "wb97x_dz.forces": rng.normal(size=positions.shape).astype(np.float32),
        "ccsd(t)_cbs.energy": rng.normal(size=count),
    }


def size_group(num_atoms: int, count: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """All molecules of as many atoms, as in ANI-2x and COMP6 v2."""
    rng = np.random.default_rng(seed)
    positions = conformations(num_atoms, count, seed)
    return {
        "species": rng.choice(ANI_ELEMENTS, size=(count, num_atoms)),
        "coordinates": positions,
        "energies": rng.normal(size=count),
        "forces": rng.normal(size=positions.shape).astype(np.float32),
    }


def spice_group(count: int, *, subset: str = "A", energy: float = 0.0, slope: float = 0.01) -> dict[str, Any]:
    """A water of SPICE; on its first two atoms conformation i has a gradient of ``i * slope`` along x."""
    gradient = np.zeros((count, 3, 3), dtype=np.float32)
    gradient[:, :2, 0] = slope * np.arange(count)[:, None]
    return {
        "atomic_numbers": np.array([8, 1, 1], dtype=np.int16),
        "conformations": 2 * conformations(3, count),
        "formation_energy": energy + np.arange(count, dtype=np.float64),
        "dft_total_gradient": gradient,
        "subset": np.array([subset], dtype=h5py.string_dtype()),
    }


def maceoff_frame(symbols: list[str], energy: float, force: float = 0.5) -> str:
    """A frame of MACE-OFF whose atoms all have a force along y."""
    lines = [f"{symbol} {1.5 * i:.8f} 0.25 -1e-3 0.0 {force} 0.0 9.0 9.0 9.0" for i, symbol in enumerate(symbols)]
    comment = (
        f'Properties=species:S:1:pos:R:3:forces:R:3:other:R:3 smiles="[H]" MACE_energy=7.0 energy={energy} pbc="F F F"'
    )
    return "\n".join([str(len(symbols)), comment, *lines, ""])
