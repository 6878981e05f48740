"""Taking single files out of published archives."""

import tarfile
import zipfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock

from torchmdnet.datasets.validation import DatasetError

__all__ = ["extract"]

CHUNK_BYTES = 1 << 20


def extract(archive: Path, names: Sequence[str], folder: Path) -> None:
    """Take files out of a zip or tar archive; each is in place only when whole. What is there is left alone.

    A member is taken for a name if their last parts agree, as many as both have: ``set/a.npz`` and ``b/set/a.npz``
    for ``set/a.npz``, any ``a.npz`` for ``a.npz``. Of several the first is taken.

    Args:
        archive: the file.
        names: paths below ``folder`` to make.
        folder: where they go.

    Raises:
        FileNotFoundError: the archive has no such member.
        DatasetError: the archive cannot be read.
    """
    with FileLock(archive.with_name(f".{archive.name}.lock")):
        missing = [name for name in names if not (folder / name).is_file()]
        if not missing:
            return
        try:
            with closing(_members(archive)) as members:
                _take(members, missing, folder)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
            reason = str(error).partition("\n")[0].rstrip(":")
            raise DatasetError(
                f"{archive} cannot be read as a zip or tar archive: {reason}; remove it, so that it is fetched again"
            ) from error
        left = [name for name in missing if not (folder / name).is_file()]
        if left:
            raise FileNotFoundError(f"{archive} holds no {', '.join(sorted(left))}")


def _take(members: Iterable[tuple[str, IO[bytes]]], names: Sequence[str], folder: Path) -> None:
    left = list(names)
    for member, stream in members:
        fitting = [name for name in left if _fits(member, name)]
        for name in fitting[:1]:
            _place(stream, folder / name)
            left.remove(name)
        if not left:
            return


def _fits(member: str, name: str) -> bool:
    have, want = PurePosixPath(member).parts, PurePosixPath(name).parts
    shared = min(len(have), len(want))
    return have[-shared:] == want[-shared:] if shared else False


def _members(archive: Path) -> Generator[tuple[str, IO[bytes]], None, None]:
    """Names and contents in the order of the archive, which is read once: packed tar files cannot be searched."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if not info.is_dir():
                    with packed.open(info) as stream:
                        yield info.filename, stream
        return
    with tarfile.open(archive) as bundle:
        for member in bundle:
            content = bundle.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content


def _place(stream: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as output:
        while part := stream.read(CHUNK_BYTES):
            output.write(part)
    partial.replace(path)
