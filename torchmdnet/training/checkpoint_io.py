"""Checkpoint files that are whole or not there."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

__all__ = ["AtomicTorchCheckpointIO", "copy_atomically"]


class AtomicTorchCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file in the same folder, forces it to disk and renames it.

    A process killed at any moment leaves the former file or the new one, never a part.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path``.

        Raises:
            TypeError: ``storage_options`` were given.
        """
        if storage_options is not None:
            raise TypeError(f"storage_options: got {storage_options!r}, expected None for a local file")
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(target)
        try:
            with open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _force_folder(target.parent)


def copy_atomically(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, by a hard link where the file system has them."""
    temporary = _temporary(target)
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # no hard links here
        shutil.copyfile(source, temporary)
    if target.exists() and target.samefile(temporary):  # renaming a link onto its own file does nothing
        temporary.unlink()
        return
    os.replace(temporary, target)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")


def _force_folder(folder: Path) -> None:
    """The rename itself reaches the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
