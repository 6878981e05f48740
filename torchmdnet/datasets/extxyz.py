"""Extended XYZ files, as written by ASE, QUIP, n2p2, MACE, NequIP and others."""

from collections.abc import Iterator
from pathlib import Path

import ase.io
from ase import Atoms

from torchmdnet.datasets.image_files import ImageFiles
from torchmdnet.datasets.validation import DatasetError

__all__ = ["ExtXYZ"]


class ExtXYZ(ImageFiles):
    """Frames of extended XYZ files. Arguments as of :class:`~torchmdnet.datasets.image_files.ImageFiles`."""

    @staticmethod
    def images(path: Path) -> Iterator[Atoms]:
        """Frames of one file, in order."""
        if path.stat().st_size == 0:
            raise DatasetError(f"ExtXYZ: {path} is empty")
        number = 0
        try:
            for atoms in ase.io.iread(path, index=":", format="extxyz"):
                yield atoms
                number += 1
        except Exception as error:  # what ASE raises depends on where a line goes wrong
            raise DatasetError(f"ExtXYZ: {path}, frame {number} cannot be read: {error}") from error
