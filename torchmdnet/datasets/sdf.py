"""SDF files (MDL V2000): one molecule after the other, with the data items that follow each."""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.validation import DatasetError
from torchmdnet.elements import ATOMIC_NUMBERS

__all__ = ["SDFRecord", "read_sdf"]

HEADER_LINES = 4
"""Title, program, comment, counts."""
END_OF_BLOCK = "M  END"
END_OF_RECORD = "$$$$"
_NUMBER_OF = ATOMIC_NUMBERS | {"D": 1, "T": 1}


class SDFRecord(NamedTuple):
    """One molecule of an SDF file.

    Formal charges are left out: they come from perceiving bonds, and in published files do not always add up to the
    charge of the molecule.
    """

    title: str
    """First line of its block."""
    numbers: NDArray[np.int64]
    """Atomic numbers. (a,)"""
    positions: NDArray[np.float64]
    """As in the file, by the format Å. (a, 3)"""
    properties: dict[str, str]
    """Data items by name, several lines joined by line breaks."""


def read_sdf(path: Path) -> Iterator[SDFRecord]:
    """Molecules of a file in order, one in memory at a time.

    The columns are fixed (CTfile formats, BIOVIA): x, y, z have ten characters each, the symbol follows after a space,
    so numbers that touch are told apart.

    Raises:
        FileNotFoundError: there is no such file.
        DatasetError: a block is not V2000, is cut off, or has an unknown element; says which record and line.
    """
    with path.open(encoding="utf-8", errors="replace") as stream:
        lines: list[str] = []
        start, number = 1, 0
        for line_number, line in enumerate(stream, start=1):
            if not line.startswith(END_OF_RECORD):
                lines.append(line.rstrip("\r\n"))
                continue
            yield _parse(lines, f"{path}, record {number} (from line {start})")
            lines, start, number = [], line_number + 1, number + 1
        if any(line.strip() for line in lines):
            yield _parse(lines, f"{path}, record {number} (from line {start})")


def _parse(lines: list[str], where: str) -> SDFRecord:
    counts = lines[HEADER_LINES - 1] if len(lines) >= HEADER_LINES else ""
    if "V3000" in counts or not counts[:3].strip().isdigit():
        raise DatasetError(
            f"{where}: the fourth line is {counts!r}; counts of a V2000 block, such as "
            "'  5  4  0  0  0  0  0  0  0  0999 V2000', were expected"
        )
    end = HEADER_LINES + int(counts[:3])
    atoms = lines[HEADER_LINES:end]
    if len(lines) < end:
        raise DatasetError(f"{where}: the block has {len(atoms)} atom lines, but its counts line says {counts[:3]}")
    if not any(line.startswith(END_OF_BLOCK) for line in lines[end:]):
        raise DatasetError(f"{where}: the block has no line {END_OF_BLOCK!r}; the file is cut off")
    numbers = np.empty(len(atoms), dtype=np.int64)
    positions = np.empty((len(atoms), 3), dtype=np.float64)
    for row, line in enumerate(atoms):
        try:
            positions[row] = float(line[0:10]), float(line[10:20]), float(line[20:30])
            numbers[row] = _NUMBER_OF[line[30:34].strip()]
        except (ValueError, KeyError) as error:
            raise DatasetError(
                f"{where}: atom line {line!r} cannot be read; three numbers of ten characters and the symbol of an "
                "element were expected"
            ) from error
    return SDFRecord(lines[0].strip(), numbers, positions, _properties(lines[end:]))


def _properties(lines: list[str]) -> dict[str, str]:
    """Data items: a line ``> ... <NAME> ...``, the value, a blank line."""
    found: dict[str, str] = {}
    remaining = iter(lines)
    for line in remaining:
        if line.startswith(">"):
            name = line[line.find("<") + 1 : line.rfind(">")]
            found[name] = "\n".join(takewhile(str.strip, remaining))
    return found
