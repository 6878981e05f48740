"""What the published data sets have in common: files with addresses, looked for in place and fetched if not there."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch_geometric.data import Data

from torchmdnet.datasets.archive import extract
from torchmdnet.datasets.download import download
from torchmdnet.datasets.fetch_record import check_record
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.preparation import Preparation
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset

__all__ = ["PublishedDataset", "PublishedFile"]

log = logging.getLogger(__name__)


class PublishedFile(NamedTuple):
    """A file that a reader opens, and where it comes from."""

    name: str
    """Path below ``root/raw`` that the reader opens."""
    url: str
    """Where it, or the archive that holds it, is published."""
    archive: str | None = None
    """Path below ``root/raw`` of that archive; None if ``url`` gives the file itself."""
    checksum: str | None = None
    """``"md5:HEX"`` or ``"sha256:HEX"`` of what ``url`` gives; None where the publisher states none."""
    size: int | None = None
    """Bytes of what ``url`` gives, if published."""
    mirror: str | None = None
    """Another address of the same, tried where the first one refuses."""


class PublishedDataset(StoredDataset):
    """A data set that others have published: some files, a reader of them, and the arguments that decide the content.

    Published files are looked for in ``root/raw``, then in ``root``, and fetched into ``root/raw`` only if they are in
    neither. A plain path among the files is a file of the user's own, used where it is.
    The store is made in ``root/processed``.

    Args:
        root: folder of the data set.
        files: what the reader opens.
        read: yields frames from the paths of ``files``, in that order; never holds more than a block of them.
        arguments: all that decides the content beside the files; JSON types only.
        atomref: reference energy (eV) by atomic number, if the publisher gives any.
        transform: applied to every sample when it is asked for.
        pre_transform: applied to every sample before it is stored; may change the fields a sample has, and add none.
        pre_filter: whether a sample is stored; sees it before ``pre_transform``.
        energy_unit: of the samples' energies, where they are not converted to eV.
        length_unit: of the samples' positions, where they are not converted to Å.

    Raises:
        ValueError: ``root`` is missing.
        TypeError: ``transform``, ``pre_transform`` or ``pre_filter`` cannot be called.
        FileNotFoundError: a file is not there and cannot be fetched.
        DatasetError: a file has faults, or is no longer what was fetched.
    """

    def __init__(
        self,
        root: str | Path,
        files: Sequence[PublishedFile | Path],
        read: Callable[[Sequence[Path]], Iterator[Frames]],
        *,
        arguments: Mapping[str, Any] | None = None,
        atomref: Mapping[int, float] | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        energy_unit: str = "eV",
        length_unit: str = "Å",
    ) -> None:
        name = type(self).__name__
        if not root:
            raise ValueError(f"{name}: dataset_root is missing; give the folder that has, or will have, its files")
        folder = Path(root).expanduser().absolute()
        preparation = Preparation(pre_filter, pre_transform)
        paths = _find_or_fetch(folder, files)
        super().__init__(
            StoreRequest(
                dataset=name,
                arguments={**(arguments or {}), **preparation.identity()},
                sources=paths,
                read=lambda: preparation.apply(_read_checked(paths, read)),
                folder=folder / "processed",
                metadata=lambda: {} if atomref is None else {"atomref": _table(atomref)},
            ),
            transform=transform,
        )
        self.energy_unit = energy_unit
        self.length_unit = length_unit


def _read_checked(paths: Sequence[Path], read: Callable[[Sequence[Path]], Iterator[Frames]]) -> Iterator[Frames]:
    """Frames of files that are what was once fetched."""
    for path in paths:
        check_record(path)
    yield from read(paths)


def _table(atomref: Mapping[int, float]) -> list[float]:
    return [float(atomref.get(z, 0.0)) for z in range(max(atomref) + 1)]


def _find_or_fetch(folder: Path, files: Sequence[PublishedFile | Path]) -> list[Path]:
    """Paths of the files, fetched where they are not in place."""
    raw = folder / "raw"
    published = [file for file in files if isinstance(file, PublishedFile)]
    missing = [file for file in published if _find(folder, file.name) is None]
    archives: dict[str, list[PublishedFile]] = {}
    for number, file in enumerate(missing):
        if file.archive is None:
            _fetch(file, raw / file.name, others=[other.name for other in missing[number + 1 :]])
        else:
            archives.setdefault(file.archive, []).append(file)
    for archive, members in archives.items():
        packed = _find(folder, archive)
        if packed is None:
            packed = raw / archive
            _fetch(members[0], packed)
        else:
            check_record(packed)
        extract(packed, [member.name for member in members], raw)
    return [file if isinstance(file, Path) else _find(folder, file.name) or raw / file.name for file in files]


def _fetch(file: PublishedFile, path: Path, *, others: Sequence[str] = ()) -> None:
    """Fetch what ``file.url`` gives, or ``file.mirror`` in its stead; ``others`` are missing as well."""
    try:
        download(file.url, path, checksum=file.checksum, size=file.size)
    except FileNotFoundError as error:
        if file.mirror is not None and _is_fetched(file.mirror, path, file):
            return
        also = [f"nor from {file.mirror}"] if file.mirror else []
        also += [f"missing too: {', '.join(others)}"] if others else []
        raise FileNotFoundError("; ".join([str(error), *also])) from error


def _is_fetched(url: str, path: Path, file: PublishedFile) -> bool:
    """Whether another address gives the file."""
    try:
        download(url, path, checksum=file.checksum, size=file.size)
    except FileNotFoundError as error:
        log.info("%s", error)
    return path.is_file()


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / "raw" / name, folder / name) if path.is_file()), None)
