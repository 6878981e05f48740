"""Appending frames to the raw arrays of a store that is being built."""

import bisect
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.frames import ATOM_FIELDS, FRAME_FIELDS, LABELS, Field, Frames
from torchmdnet.datasets.store import NUMBERS, ArraySpec, Section, name_frame
from torchmdnet.datasets.validation import DatasetError, Faults, find_faults

__all__ = ["StoreWriter"]

FIELDS: dict[str, Field] = {**ATOM_FIELDS, **FRAME_FIELDS}
OPTIONAL = ("box", "pbc")
"""Fields that some frames of a set may lack: these frames are not periodic."""
AUXILIARY = ("dp", "partial_charges")
"""Fields that come along unasked; they are left out, with a warning, unless all frames have them."""


class StoreWriter:
    """Takes blocks of frames one after the other, checks them and writes them; holds one block at a time.

    Args:
        folder: an empty folder.
        dataset: name to use in messages.
        paths: the source files, for messages.
        hint: how to leave out a quantity that not all frames have, for messages.
    """

    def __init__(self, folder: Path, *, dataset: str, paths: Sequence[str], hint: str = "") -> None:
        self._folder = folder
        self._dataset = dataset
        self._paths = paths
        self._hint = hint
        self._streams: dict[str, BinaryIO] = {}
        self._faults = Faults()
        self._sections: list[Section] = []
        self._numbers: list[NDArray[np.int64]] = []
        self._row_counts: list[NDArray[np.int64]] = []
        self._num_frames = 0
        self._num_atoms = 0
        self._seen: set[str] = set()
        self._left_out: dict[str, int] = {}

    def append(self, frames: Frames) -> None:
        """Check a block and write it.

        Raises:
            DatasetError: an array has the wrong shape for the block.
        """
        if len(frames.num_atoms) == 0:
            return
        self._add_section(frames)
        frames = _with_pbc(frames)
        self._check_shapes(frames)
        frames = self._leave_out_auxiliary(frames)
        find_faults(frames, self._num_frames, self._faults)
        self._find_missing(frames)
        size, atoms = len(frames.num_atoms), int(frames.num_atoms.sum())
        names = set(frames.present()) | (self._streams.keys() & set(OPTIONAL))
        for name in sorted(names):
            values = frames.get(name)
            if values is None:
                values = np.zeros((size, *FIELDS[name].shape))
            self._write(name, values)
        self._row_counts.append(frames.num_atoms.astype(np.int64))
        self._num_frames += size
        self._num_atoms += atoms

    def finish(self) -> tuple[dict[str, ArraySpec], tuple[Section, ...]]:
        """Write what is left and describe the arrays.

        Raises:
            DatasetError: no frames, no labels, or frames with faults.
        """
        if self._num_frames == 0:
            raise DatasetError(f"{self._dataset}: no frames in {', '.join(Path(path).name for path in self._paths)}")
        self._faults.raise_if_any(self._dataset, self._frame_name)
        if not any(name in self._streams for name in LABELS):
            wanted = ", ".join(FIELDS[name].description for name in LABELS)
            raise DatasetError(f"{self._dataset}: there is nothing to train on: the frames have none of {wanted}")
        for name, row in self._left_out.items():
            warnings.warn(
                f"{self._dataset}: {FIELDS[name].description} left out, for not every frame has finite numbers there; "
                f"the first without: {self._frame_name(row)}",
                stacklevel=2,
            )
        row_ptr = np.concatenate([[0], np.cumsum(np.concatenate(self._row_counts))]).astype(np.int64)
        indices = {"row_ptr": row_ptr}
        if not self._frames_follow():
            indices[NUMBERS] = np.concatenate(self._numbers)
        arrays = {name: ArraySpec("int64", values.shape) for name, values in indices.items()}
        for name, values in indices.items():
            self._stream(name).write(values.astype(np.int64).tobytes())
        for name in self._streams.keys() - indices.keys():
            rows = self._num_atoms if name in ATOM_FIELDS else self._num_frames
            arrays[name] = ArraySpec(FIELDS[name].dtype, (rows, *FIELDS[name].shape))
        for stream in self._streams.values():
            stream.flush()
            os.fsync(stream.fileno())
        return arrays, tuple(self._sections)

    def close(self) -> None:
        """Close the files."""
        for stream in self._streams.values():
            stream.close()

    def _stream(self, name: str) -> BinaryIO:
        if name not in self._streams:
            self._streams[name] = (self._folder / f"{name}.mmap").open("wb")
        return self._streams[name]

    def _write(self, name: str, values: NDArray[np.generic]) -> None:
        stream = self._stream(name)
        field = FIELDS[name]
        if name in OPTIONAL and stream.tell() == 0 and self._num_frames:
            stream.write(np.zeros((self._num_frames, *field.shape), dtype=field.dtype).tobytes())
        with np.errstate(invalid="ignore", over="ignore"):
            stream.write(np.ascontiguousarray(values, dtype=field.dtype).data)

    def _add_section(self, frames: Frames) -> None:
        """Note where the frames come from."""
        last = self._sections[-1] if self._sections else None
        if last is None or last.file != frames.file or last.name != frames.section:
            first = int(frames.frame_numbers()[0])
            self._sections.append(Section(self._num_frames, frames.file, frames.section, first))
        self._numbers.append(frames.frame_numbers())

    def _frame_name(self, row: int) -> str:
        section = self._sections[bisect.bisect_right(self._sections, row, key=lambda section: section.start) - 1]
        return name_frame(section, int(np.concatenate(self._numbers)[row]), self._paths)

    def _frames_follow(self) -> bool:
        """Whether the frames of each section follow each other, so that no numbers need be kept."""
        sizes = np.diff([*(section.start for section in self._sections), self._num_frames])
        firsts = [section.first - section.start for section in self._sections]
        return np.array_equal(np.concatenate(self._numbers), np.repeat(firsts, sizes) + np.arange(self._num_frames))

    def _check_shapes(self, frames: Frames) -> None:
        size, atoms = len(frames.num_atoms), int(frames.num_atoms.sum())
        for name in frames.present():
            expected = (atoms if name in ATOM_FIELDS else size, *FIELDS[name].shape)
            given = np.asarray(frames.get(name)).shape
            if given != expected:
                raise DatasetError(
                    f"{self._dataset}: {FIELDS[name].description} of {self._frame_name(self._num_frames)} and the "
                    f"{size - 1} frames after it have shape {given}; {expected} was expected"
                )

    def _leave_out_auxiliary(self, frames: Frames) -> Frames:
        """Give auxiliary fields up that are not finite in every frame so far."""
        for name in AUXILIARY:
            values = frames.get(name)
            finite = np.isfinite(np.asarray(values)) if values is not None else np.zeros(1, dtype=bool)
            unseen_before = values is not None and self._num_frames > 0 and name not in self._seen
            missing_now = values is None and name in self._seen
            if unseen_before or missing_now or (values is not None and not finite.all()):
                wrong = 0 if unseen_before else self._num_frames + _first_frame(frames, name, finite)
                self._left_out.setdefault(name, wrong)
            if name in self._left_out:
                absent: dict[str, Any] = {name: None}
                frames = frames._replace(**absent)
                self._seen.discard(name)
                if name in self._streams:
                    self._streams.pop(name).close()
                (self._folder / f"{name}.mmap").unlink(missing_ok=True)
        return frames

    def _missing(self, name: str) -> str:
        hint = f" ({self._hint})" if self._hint else ""
        return f"no {FIELDS[name].description}, which other frames have{hint}"

    def _find_missing(self, frames: Frames) -> None:
        """A field that one frame has, all must have."""
        present = set(frames.present()) - set(OPTIONAL)
        size = len(frames.num_atoms)
        for name in sorted(present - self._seen):
            self._faults.add(self._missing(name), np.arange(self._num_frames))
        for name in sorted(self._seen - present):
            self._faults.add(self._missing(name), self._num_frames + np.arange(size))
        self._seen |= present


def _first_frame(frames: Frames, name: str, finite: NDArray[np.bool_]) -> int:
    """First frame of a block with a number that is not finite."""
    row = int(np.argmin(finite.reshape(len(finite), -1).all(axis=1)))
    return int(np.searchsorted(np.cumsum(frames.num_atoms), row, side="right")) if name in ATOM_FIELDS else row


def _with_pbc(frames: Frames) -> Frames:
    if frames.box is None:
        return frames._replace(pbc=None)
    if frames.pbc is not None:
        return frames
    has_cell = np.any(frames.box, axis=(1, 2), keepdims=True)
    return frames._replace(pbc=np.broadcast_to(has_cell[:, 0], (len(frames.num_atoms), 3)))
