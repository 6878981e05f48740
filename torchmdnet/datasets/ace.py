"""A user's own quantum-chemistry data in HDF5 files of layout "Ace"."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch_geometric.data import Data

from torchmdnet.datasets.ace_layout import read_ace
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.preparation import Preparation
from torchmdnet.datasets.selection import check_force_limit, within_force_limit
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.store_build import StoreRequest
from torchmdnet.datasets.stored_dataset import StoredDataset

__all__ = ["Ace"]

Paths = str | Path | Sequence[str | Path]


class Ace(StoredDataset):
    """Conformations with formation energies, forces, charges and dipoles: y, neg_dy, q, partial_charges and dp.

    Both versions of the layout, 1.0 and 2.0, are read (see the module ``torchmdnet.datasets.ace_layout``), in any unit
    that the arrays name. Conformations whose energy is NaN are left out.

    Args:
        root: folder whose ``processed`` takes the store; None: that beside the first file.
        paths: files, patterns, and folders of ``.h5`` files; one, several in a list or parted by ``;``.
        max_gradient: leave out conformations with a force longer than this, eV/Å.
        subsample_molecules: take every so many-th molecule of each file.
        transform: applied to every sample when it is asked for.
        pre_transform: applied to every sample before it is stored.
        pre_filter: whether a sample is stored.

    Raises:
        ValueError: an argument has no meaning.
        FileNotFoundError: a file or folder does not exist.
        DatasetError: a file has another layout or unit, or faults.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        paths: Paths | None = None,
        max_gradient: float | None = None,
        subsample_molecules: int = 1,
    ) -> None:
        if isinstance(subsample_molecules, bool) or not isinstance(subsample_molecules, int) or subsample_molecules < 1:
            raise ValueError(
                f"Ace: subsample_molecules is {subsample_molecules!r}; 1 for all, 2 for every other molecule, and so on"
            )
        limit = check_force_limit("Ace", max_gradient)
        preparation = Preparation(pre_filter, pre_transform)
        files = _find(paths)
        super().__init__(
            StoreRequest(
                dataset="Ace",
                arguments={"max_gradient": limit, "subsample": subsample_molecules, **preparation.identity()},
                sources=files,
                read=lambda: preparation.apply(within_force_limit(_read(files, subsample_molecules), limit)),
                folder=None if not root else Path(root).expanduser().absolute() / "processed",
            ),
            transform=transform,
        )


def _find(paths: Paths | None) -> list[Path]:
    if not paths:
        raise ValueError("Ace: paths is missing; give files or folders of .h5 files, dataset_arg: {paths: FILE}")
    items = [paths] if isinstance(paths, (str, Path)) else list(paths)
    names = [Path(name).expanduser() for item in items for name in str(item).split(";")]
    return find_files([name / "*.h5" if name.is_dir() else name for name in names], "paths")


def _read(files: Sequence[Path], every: int) -> Iterator[Frames]:
    for number, path in enumerate(files):
        yield from read_ace(path, file=number, every=every)
