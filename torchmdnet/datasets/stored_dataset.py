"""What every data set is: a torch ``Dataset`` of atomic systems over one memory-mapped store."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torch_geometric.data import Batch, Data

from torchmdnet.datasets.frame_choice import Choice, as_number, chosen_frames, out_of_range
from torchmdnet.datasets.store_build import StoreRequest, open_store

__all__ = ["StoredDataset"]

BLOCK_ATOMS = 1 << 24
BLOCK_FRAMES = 1 << 16

Own = TypeVar("Own", bound="StoredDataset")


class StoredDataset(Dataset[Data]):
    """Atomic systems and their labels, read from a memory-mapped store that is built at first use.

    ``dataset[i]`` is a ``torch_geometric.data.Data`` with z (n,) int64, pos (n, 3), and where the source has them
    y (1, 1), neg_dy (n, 3) = forces, box (1, 3, 3), pbc (1, 3) bool, q (1,), s (1,), stress (1, 3, 3), dp (1, 3),
    partial_charges (n,), and frame (1,) int64, the number i. Everything that is not an integer or a flag is float64.
    Frames without a cell in a set that has cells carry a zero box and no periodic axis.

    ``dataset[:100]``, ``dataset[[4, 2]]`` and ``dataset[mask]`` are data sets of the same class with these frames,
    counted anew from 0; they read the same store, and nothing is copied.

    Args:
        request: what is stored.
        transform: applied to every sample when it is asked for; batches are then collated, which is slower.

    Raises:
        TypeError: ``transform`` cannot be called.
    """

    energy_unit: str = "eV"
    """Unit of the samples' energies; forces and stress are in it and the length unit."""
    length_unit: str = "Å"
    """Unit of the samples' positions and cells."""

    def __init__(self, request: StoreRequest, *, transform: Callable[[Data], Data] | None = None) -> None:
        if transform is not None and not callable(transform):
            raise TypeError(f"transform is {transform!r}; a function of one sample was expected")
        self.name = request.dataset
        self.transform = transform
        self.fitted_atomref: Tensor | None = None
        """Reference energies found from the energies, used where the source brings none. (max_z, 1)"""
        self._store = open_store(request)
        self._rows: NDArray[np.int64] | None = None
        """Rows of the store that are the frames, in order; None if these are all of them."""

    def __len__(self) -> int:
        return len(self._store) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        return f"{self.name}({len(self)} frames: {', '.join(self.fields)})"

    @overload
    def __getitem__(self, index: int) -> Data: ...

    @overload
    def __getitem__(self: Own, index: Choice) -> Own: ...

    def __getitem__(self: Own, index: int | Choice) -> Data | Own:
        """A sample, or the data set of several frames; see :meth:`index_select`."""
        number = as_number(index)
        if not isinstance(number, int):
            return self.index_select(number)
        if not -len(self) <= number < len(self):
            raise IndexError(out_of_range(number, len(self), self.name))
        return self._sample(number)

    def _sample(self, number: int) -> Data:
        """A frame as the caller gets it."""
        tensors, _ = self._gather([number])
        sample = Data(**tensors)
        return sample if self.transform is None else self.transform(sample)

    def index_select(self: Own, idx: Choice) -> Own:
        """A data set of some frames, in the order asked for; it reads the same store.

        Args:
            idx: a slice, whose ends may be fractions (``slice(0.9, None)``); a list, range, array or tensor of numbers,
                negative ones from the end; or one flag for each frame.

        Raises:
            IndexError: a number is out of range, or there are more or fewer flags than frames.
            TypeError: ``idx`` is none of these.
        """
        frames = chosen_frames(idx, len(self), self.name)
        view = copy.copy(self)
        view._rows = frames if self._rows is None else self._rows[frames]
        return view

    @overload
    def shuffle(self: Own, return_perm: Literal[False] = False) -> Own: ...

    @overload
    def shuffle(self: Own, return_perm: Literal[True]) -> tuple[Own, Tensor]: ...

    def shuffle(self: Own, return_perm: bool = False) -> Own | tuple[Own, Tensor]:
        """The frames in an order drawn by PyTorch's generator, and that order if asked for. (len,) int64"""
        order = torch.randperm(len(self))
        shuffled = self.index_select(order)
        return (shuffled, order) if return_perm else shuffled

    def get_batch(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Several frames as one batch, in the order of ``indices``; the same as collating them one by one.

        Shapes: z (N,), pos (N, 3), batch (N,), ptr (B + 1,), y (B, 1), neg_dy (N, 3), box (B, 3, 3), pbc (B, 3),
        q (B,), s (B,), stress (B, 3, 3), dp (B, 3), partial_charges (N,), frame (B,). ``num_graphs`` is B.

        Raises:
            IndexError: a number is out of range.
        """
        if self.transform is not None:
            return Batch.from_data_list([self[int(index)] for index in indices])
        tensors, num_atoms = self._gather(indices)
        size = len(num_atoms)
        ptr = np.zeros(size + 1, dtype=np.int64)
        np.cumsum(num_atoms, out=ptr[1:])
        owner = np.repeat(np.arange(size), num_atoms)
        batch = Batch(batch=torch.from_numpy(owner), ptr=torch.from_numpy(ptr), **tensors)
        batch._num_graphs = size
        return batch

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the quantities the samples carry."""
        return self._store.fields

    @property
    def num_atoms(self) -> Tensor:
        """Atoms of each frame. (len,) int64"""
        counts = np.diff(self._store.row_ptr)
        return torch.from_numpy(counts if self._rows is None else counts[self._rows])

    @property
    def metadata(self) -> dict[str, Any]:
        """What the source says about itself."""
        return self._store.index.metadata

    def energies(self) -> Tensor:
        """Energy of every frame, in the unit of the samples. (len,) float64

        Raises:
            KeyError: the set has no energies.
        """
        if "y" not in self.fields:
            raise KeyError(f"{self.name} has no energies, only {', '.join(self.fields)}")
        energies = self._store.rows("y")
        return torch.from_numpy(energies.copy() if self._rows is None else energies[self._rows])

    def atomic_numbers(self) -> Tensor:
        """Atomic numbers that occur, ascending."""
        counts = np.zeros(256, dtype=np.int64)
        for z in self._blocks_of_z():
            counts += np.bincount(z, minlength=256)
        return torch.from_numpy(np.flatnonzero(counts))

    def frames_with_element_from(self, limit: int) -> list[int]:
        """Frames that hold an atomic number of at least ``limit``."""
        atoms = np.flatnonzero(self._store.rows("z") >= limit)
        return self._frames_at(np.unique(np.searchsorted(self._store.row_ptr, atoms, side="right") - 1)).tolist()

    def frames_of_files(self, first: int, last: int) -> NDArray[np.int64]:
        """Numbers of the frames that come from source files ``first`` to ``last - 1``."""
        sections = self._store.index.sections
        ends = [section.start for section in sections[1:]] + [len(self._store)]
        kept = [np.arange(s.start, end) for s, end in zip(sections, ends, strict=True) if first <= s.file < last]
        return self._frames_at(np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64))

    def frame_name(self, index: int) -> str:
        """Where a frame comes from: ``file.xyz, frame 17``, counted from 0."""
        return self._store.frame_name(self._row(index))

    def get_atomref(self, max_z: int = 100) -> Tensor | None:
        """Reference energy of each element: from the source, or else ``fitted_atomref``. (max_z, 1) float64 or None"""
        table = self.metadata.get("atomref", self.fitted_atomref)
        if table is None:
            return None
        rows = torch.zeros(max_z, 1, dtype=torch.float64)
        values = torch.as_tensor(table, dtype=torch.float64).reshape(-1, 1)[:max_z]
        rows[: len(values)] = values
        return rows

    def _row(self, index: int) -> int:
        """Row of the store."""
        number = index % len(self)
        return number if self._rows is None else int(self._rows[number])

    def _frames_at(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of the frames that are at some rows of the store."""
        return rows if self._rows is None else np.flatnonzero(np.isin(self._rows, rows))

    def _blocks_of_z(self) -> Iterator[NDArray[Any]]:
        """Atomic numbers of all frames, some million at a time."""
        if self._rows is None:
            z = self._store.rows("z")
            yield from (z[start : start + BLOCK_ATOMS] for start in range(0, len(z), BLOCK_ATOMS))
            return
        rows = np.unique(self._rows)
        for start in range(0, len(rows), BLOCK_FRAMES):
            yield self._store.gather(rows[start : start + BLOCK_FRAMES], fields=("z",)).arrays["z"]

    def _gather(self, indices: Sequence[int] | NDArray[np.int64]) -> tuple[dict[str, Tensor], NDArray[np.int64]]:
        numbers = np.asarray(indices, dtype=np.int64).reshape(-1)
        if self._rows is None:
            gathered = self._store.gather(numbers)
        else:
            gathered = self._store.gather(self._rows[chosen_frames(numbers, len(self), self.name)])
        tensors = {name: torch.from_numpy(values) for name, values in gathered.arrays.items()}
        tensors["z"] = tensors["z"].long()
        if "y" in tensors:
            tensors["y"] = tensors["y"].unsqueeze(1)
        tensors["frame"] = torch.from_numpy(np.where(numbers < 0, numbers + len(self), numbers))
        return tensors, gathered.num_atoms
