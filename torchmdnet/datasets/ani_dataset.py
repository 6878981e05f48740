"""What the data sets of the ANI family have in common: files of one layout, and energies of the isolated atoms."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torch_geometric.data import Data

from torchmdnet.datasets.ani_layout import AniLayout, read_ani
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.published import PublishedDataset, PublishedFile
from torchmdnet.datasets.selection import check_properties, only_labels

__all__ = ["AniDataset", "AniForces"]

LABELS = ("y", "neg_dy")


class AniDataset(PublishedDataset):
    """A data set of the ANI family. Energies and forces are in eV and eV/Å, ``get_atomref`` gives the atoms' energies.

    Args:
        root: folder of the data set; files are looked for in ``root/raw`` and fetched if they are not there. Data sets
            with different files, or with the same, may share a root.
        transform, pre_transform, pre_filter: as of :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        FileNotFoundError: a file is not there and cannot be fetched.
        DatasetError: a file has faults.
    """

    files: ClassVar[Sequence[PublishedFile]]
    """Where the frames come from."""
    layout: ClassVar[AniLayout]
    """Names of the arrays in these files."""
    atomref: ClassVar[Mapping[int, float]]
    """Energy of the isolated atom (eV) by atomic number."""
    labels: Sequence[str] = LABELS
    """Which of the files' labels the samples have."""

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
    ) -> None:
        super().__init__(
            root,
            self.files,
            lambda paths: only_labels(self.read(paths), self.labels),
            arguments={} if self.labels == LABELS else {"properties": list(self.labels)},
            atomref=self.atomref,
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
        )

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Iterator[Frames]:
        """Blocks of frames of the files."""
        return read_ani(paths, cls.layout)


class AniForces(AniDataset):
    """A data set of the ANI family that has forces, and can be had with energies or forces alone.

    Args:
        root, transform, pre_transform, pre_filter: as of :class:`AniDataset`.
        properties: which of y and neg_dy the samples have; the frames are the same ones, so that splits fit.

    Raises:
        ValueError: ``properties`` names nothing, or something else.
        TypeError: ``properties`` is no list of names.
        FileNotFoundError: a file is not there and cannot be fetched.
        DatasetError: a file has faults.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        properties: str | Sequence[str] = LABELS,
    ) -> None:
        self.labels = check_properties(type(self).__name__, properties, LABELS)
        super().__init__(root, transform, pre_transform, pre_filter)
