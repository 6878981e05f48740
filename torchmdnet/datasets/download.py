"""Fetching published data files: with a progress bar, and in place only when whole."""

import os
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import IO

from tqdm import tqdm

__all__ = ["download", "extract"]

CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 60


def download(url: str, path: Path) -> None:
    """Fetch a file.

    Raises:
        FileNotFoundError: it cannot be fetched; says where to put it by hand.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, open(partial, "wb") as output:
            expected = int(response.headers.get("Content-Length") or 0)
            received = _copy(response, output, path.name, expected)
        if expected and received != expected:
            raise OSError(f"{received} of {expected} bytes arrived")
        partial.replace(path)
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise FileNotFoundError(
            f"{path.name} is not at {path} and cannot be fetched from {url}: {reason}; "
            "fetch it by other means and put it there"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: IO[bytes], output: IO[bytes], name: str, expected: int) -> int:
    received = 0
    with tqdm(total=expected or None, unit="B", unit_scale=True, desc=name) as bar:
        while part := source.read(CHUNK_BYTES):
            output.write(part)
            received += len(part)
            bar.update(len(part))
    return received


def extract(archive: Path, members: Sequence[str], folder: Path) -> None:
    """Take some members out of a zip or tar archive into a folder, flat; each is in place only when whole.

    Args:
        archive: the file.
        members: names in the archive, matched by their last part.
        folder: where they go.

    Raises:
        FileNotFoundError: a member is not in the archive.
    """
    wanted = {Path(member).name for member in members}
    folder.mkdir(parents=True, exist_ok=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if Path(info.filename).name in wanted:
                    with packed.open(info) as stream:
                        _place(stream, folder / Path(info.filename).name)
                    wanted.discard(Path(info.filename).name)
    else:
        with tarfile.open(archive) as bundle:
            for member in bundle:
                stream_or_none = bundle.extractfile(member) if Path(member.name).name in wanted else None
                if stream_or_none is not None:
                    _place(stream_or_none, folder / Path(member.name).name)
                    wanted.discard(Path(member.name).name)
    if wanted:
        raise FileNotFoundError(f"{archive} holds no {', '.join(sorted(wanted))}")


def _place(stream: IO[bytes], path: Path) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with open(partial, "wb") as output:
        while part := stream.read(CHUNK_BYTES):
            output.write(part)
    partial.replace(path)
