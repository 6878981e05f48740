"""Torsion scans of 62 druglike fragments with coupled-cluster energies."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from torch_geometric.data import Data

from torchmdnet.datasets.frames import Frames, concatenate
from torchmdnet.datasets.published import PublishedDataset, PublishedFile
from torchmdnet.datasets.sdf import SDFRecord, read_sdf
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.units import KCAL_PER_MOL_IN_EV

__all__ = ["GenentechTorsions"]

FILE = PublishedFile(
    "QM_MM_Gas_Phase_Torsion_Scan_Individual_Results_with_CCSD_T_CBS_baseline.sdf",
    "https://pubs.acs.org/doi/suppl/10.1021/acs.jcim.6b00614/suppl_file/ci6b00614_si_002.zip",
    archive="ci6b00614_si_002.zip",
    mirror="https://github.com/Acellera/sellers/raw/main/ci6b00614_si_002.zip",
)
THEORY_ITEM = "MinMethod"
BLOCK_FRAMES = 1024

Paths = str | Path | Sequence[str | Path]


class GenentechTorsions(PublishedDataset):
    """Torsion scans (Sellers, James, Gobbi, J. Chem. Inf. Model. 57, 1265 (2017), doi:10.1021/acs.jcim.6b00614).

    Samples have y in eV, from kcal/mol in the file. The publisher's server may answer programs with a web page for
    people; then the copy that TorchMD-NET uses is fetched. Where that fails too, fetch the archive with a browser and
    put it into ``root/raw``.

    Args:
        root: folder of the data set, in which the store is made.
        paths: SDF files of your own with such items, folders of ``.sdf`` files or patterns, one or a list; None: the
            published file.
        theory: records with another value of the item ``MinMethod`` are left out; those without the item are kept.
        energy_field: item that holds the energy; ``deltaE`` is relative to the lowest one of a scan.
        transform, pre_transform, pre_filter: as of :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        FileNotFoundError: a file is not there and cannot be fetched.
        DatasetError: a file has faults, no record of this theory, or records without this energy.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        paths: Paths | None = None,
        theory: str = "CCSD_T_CBS_MP2",
        energy_field: str = "deltaE",
    ) -> None:
        super().__init__(
            root or "",
            _files(paths),
            lambda found: _read(found, theory=theory, energy_field=energy_field),
            arguments={"theory": theory, "energy_field": energy_field},
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
        )


def _files(paths: Paths | None) -> Sequence[PublishedFile | Path]:
    if not paths:
        return [FILE]
    items = [paths] if isinstance(paths, (str, Path)) else list(paths)
    places = [Path(name.strip()).expanduser() for item in items for name in str(item).split(";")]
    return find_files([place / "*.sdf" if place.is_dir() else place for place in places], "paths")


def _read(paths: Sequence[Path], *, theory: str, energy_field: str) -> Iterator[Frames]:
    for file, path in enumerate(paths):
        seen: set[str] = set()
        frames = _frames(path, file, seen, theory=theory, energy_field=energy_field)
        first = next(frames, None)
        if first is None:
            raise DatasetError(
                f"GenentechTorsions: {path.name} has no record with {THEORY_ITEM} {theory!r}, only "
                f"{', '.join(sorted(seen)) or 'nothing'}; choose one of them as theory"
            )
        frames = chain([first], frames)
        while block := list(islice(frames, BLOCK_FRAMES)):
            yield concatenate(block)


def _frames(path: Path, file: int, seen: set[str], *, theory: str, energy_field: str) -> Iterator[Frames]:
    for number, record in enumerate(read_sdf(path)):
        method = record.properties.get(THEORY_ITEM)
        if method is not None:
            seen.add(method)
        if method is None or method == theory:
            energy = _energy(record, energy_field, f"GenentechTorsions: {path.name}, record {number}")
            yield Frames(
                file,
                "",
                number,
                np.array([len(record.numbers)]),
                z=record.numbers,
                pos=record.positions,
                y=np.array([energy]),
            )


def _energy(record: SDFRecord, name: str, where: str) -> float:
    text = record.properties.get(name)
    if text is None:
        raise DatasetError(
            f"{where} ({record.title}) has no item {name!r}; its items are {', '.join(record.properties) or 'none'}: "
            "name one of them as energy_field"
        )
    try:
        return float(text) * KCAL_PER_MOL_IN_EV
    except ValueError as error:
        raise DatasetError(f"{where} ({record.title}): the item {name!r} is {text!r}, not a number") from error
