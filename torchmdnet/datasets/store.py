"""The memory-mapped store under every data set: raw arrays in a folder and an index in JSON.

``index.json`` lists the arrays (type, shape), the source files they were made from and the sections of these files, so
that a row can be traced back to its frame; where frames were left out, an array ``numbers`` has their numbers within
the sections. Atoms of frame i are rows ``row_ptr[i]:row_ptr[i + 1]`` of the atom fields. A folder is whole when its
index is there and every array has the size the index says.
"""

import bisect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.frames import ATOM_FIELDS, FRAME_FIELDS
from torchmdnet.datasets.sources import Source, SourceStat

__all__ = [
    "FORMAT_VERSION",
    "NUMBERS",
    "ArraySpec",
    "Gathered",
    "Section",
    "Store",
    "StoreIndex",
    "read_index",
    "write_index",
]

FORMAT_VERSION = 1
INDEX_NAME = "index.json"
NUMBERS = "numbers"
"""Array with the number of each frame within its section, where they do not follow each other."""


class ArraySpec(NamedTuple):
    """Type and shape of one raw array."""

    dtype: str
    shape: tuple[int, ...]


class Section(NamedTuple):
    """Rows that come from one section of one source file, from consecutive frames unless the store has numbers."""

    start: int
    """First row in the store."""
    file: int
    """Index among the sources."""
    name: str
    """Group within the file, empty if it has none."""
    first: int
    """Number of the first frame within the section."""


class StoreIndex(NamedTuple):
    """Content of ``index.json``."""

    version: int
    sources: tuple[Source, ...]
    arrays: dict[str, ArraySpec]
    sections: tuple[Section, ...]
    metadata: dict[str, Any]
    """What the source says about itself, for example a table of reference energies."""


class Gathered(NamedTuple):
    """Some frames, copied out of the store."""

    num_atoms: NDArray[np.int64]
    """Atoms of each frame. (B,)"""
    arrays: dict[str, NDArray[Any]]
    """Rows of each field present."""


def write_index(folder: Path, index: StoreIndex) -> None:
    """Write ``index.json``, last of all files of a store."""
    content = index._asdict()
    content["sources"] = [[list(source.stat), source.content] for source in index.sources]
    (folder / INDEX_NAME).write_text(json.dumps(content))


def read_index(folder: Path) -> StoreIndex | None:
    """The index of a whole store of this format version, or None."""
    try:
        content = json.loads((folder / INDEX_NAME).read_text())
        index = StoreIndex(
            version=content["version"],
            sources=tuple(Source(SourceStat(*stat), digest) for stat, digest in content["sources"]),
            arrays={name: ArraySpec(dtype, tuple(shape)) for name, (dtype, shape) in content["arrays"].items()},
            sections=tuple(Section(*section) for section in content["sections"]),
            metadata=content["metadata"],
        )
        sizes = {name: (folder / f"{name}.mmap").stat().st_size for name in index.arrays}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(sizes[name] == _num_bytes(spec) for name, spec in index.arrays.items())
    return index if whole and index.version == FORMAT_VERSION else None


def _num_bytes(spec: ArraySpec) -> int:
    return int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize


class Store:
    """Read access to a whole store; cheap to pickle, each process maps the files itself.

    Raises:
        FileNotFoundError: the folder holds no whole store.
    """

    def __init__(self, folder: Path) -> None:
        index = read_index(folder)
        if index is None:
            raise FileNotFoundError(f"{folder} holds no whole data store; open the data set again to build it")
        self.folder = folder
        self.index = index
        self._starts = [section.start for section in index.sections]
        # A plain array over the map: the memmap class costs microseconds at every indexing
        self._maps: dict[str, NDArray[Any]] = {
            name: np.asarray(np.memmap(folder / f"{name}.mmap", dtype=spec.dtype, mode="r", shape=spec.shape))
            for name, spec in index.arrays.items()
        }
        self.row_ptr = self._maps["row_ptr"]

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.row_ptr) - 1

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the quantities stored, atom fields first."""
        return tuple(name for name in (*ATOM_FIELDS, *FRAME_FIELDS) if name in self._maps)

    def rows(self, field: str) -> NDArray[Any]:
        """All rows of a field, mapped, read-only."""
        return self._maps[field]

    def gather(self, indices: Sequence[int] | NDArray[np.int64], *, fields: Sequence[str] | None = None) -> Gathered:
        """Copy frames out, in the order asked for: the fields named, or all of them.

        Raises:
            IndexError: a frame number is not in ``[-len, len)``.
        """
        frames = np.asarray(indices, dtype=np.int64)
        size = len(self)
        if frames.size and (frames.min() < -size or frames.max() >= size):
            wrong = frames[(frames < -size) | (frames >= size)][0]
            raise IndexError(f"frame {wrong} was asked for, but the data set has {size} frames (0 to {size - 1})")
        frames = np.where(frames < 0, frames + size, frames)
        starts = self.row_ptr[frames]
        num_atoms = self.row_ptr[frames + 1] - starts
        ends = np.cumsum(num_atoms)
        atoms = np.repeat(starts - ends + num_atoms, num_atoms)
        atoms += np.arange(len(atoms))
        arrays = {name: self._maps[name][atoms if name in ATOM_FIELDS else frames] for name in fields or self.fields}
        return Gathered(num_atoms, arrays)

    def section(self, row: int) -> Section:
        """The section of a source file that a row comes from."""
        return self.index.sections[bisect.bisect_right(self._starts, row) - 1]

    def frame_number(self, row: int) -> int:
        """Number of a row's frame within its section, counted from 0."""
        section = self.section(row)
        return int(self._maps[NUMBERS][row]) if NUMBERS in self._maps else section.first + row - section.start

    def frame_name(self, row: int) -> str:
        """Where a row comes from: file, group if any, and number of the frame there, counted from 0."""
        paths = [source.stat.path for source in self.index.sources]
        return name_frame(self.section(row), self.frame_number(row), paths)


def name_frame(section: Section, number: int, paths: Sequence[str]) -> str:
    """``file.h5, group water, frame 17`` for a frame of a section."""
    group = f", group {section.name}" if section.name else ""
    return f"{Path(paths[section.file]).name}{group}, frame {number}"
