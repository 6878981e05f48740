"""The layouts in which QM9 is published: ``gdb9.sdf`` with a table beside it, and one ``.xyz`` file a molecule."""

import csv
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.sdf import SDFRecord, read_sdf
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.elements import ATOMIC_NUMBERS

__all__ = ["PROPERTIES", "QM9Molecule", "read_gdb9", "read_uncharacterized", "read_xyz_archive", "read_xyz_files"]

PROPERTIES = ("A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "u0", "u298", "h298", "g298", "cv")
"""Properties in the order of the ``.xyz`` files, by the names of the table's columns."""
HEADER_LINES, FOOTER_LINES = 9, 1
"""Of ``uncharacterized.txt``."""


class QM9Molecule(NamedTuple):
    """One molecule as it is published."""

    gdb: int
    """Its number in GDB-9, counted from 1."""
    numbers: NDArray[np.int64]
    """Atomic numbers. (a,)"""
    positions: NDArray[np.float64]
    """Å. (a, 3)"""
    value: float
    """The property asked for, in the unit of the file."""


def read_gdb9(sdf: Path, table: Path, prop: str) -> Iterator[QM9Molecule]:
    """Molecules of ``gdb9.sdf`` with a column of ``gdb9.sdf.csv``.

    Raises:
        DatasetError: the two files do not list the same molecules, or a number cannot be read.
    """
    with table.open(newline="") as stream:
        rows = csv.DictReader(stream)
        names = rows.fieldnames or []
        if prop not in names or "mol_id" not in names:
            raise DatasetError(f"{table} has columns {', '.join(names)}; mol_id and {prop} were expected")
        for number, (record, row) in enumerate(_in_step(read_sdf(sdf), rows, sdf, table)):
            where = f"{table}, line {rows.line_num}"
            if record.title != row["mol_id"]:
                raise DatasetError(f"{where} is of {row['mol_id']}, but record {number} of {sdf} is {record.title!r}")
            gdb = _gdb_number(row["mol_id"], where)
            yield QM9Molecule(gdb, record.numbers, record.positions, _number(row[prop], f"{where}, {prop}"))


def _in_step(
    records: Iterator[SDFRecord], rows: Iterator[dict[str, str]], sdf: Path, table: Path
) -> Iterator[tuple[SDFRecord, dict[str, str]]]:
    count = 0
    for record in records:
        row = next(rows, None)
        if row is None:
            raise DatasetError(f"{table} has {count} rows, but {sdf} has more molecules; they were published together")
        yield record, row
        count += 1
    if next(rows, None) is not None:
        raise DatasetError(f"{sdf} has {count} molecules, but {table} has more rows; they were published together")


def read_xyz_archive(archive: Path, prop: str) -> Iterator[QM9Molecule]:
    """Molecules of ``dsgdb9nsd.xyz.tar.bz2``, in the order of the archive.

    Raises:
        DatasetError: the archive or a file in it cannot be read.
    """
    try:
        with tarfile.open(archive) as bundle:
            for member in bundle:
                content = bundle.extractfile(member) if member.name.endswith(".xyz") else None
                if content is not None:
                    with io.TextIOWrapper(content) as stream:
                        yield _read_xyz(stream, prop, f"{archive}, {member.name}")
    except (tarfile.TarError, EOFError) as error:
        raise DatasetError(f"{archive} cannot be read as a tar archive: {error}") from error


def read_xyz_files(paths: Iterable[Path], prop: str) -> Iterator[QM9Molecule]:
    """Molecules of the files ``dsgdb9nsd_000001.xyz`` and so on.

    Raises:
        DatasetError: a file cannot be read.
    """
    for path in paths:
        with path.open() as stream:
            yield _read_xyz(stream, prop, str(path))


def _read_xyz(stream: TextIO, prop: str, where: str) -> QM9Molecule:
    """One molecule: number of atoms; gdb, its number and its properties; symbol, x, y, z and charge of each atom."""
    size, header = stream.readline().strip(), stream.readline().split()
    if not size.isdigit() or header[:1] != ["gdb"] or len(header) != 2 + len(PROPERTIES):
        raise DatasetError(
            f"{where} begins with {size!r} and {' '.join(header)!r}; the number of atoms and 'gdb', a number and "
            f"{len(PROPERTIES)} properties were expected"
        )
    atoms = [stream.readline().split() for _ in range(int(size))]
    for line in atoms:
        if len(line) != 5 or line[0] not in ATOMIC_NUMBERS:
            raise DatasetError(f"{where}: {' '.join(line)!r} is no atom; symbol, x, y, z and charge were expected")
    positions = [[_number(text, where) for text in line[1:4]] for line in atoms]
    return QM9Molecule(
        _gdb_number(f"gdb_{header[1]}", where),
        np.array([ATOMIC_NUMBERS[line[0]] for line in atoms], dtype=np.int64),
        np.array(positions, dtype=np.float64).reshape(-1, 3),
        _number(header[2 + PROPERTIES.index(prop)], f"{where}, {prop}"),
    )


def read_uncharacterized(path: Path) -> frozenset[int]:
    """Numbers of the molecules whose relaxed geometry is another molecule's, from ``uncharacterized.txt``.

    Raises:
        DatasetError: a line does not begin with a number.
    """
    lines = path.read_text().splitlines()[HEADER_LINES:-FOOTER_LINES]
    found = set()
    for number, line in enumerate(lines, start=HEADER_LINES + 1):
        first = line.split()[:1]
        if not first or not first[0].isdigit():
            raise DatasetError(f"{path}, line {number}: {line!r} does not begin with the number of a molecule")
        found.add(int(first[0]))
    return frozenset(found)


def _gdb_number(name: str, where: str) -> int:
    head, _, number = name.partition("_")
    if head != "gdb" or not number.isdigit():
        raise DatasetError(f"{where}: the molecule is called {name!r}; 'gdb_' and a number were expected")
    return int(number)


def _number(text: str | None, where: str) -> float:
    try:
        # Some numbers are written as Mathematica does: 1.2345*^-6
        return float((text or "").replace("*^", "e"))
    except ValueError as error:
        raise DatasetError(f"{where}: {text!r} is not a number") from error
