"""Files of mdCATH: the one of statistics and one a domain, as described in its data card."""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np


class Run(NamedTuple):
    """Statistics of one trajectory."""

    frames: int
    smallest: float = 1.0
    largest: float = 1.5
    alpha: float = 50.0
    beta: float = 10.0


Domain = dict[tuple[str, str], Run]

DOMAINS: dict[str, tuple[int, int, Domain]] = {
    "1abcA00": (5, 50, {("320", "0"): Run(4), ("348", "0"): Run(5), ("348", "1"): Run(7, 1.2, 2.5, 30.0, 30.0)}),
    "2defB01": (7, 90, {("348", "0"): Run(6, 0.8, 1.1, 10.0, 20.0), ("413", "3"): Run(3, 0.8, 1.1, 10.0, 20.0)}),
    "3ghiC02": (4, 120, {("348", "0"): Run(2, 1.4, 1.9, 0.0, 80.0)}),
}
"""Atoms, residues and trajectories of each domain."""
NUMBERS = np.array([6, 1, 7, 8, 1, 1, 6])


def write_mdcath(root: Path) -> Path:
    """Write all domains; the first atom moves by 10 Å from frame to frame, its force is the number of the frame."""
    raw = root / "raw"
    raw.mkdir(parents=True)
    with h5py.File(raw / "mdcath_source.h5", "w") as source:
        for name, (num_atoms, num_residues, runs) in DOMAINS.items():
            z = NUMBERS[:num_atoms]
            with h5py.File(raw / f"mdcath_dataset_{name}.h5", "w") as file:
                file.attrs["layout"] = "mdcath-only-protein-v1.0"
                file[f"{name}/z"] = z
                for (temperature, replica), run in runs.items():
                    _write_run(file.create_group(f"{name}/{temperature}/{replica}"), num_atoms, run.frames)
            domain = source.create_group(name)
            domain.attrs.update(
                numResidues=num_residues, numProteinAtoms=num_atoms, numChains=1, numNoHAtoms=int((z != 1).sum())
            )
            for place, run in runs.items():
                domain.create_group("/".join(place)).attrs.update(
                    numFrames=run.frames,
                    min_gyration_radius=run.smallest,
                    max_gyration_radius=run.largest,
                    alpha=run.alpha,
                    beta=run.beta,
                    coil=100.0 - run.alpha - run.beta,
                )
            domain.create_group("379/0")  # a simulation that failed has no attributes
    return root


def _write_run(group: h5py.Group, num_atoms: int, num_frames: int) -> None:
    frames = np.arange(num_frames)[:, None, None]
    coords = 1.5 * np.arange(num_atoms)[None, :, None] + 10.0 * frames * np.ones(3)
    group.attrs["numFrames"] = num_frames
    group["coords"] = coords.astype(np.float32)
    group["coords"].attrs["unit"] = "Angstrom"
    group["forces"] = (frames * np.ones((1, num_atoms, 3))).astype(np.float32)
    group["forces"].attrs["unit"] = "kcal/mol/Angstrom"
    group["box"] = 5.0 * np.eye(3)
