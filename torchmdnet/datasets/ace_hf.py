"""The data of Ace as a table, on the Hugging Face hub or in Parquet files."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.hugging_face import Table, TableBatch, load_table
from torchmdnet.datasets.preparation import Preparation
from torchmdnet.datasets.selection import check_force_limit, within_force_limit
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset
from torchmdnet.datasets.validation import DatasetError

__all__ = ["AceHF"]

LOCAL = "parquet"
REQUIRED = ("atomic_numbers", "positions", "formation_energy", "forces")
OPTIONAL = ("formal_charges", "partial_charges", "dipole_moment")
Paths = str | Path | Sequence[str | Path]


class AceHF(StoredDataset):
    """Conformations with y, neg_dy and, where the columns are there, q, partial_charges and dp.

    A row is a conformation with columns ``atomic_numbers`` (a,), ``positions`` (a, 3) Å, ``formation_energy`` eV,
    ``forces`` (a, 3) eV/Å, and any of ``formal_charges`` (a,), ``partial_charges`` (a,) e, ``dipole_moment`` (3,) e Å.
    Rows without an energy are left out. Needs the package ``datasets``, which also keeps what is loaded, in its own
    cache; the store lies beside that.

    Args:
        root: name of a data set on the Hugging Face hub, or "parquet" for local files.
        paths: with "parquet" the files, patterns and folders of ``.parquet`` files, otherwise patterns within the data
            set; one, several in a list or parted by ``;``.
        split: "train", or with a slice such as "train[:10%]".
        max_gradient: leave out conformations with a force longer than this, eV/Å.
        transform: applied to every sample when it is asked for.
        pre_transform: applied to every sample before it is stored.
        pre_filter: whether a sample is stored.

    Raises:
        ModuleNotFoundError: the package ``datasets`` is not installed.
        ValueError: an argument has no meaning.
        FileNotFoundError: a file does not exist, or the hub cannot be reached.
        DatasetError: the table has other columns, or faults.
    """

    def __init__(
        self,
        root: str | Path = LOCAL,
        paths: Paths | None = None,
        split: str = "train",
        max_gradient: float | None = None,
        *,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
    ) -> None:
        limit = check_force_limit("AceHF", max_gradient)
        preparation = Preparation(pre_filter, pre_transform)
        table = load_table(str(root), files=_files(str(root), paths), split=split, dataset="AceHF")
        missing = [name for name in REQUIRED if name not in table.columns]
        if missing:
            raise DatasetError(f"AceHF: there is no column {', '.join(missing)} among {', '.join(table.columns)}")
        super().__init__(
            StoreRequest(
                dataset="AceHF",
                arguments={"split": split, "max_gradient": limit, **preparation.identity()},
                sources=table.files,
                read=lambda: preparation.apply(within_force_limit(_read(table, split), limit)),
            ),
            transform=transform,
        )


def _files(root: str, paths: Paths | None) -> list[str] | None:
    if not paths:
        if root == LOCAL:
            raise ValueError(
                "AceHF: paths is missing; give Parquet files, dataset_arg: {paths: FILE}, or the name of a data set "
                "on the Hugging Face hub as dataset_root"
            )
        return None
    items = [paths] if isinstance(paths, (str, Path)) else list(paths)
    names = [name.strip() for item in items for name in str(item).split(";")]
    if root != LOCAL:
        return names
    places = [Path(name).expanduser() for name in names]
    return [str(path) for path in find_files([p / "*.parquet" if p.is_dir() else p for p in places], "paths")]


def _read(table: Table, split: str) -> Iterator[Frames]:
    first = 0
    for batch in table.batches():
        frames = _frames(batch, first, split, [name for name in OPTIONAL if name in table.columns])
        if frames is not None:
            yield frames
        first += len(batch)


def _frames(batch: TableBatch, first: int, split: str, optional: Sequence[str]) -> Frames | None:
    num_atoms = batch.lengths("atomic_numbers")
    energy = batch.values("formation_energy")
    kept = ~np.isnan(energy)
    if not kept.any():
        return None
    owner = np.repeat(np.arange(len(batch)), num_atoms)
    atoms = kept[owner]
    charges = _column(batch, "formal_charges", owner.shape, first) if "formal_charges" in optional else None
    partial = _column(batch, "partial_charges", owner.shape, first) if "partial_charges" in optional else None
    dipole = _column(batch, "dipole_moment", (len(batch), 3), first) if "dipole_moment" in optional else None
    return Frames(
        0,
        f"split {split}",
        first,
        num_atoms[kept],
        z=_column(batch, "atomic_numbers", owner.shape, first)[atoms].astype(np.int64),
        pos=_column(batch, "positions", (len(owner), 3), first)[atoms],
        neg_dy=_column(batch, "forces", (len(owner), 3), first)[atoms],
        partial_charges=None if partial is None else partial[atoms],
        y=energy[kept],
        q=None if charges is None else np.bincount(owner, charges, minlength=len(batch))[kept],
        dp=None if dipole is None else dipole[kept],
        numbers=first + np.flatnonzero(kept),
    )


def _column(batch: TableBatch, name: str, shape: tuple[int, ...], first: int) -> NDArray[np.float64]:
    values = batch.values(name)
    if values.size != int(np.prod(shape)):
        raise DatasetError(
            f"AceHF: rows {first} to {first + len(batch) - 1}: {name} holds {values.size} numbers; {shape} was expected"
        )
    return values.reshape(shape)
