"""The SHA-256 of files whose publisher states no checksum, kept beside them from the day they were fetched."""

import hashlib
from pathlib import Path

from torchmdnet.datasets.validation import DatasetError

__all__ = ["check_record", "digest_of_file", "record_of", "recorded_checksum", "write_record"]

CHUNK_BYTES = 1 << 22


def record_of(path: Path) -> Path:
    """Where the record of a file is: ``NAME.sha256``, as ``sha256sum -c`` reads it."""
    return path.with_name(f"{path.name}.sha256")


def digest_of_file(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of the content."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while part := stream.read(CHUNK_BYTES):
            digest.update(part)
    return digest.hexdigest()


def write_record(path: Path) -> None:
    """Note what has just been fetched."""
    record_of(path).write_text(f"{digest_of_file(path, 'sha256')}  {path.name}\n")


def recorded_checksum(path: Path) -> str | None:
    """``"sha256:HEX"``, None where there is no record.

    Raises:
        DatasetError: the record is damaged.
    """
    record = record_of(path)
    if not record.is_file():
        return None
    words = record.read_text().split()
    if not words or len(words[0]) != 64:
        raise DatasetError(f"{record} is no line of a SHA-256 and a name: remove it")
    return f"sha256:{words[0].lower()}"


def check_record(path: Path) -> None:
    """Compare a file with its record, if there is one.

    Raises:
        DatasetError: the file is not what was fetched.
    """
    expected = recorded_checksum(path)
    if expected is None:
        return
    found = f"sha256:{digest_of_file(path, 'sha256')}"
    if found != expected:
        raise DatasetError(
            f"{path} has {found}, but {expected} was fetched and noted in {record_of(path).name}: remove both, and it "
            "is fetched again; or remove the note alone, if the change is yours"
        )
