"""The extended XYZ file of MACE-OFF: ``energy=`` in the second line, then symbol, position, force and what is ignored.

Its columns are read by place: a general reader takes several times as long over a million frames.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from torchmdnet.datasets.frames import Frames, concatenate
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.elements import ATOMIC_NUMBERS

__all__ = ["read_maceoff"]

BLOCK_FRAMES = 2048
NUM_COLUMNS = 7
"""Columns that are read; what follows is ignored."""
_ENERGY = re.compile(r"(?<!\S)energy=(\S+)")


def read_maceoff(path: Path) -> Iterator[Frames]:
    """Blocks of frames: energy (eV), positions (Å), forces (eV/Å).

    Raises:
        DatasetError: a frame cannot be read or is cut off; says which.
    """
    with path.open(encoding="utf-8", errors="replace") as stream:
        frames = _frames(stream, path)
        while block := list(islice(frames, BLOCK_FRAMES)):
            yield concatenate(block)


def _frames(stream: TextIO, path: Path) -> Iterator[Frames]:
    number = 0
    for count in stream:
        if not count.strip():
            continue
        where = f"{path}, frame {number}"
        if not count.strip().isdecimal() or int(count) == 0:
            raise DatasetError(f"{where} starts with {count.strip()[:120]!r}; a number of atoms was expected")
        num_atoms = int(count)
        lines = list(islice(stream, num_atoms + 1))
        if len(lines) != num_atoms + 1:
            raise DatasetError(f"{where} has {num_atoms} atoms, but the file ends after {max(0, len(lines) - 1)}")
        yield _parse(lines[0], lines[1:], number=number, where=where)
        number += 1


def _parse(comment: str, atoms: list[str], *, number: int, where: str) -> Frames:
    found = _ENERGY.search(comment)
    if found is None:
        raise DatasetError(f"{where} has no energy= in its second line, {comment.strip()[:120]!r}")
    rows = [line.split() for line in atoms]
    for row in rows:
        if len(row) < NUM_COLUMNS or row[0] not in ATOMIC_NUMBERS:
            raise DatasetError(f"{where} has a line {' '.join(row)!r}; 'symbol x y z fx fy fz ...' was expected")
    try:
        z = np.array([ATOMIC_NUMBERS[row[0]] for row in rows])
        values = np.array([row[1:NUM_COLUMNS] for row in rows], dtype=np.float64)
        energy = float(found[1])
    except ValueError as error:
        raise DatasetError(f"{where} cannot be read: {error}") from error
    return Frames(0, "", number, np.array([len(z)]), z=z, pos=values[:, :3], neg_dy=values[:, 3:], y=np.array([energy]))
