"""Building a store once: found again by what it was made from, moved into place when whole, one builder at a time."""

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.sources import Source, SourceStat, hash_source, stat_sources
from torchmdnet.datasets.store import FORMAT_VERSION, Store, StoreIndex, read_index, write_index
from torchmdnet.datasets.store_write import StoreWriter
from torchmdnet.datasets.validation import DatasetError

__all__ = ["StoreRequest", "open_store"]

log = logging.getLogger(__name__)

PARTIAL = ".partial"


class StoreRequest(NamedTuple):
    """What a data set wants stored."""

    dataset: str
    """Name of the data set's class."""
    arguments: dict[str, Any]
    """Everything beside the files that decides the content; JSON types only."""
    sources: Sequence[Path]
    """The files read."""
    read: Callable[[], Iterator[Frames]]
    """Goes through the files once."""
    folder: Path | None = None
    """Where the store is kept; None: ``processed`` beside the first source, the user's cache if that is read-only."""
    hint: str = ""
    """How to leave out a quantity that not all frames have, for messages."""
    metadata: Callable[[], dict[str, Any]] = dict
    """What the source says about itself; JSON types only."""


def open_store(request: StoreRequest) -> Store:
    """Open the store of a data set, building it if there is none or if a source or an argument has changed.

    Raises:
        DatasetError: the data have faults; nothing is left behind.
        OSError: a file cannot be read, or there is no room for the store.
    """
    folders = _candidate_folders(request)
    stats = stat_sources(request.sources)
    for folder in folders:
        for candidate in _stores(folder, _prefix(request, folder)):
            index = read_index(candidate)
            if index is not None and [source.stat for source in index.sources] == stats:
                return Store(candidate)
    folder = _first_writable(folders)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{_prefix(request, folder)}.lock"):
        return _build_or_find(request, folder, stats)


def _build_or_find(request: StoreRequest, folder: Path, stats: list[SourceStat]) -> Store:
    prefix = _prefix(request, folder)
    sources = tuple(hash_source(stat) for stat in stats)
    final = folder / f"{prefix}-{_digest([source.content for source in sources])}"
    index = read_index(final)
    if index is None:
        _clear(folder, prefix)
        log.info("%s: building the data store %s", request.dataset, final)
        _build(request, final, sources)
    elif [source.stat for source in index.sources] != stats:
        _rewrite_index(final, index._replace(sources=sources))
    return Store(final)


def _build(request: StoreRequest, final: Path, sources: tuple[Source, ...]) -> None:
    partial = final.with_name(f"{final.name}.{uuid.uuid4().hex}{PARTIAL}")
    partial.mkdir()
    try:
        paths = [source.stat.path for source in sources]
        with closing(StoreWriter(partial, dataset=request.dataset, paths=paths, hint=request.hint)) as writer:
            for frames in request.read():
                writer.append(frames)
            arrays, sections = writer.finish()
        if stat_sources(request.sources) != [source.stat for source in sources]:
            raise DatasetError(f"{request.dataset}: a source file changed while it was read; try again")
        write_index(partial, StoreIndex(FORMAT_VERSION, sources, arrays, sections, request.metadata()))
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _rewrite_index(folder: Path, index: StoreIndex) -> None:
    scratch = folder / f"{uuid.uuid4().hex}{PARTIAL}"
    scratch.mkdir()
    write_index(scratch, index)
    for written in scratch.iterdir():
        written.replace(folder / written.name)
    scratch.rmdir()


def _stores(folder: Path, prefix: str) -> list[Path]:
    return [path for path in folder.glob(f"{prefix}-*") if path.is_dir() and not path.name.endswith(PARTIAL)]


def _clear(folder: Path, prefix: str) -> None:
    """Remove stores of the same files with another content and what dead builders left; the lock is held."""
    for path in folder.glob(f"{prefix}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _prefix(request: StoreRequest, folder: Path) -> str:
    # Beside the sources their names suffice, and the whole folder can be moved; elsewhere the place matters too
    beside = folder == _beside(request)
    names = [
        path.name if beside and path.parent == request.sources[0].parent else str(path) for path in request.sources
    ]
    return f"{request.dataset}-{_digest([FORMAT_VERSION, names, request.arguments])}"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _beside(request: StoreRequest) -> Path:
    return request.sources[0].parent / "processed"


def _candidate_folders(request: StoreRequest) -> list[Path]:
    return [_beside(request) if request.folder is None else request.folder, _cache_folder()]


def _cache_folder() -> Path:
    if own := os.environ.get("TORCHMDNET_CACHE"):
        return Path(own).expanduser() / "datasets"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "torchmdnet" / "datasets"


def _first_writable(folders: list[Path]) -> Path:
    for folder in folders:
        if _is_writable(folder):
            return folder
    tried = " nor ".join(str(folder) for folder in folders)
    raise PermissionError(
        f"the data store can be written neither in {tried}; set TORCHMDNET_CACHE to a writable folder"
    )


def _is_writable(folder: Path) -> bool:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    # root may write everywhere; a folder without any write bit says that it is to be left alone
    return os.access(existing, os.W_OK) and bool(existing.stat().st_mode & 0o222)
