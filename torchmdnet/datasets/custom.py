"""A user's own NumPy files: coordinates, atomic numbers, energies and forces side by side."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from torchmdnet.datasets.file_units import FileUnits, file_units
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.preparation import Preparation
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset
from torchmdnet.datasets.validation import DatasetError

__all__ = ["Custom"]

BLOCK_ATOMS = 1 << 18
OPTIONS = ("coord_files", "embed_files", "energy_files", "force_files")
Files = str | Path | Sequence[str | Path]


class _Set(NamedTuple):
    """Files that belong together."""

    coords: Path
    embed: Path
    energy: Path | None
    forces: Path | None


class Custom(StoredDataset):
    """Frames from ``.npy`` files. The sorted files of the patterns belong together, first with first and so on.

    Args:
        coordglob: positions, (frames, atoms, 3) each.
        embedglob: atomic numbers, (atoms,) each.
        energyglob: energies, (frames, 1) or (frames,) each.
        forceglob: forces, (frames, atoms, 3) each.
        preload_memory_limit: accepted as in TorchMD-NET; not needed, the data are memory-mapped.
        energy_unit, length_unit: of the numbers in the files; converted to eV and Å.
        transform: applied to every sample when it is asked for.
        pre_transform: applied to every sample before it is stored.
        pre_filter: whether a sample is stored.

    Raises:
        FileNotFoundError: a pattern matches nothing.
        DatasetError: the files do not match, or the data have faults.
    """

    def __init__(
        self,
        coordglob: Files,
        embedglob: Files,
        energyglob: Files | None = None,
        forceglob: Files | None = None,
        preload_memory_limit: int = 1024,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        *,
        energy_unit: str = "eV",
        length_unit: str = "Ang",
    ) -> None:
        globs = {
            "coord_files": coordglob,
            "embed_files": embedglob,
            "energy_files": energyglob,
            "force_files": forceglob,
        }
        found = {key: find_files(pattern, key) for key, pattern in globs.items() if pattern is not None}
        sets = _match(found)
        units = file_units(energy_unit, length_unit)
        preparation = Preparation(pre_filter, pre_transform)
        fields = {key: len(paths) for key, paths in found.items()}
        super().__init__(
            StoreRequest(
                dataset="Custom",
                arguments={"units": units._asdict(), "fields": fields, **preparation.identity()},
                # Coordinates first, so that a frame is named by its file of coordinates
                sources=[path for paths in found.values() for path in paths],
                read=lambda: preparation.apply(_read(sets, units)),
            ),
            transform=transform,
        )


def _match(found: dict[str, list[Path]]) -> list[_Set]:
    if "energy_files" not in found and "force_files" not in found:
        raise DatasetError("Custom: there is nothing to train on; give energy_files, force_files or both")
    num_sets = len(found["coord_files"])
    for key, paths in found.items():
        if len(paths) != num_sets:
            raise DatasetError(
                f"Custom: coord_files and {key} do not match: {num_sets} files ({_names(found['coord_files'])}) and "
                f"{len(paths)} ({_names(paths)})"
            )
    columns = [
        found.get(key, [None] * num_sets) for key in ("coord_files", "embed_files", "energy_files", "force_files")
    ]
    return [_Set(*row) for row in zip(*columns, strict=True)]


def _names(paths: list[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:5])
    return shown + (", ..." if len(paths) > 5 else "")


def _read(sets: list[_Set], units: FileUnits) -> Iterator[Frames]:
    for number, files in enumerate(sets):
        coords, embed = _load(files.coords), _load(files.embed)
        if coords.ndim != 3 or coords.shape[2] != 3:
            raise DatasetError(f"Custom: {files.coords.name} has shape {coords.shape}; (frames, atoms, 3) was expected")
        size, num_atoms = coords.shape[:2]
        if embed.shape not in ((num_atoms,), (1, num_atoms)) or embed.dtype.kind not in "iu":
            raise _mismatch(files.embed, embed, f"{(num_atoms,)} integers", files.coords, coords)
        energy = None if files.energy is None else _load(files.energy)
        if energy is not None and energy.shape not in ((size,), (size, 1)):
            raise _mismatch(files.energy, energy, f"{(size, 1)}", files.coords, coords)
        forces = None if files.forces is None else _load(files.forces)
        if forces is not None and forces.shape != coords.shape:
            raise _mismatch(files.forces, forces, f"{coords.shape}", files.coords, coords)
        step = max(1, BLOCK_ATOMS // max(1, num_atoms))
        for start in range(0, size, step):
            part = slice(start, min(size, start + step))
            length = part.stop - part.start
            yield Frames(
                number,
                "",
                start,
                np.full(length, num_atoms),
                z=np.tile(embed.reshape(-1), length),
                pos=_scaled(coords[part].reshape(-1, 3), units.length),
                y=None if energy is None else _scaled(energy[part].reshape(-1), units.energy),
                neg_dy=None if forces is None else _scaled(forces[part].reshape(-1, 3), units.factor("neg_dy")),
            )


def _scaled(values: NDArray[np.generic], factor: float) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64) * factor


def _load(path: Path) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"Custom: {path} cannot be read as a .npy file of numbers: {error}") from error
    return array


def _mismatch(
    path: Path | None, array: NDArray[np.generic], expected: str, coords_path: Path, coords: NDArray[np.generic]
) -> DatasetError:
    name = path.name if path is not None else ""
    return DatasetError(
        f"Custom: {name} has shape {array.shape} of {array.dtype}, but {coords_path.name} beside it has "
        f"{coords.shape}: {expected} was expected"
    )
