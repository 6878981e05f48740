"""NumPy archives of one molecule's trajectory, as sGDML and the revised MD17 publish them."""

import difflib
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torchmdnet.datasets.file_units import FileUnits
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.validation import DatasetError

__all__ = ["molecule_names", "read_npz_molecule", "read_npz_molecules"]

LAYOUTS = (
    {"z": "z", "pos": "R", "y": "E", "neg_dy": "F"},
    {"z": "nuclear_charges", "pos": "coords", "y": "energies", "neg_dy": "forces"},
)
BLOCK_ATOMS = 1 << 18


def molecule_names(
    molecules: str | Sequence[str] | None, known: Collection[str], *, dataset: str, spellings: Mapping[str, str]
) -> list[str]:
    """The molecules a user names, one in a string, several parted by commas or in a list.

    Args:
        molecules: what the user gave.
        known: names there are.
        dataset: name of the class, for messages.
        spellings: what else parts of the names are known as.

    Raises:
        ValueError: no name is given, or one is unknown or given twice.
    """
    listed = ", ".join(known)
    if not molecules:
        raise ValueError(
            f"{dataset}: molecules is missing; give dataset_arg: {{molecules: NAME}}, NAME one of {listed}"
        )
    names: list[str] = []
    for name in molecules.split(",") if isinstance(molecules, str) else molecules:
        key = str(name).strip()
        for other, own in spellings.items():
            key = key.replace(other, own)
        if key not in known:
            close = difflib.get_close_matches(key, list(known), n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"{dataset}: molecule '{name}' is none of {listed}{meant}")
        if key in names:
            raise ValueError(
                f"{dataset}: molecule '{name}' is given twice; its frames would be both trained and tested on"
            )
        names.append(key)
    return names


def read_npz_molecules(paths: Sequence[Path], units: FileUnits) -> Iterator[Frames]:
    """Blocks of frames of several files, in order."""
    for file, path in enumerate(paths):
        yield from read_npz_molecule(path, file=file, units=units)


def read_npz_molecule(path: Path, *, file: int, units: FileUnits) -> Iterator[Frames]:
    """Blocks of frames from z (a,), R (n, a, 3), E (n,) or (n, 1), F (n, a, 3), or the names of the revised MD17.

    Raises:
        DatasetError: the file cannot be read, lacks an array, or its arrays do not match.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            layout = next((names for names in LAYOUTS if all(name in content for name in names.values())), None)
            if layout is None:
                wanted = " or ".join(", ".join(names.values()) for names in LAYOUTS)
                raise DatasetError(f"{path} has arrays {', '.join(content.files)}; {wanted} were expected")
            arrays: dict[str, Any] = {field: content[name] for field, name in layout.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path} cannot be read as an npz archive: {error}") from error
    pos = arrays["pos"]
    if pos.ndim != 3 or pos.shape[2] != 3:
        raise DatasetError(f"{path}: {layout['pos']} has shape {pos.shape}; (frames, atoms, 3) was expected")
    size, num_atoms = pos.shape[:2]
    expected = {"z": [(num_atoms,)], "y": [(size,), (size, 1)], "neg_dy": [pos.shape]}
    for field, shapes in expected.items():
        if arrays[field].shape not in shapes:
            raise DatasetError(
                f"{path}: {layout[field]} has shape {arrays[field].shape}, but {layout['pos']} has {pos.shape}: "
                f"{shapes[-1]} was expected"
            )
    step = max(1, BLOCK_ATOMS // max(1, num_atoms))
    for start in range(0, size, step):
        stop = min(size, start + step)
        yield Frames(
            file,
            "",
            start,
            np.full(stop - start, num_atoms),
            z=np.tile(arrays["z"], stop - start),
            pos=pos[start:stop].reshape(-1, 3) * units.length,
            y=arrays["y"][start:stop].reshape(-1) * units.energy,
            neg_dy=arrays["neg_dy"][start:stop].reshape(-1, 3) * units.factor("neg_dy"),
        )
