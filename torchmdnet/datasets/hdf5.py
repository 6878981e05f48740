"""HDF5 files in TorchMD-NET's layout: one group a molecule, frames stacked in each array."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from torchmdnet.datasets.file_units import FileUnits, file_units
from torchmdnet.datasets.frames import ATOM_FIELDS, FRAME_FIELDS, Frames
from torchmdnet.datasets.preparation import Preparation
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.datasets.virial import stress_from_virial

__all__ = ["HDF5", "write_as_hdf5"]

NAMES: dict[str, tuple[str, ...]] = {
    "z": ("types",),
    "pos": ("pos",),
    "y": ("energy",),
    "neg_dy": ("forces",),
    "box": ("box",),
    "pbc": ("pbc",),
    "q": ("q", "charge"),
    "s": ("s", "spin"),
    "stress": ("stress",),
    "virial": ("virial",),
    "dp": ("dp", "dipole"),
    "partial_charges": ("partial_charges", "pq"),
}
"""Names of each field's array in a group."""
METADATA = "_metadata"
BLOCK_ATOMS = 1 << 18


class HDF5(StoredDataset):
    """Frames of HDF5 files.

    Every group of a file holds frames of as many atoms each: ``pos`` (n, a, 3), ``types`` (n, a) or (a,), and any of
    ``energy`` (n,), ``forces`` (n, a, 3), ``box`` (n, 3, 3) or (3, 3), ``pbc`` (n, 3) or (3,), ``q``, ``spin`` (n,) or
    one number, ``stress`` or ``virial`` (n, 3, 3), ``dipole`` (n, 3), ``partial_charges`` (n, a). A group ``_metadata``
    gives attributes of the data set (``distance_scale``, ``energy_scale``, ``atomic_number``, ``atomref``).

    Args:
        filename: one or several files or patterns, in a list or parted by ``;``.
        dataset_preload_limit: accepted as in TorchMD-NET; not needed, the data are memory-mapped.
        energy_unit, length_unit: of the numbers in the file; converted to eV and Å.
        transform: applied to every sample when it is asked for.
        pre_transform: applied to every sample before it is stored.
        pre_filter: whether a sample is stored.

    Raises:
        FileNotFoundError: a file does not exist or a pattern matches nothing.
        DatasetError: a file has another layout, or the data have faults.
    """

    def __init__(
        self,
        filename: str | Path | Sequence[str | Path],
        dataset_preload_limit: int = 1024,
        *,
        energy_unit: str = "eV",
        length_unit: str = "Ang",
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
    ) -> None:
        paths = find_files(filename)
        units = file_units(energy_unit, length_unit)
        preparation = Preparation(pre_filter, pre_transform)
        super().__init__(
            StoreRequest(
                dataset="HDF5",
                arguments={"units": units._asdict(), **preparation.identity()},
                sources=paths,
                read=lambda: preparation.apply(_read(paths, units)),
                metadata=lambda: _read_metadata(paths),
            ),
            transform=transform,
        )
        for name, value in self.metadata.items():
            if not hasattr(self, name):
                setattr(self, name, value)


def write_as_hdf5(files: Mapping[str, Sequence[str | Path]], path: str | Path, tile_embed: bool = True) -> None:
    """Write ``.npy`` files as one HDF5 file, a group ``"0"``, ``"1"``, ... for each set of files.

    Args:
        files: lists of ``.npy`` files by field: "pos" (n, a, 3) and "z" (a,), and where at hand "y" (n,) or (n, 1) and
            "neg_dy" (n, a, 3); as many files in each list.
        path: the file to write.
        tile_embed: write ``types`` once a frame, (n, a), instead of once, (a,).

    Raises:
        ValueError: a list is missing, unknown or of another length.
    """
    fields = {"pos": "pos", "z": "types", "y": "energy", "neg_dy": "forces"}
    unknown = [key for key in files if key not in fields]
    missing = [key for key in ("pos", "z") if key not in files]
    if unknown or missing:
        raise ValueError(f"files has {', '.join(files)}; it must have pos and z and may have y and neg_dy")
    counts = {key: len(names) for key, names in files.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"files must list as many files for each field, not {counts}")
    with h5py.File(path, "w") as output:
        for number in range(counts["pos"]):
            group = output.create_group(str(number))
            arrays = {fields[key]: np.load(names[number]) for key, names in files.items()}
            if tile_embed and arrays["types"].ndim == 1:
                arrays["types"] = np.tile(arrays["types"], (len(arrays["pos"]), 1))
            if "energy" in arrays:
                arrays["energy"] = arrays["energy"].reshape(-1)
            for name, values in arrays.items():
                group.create_dataset(name, data=values)


def _read(paths: Sequence[Path], units: FileUnits) -> Iterator[Frames]:
    for file, path in enumerate(paths):
        try:
            opened = h5py.File(path, "r")
        except OSError as error:
            raise DatasetError(f"HDF5: {path} cannot be read: {error}") from error
        with opened:
            for name in opened:
                if name != METADATA:
                    yield from _read_group(
                        opened[name], name, file=file, where=f"{path.name}, group {name}", units=units
                    )


def _read_group(group: Any, name: str, *, file: int, where: str, units: FileUnits) -> Iterator[Frames]:
    if not isinstance(group, h5py.Group) or "pos" not in group or "types" not in group:
        found = ", ".join(group) if isinstance(group, h5py.Group) else "an array"
        raise DatasetError(
            f"HDF5: {where} has {found or 'nothing'}; groups with arrays pos, types, energy, forces are read"
        )
    arrays = _find_arrays(group, where)
    if arrays["pos"].ndim != 3 or arrays["pos"].shape[2] != 3:
        raise DatasetError(f"HDF5: {where}: pos has shape {arrays['pos'].shape}; (frames, atoms, 3) was expected")
    size, num_atoms = arrays["pos"].shape[:2]
    step = max(1, BLOCK_ATOMS // max(1, num_atoms))
    for start in range(0, size, step):
        stop = min(size, start + step)
        read = {
            field: _rows(field, array, start, stop, shape=(size, num_atoms), where=where) * units.factor(field)
            for field, array in arrays.items()
            if field not in ("z", "pbc", "virial")
        }
        if "virial" in arrays and "stress" not in arrays:
            virial = _rows("virial", arrays["virial"], start, stop, shape=(size, num_atoms), where=where)
            read["stress"] = stress_from_virial(virial * units.energy, read.get("box"), where=where)
        for field in ("z", "pbc"):
            if field in arrays:
                read[field] = _rows(field, arrays[field], start, stop, shape=(size, num_atoms), where=where)
        yield Frames(file, name, start, np.full(stop - start, num_atoms), **read)


def _find_arrays(group: Any, where: str) -> dict[str, Any]:
    arrays = {}
    for field, names in NAMES.items():
        present = [name for name in names if name in group]
        if len(present) > 1:
            raise DatasetError(f"HDF5: {where} has both {' and '.join(present)}; leave one of them out")
        if present:
            arrays[field] = group[present[0]]
    return arrays


def _rows(field: str, array: Any, start: int, stop: int, *, shape: tuple[int, int], where: str) -> NDArray[Any]:
    """Rows ``start`` to ``stop`` of an array that has one row a frame, or one row for all frames."""
    size, num_atoms = shape
    known = {**ATOM_FIELDS, **FRAME_FIELDS, "virial": FRAME_FIELDS["stress"]}[field]
    row = (num_atoms, *known.shape) if field in ATOM_FIELDS else known.shape
    per_frame = [(size, *row), (size, *row, 1)]
    if array.shape in per_frame:
        values = array[start:stop]
    elif array.shape in (row, (1, *row)) and field not in ("pos", "y", "neg_dy", "stress", "virial", "dp"):
        values = np.broadcast_to(np.asarray(array[()]).reshape(row), (stop - start, *row))
    else:
        raise DatasetError(
            f"HDF5: {where}: {array.name.split('/')[-1]} has shape {array.shape}; {per_frame[0]} was expected"
        )
    if field == "z" and values.dtype.kind not in "iu":
        raise DatasetError(f"HDF5: {where}: types are {values.dtype}; atomic numbers are integers")
    flat = (-1, *known.shape) if field in ATOM_FIELDS else (stop - start, *row)
    return values.reshape(flat) if field in ("z", "pbc") else values.reshape(flat).astype(np.float64)


def _read_metadata(paths: Sequence[Path]) -> dict[str, Any]:
    """Arrays and attributes of the ``_metadata`` groups, as numbers, texts and lists."""
    merged: dict[str, Any] = {}
    for path in paths:
        with h5py.File(path, "r") as opened:
            if METADATA not in opened:
                continue
            group = opened[METADATA]
            found = {name: group[name][()] for name in group} | dict(group.attrs)
        for name, value in found.items():
            array = np.asarray(value)
            plain = value.decode() if isinstance(value, bytes) else array.item() if array.size == 1 else array.tolist()
            if merged.setdefault(name, plain) != plain:
                raise DatasetError(f"HDF5: {path}: {METADATA}/{name} differs from that of another file")
    return merged
