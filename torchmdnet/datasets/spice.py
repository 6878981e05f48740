"""SPICE: drug-like molecules, peptides, dimers and ions, with formation energies and forces."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch_geometric.data import Data

from torchmdnet.datasets.published import PublishedDataset, PublishedFile
from torchmdnet.datasets.selection import check_force_limit, within_force_limit
from torchmdnet.datasets.spice_layout import read_spice

__all__ = ["SPICE", "VERSIONS"]


def _file(version: str, url: str, *, checksum: str | None = None, size: int | None = None) -> PublishedFile:
    return PublishedFile(f"spice/{version}/{url.rpartition('/')[2]}", url, checksum=checksum, size=size)


# Sums of 1.1.1 to 1.1.3: as listed beside the addresses of these records in public code, which has Zenodo's of 1.1.4.
VERSIONS: dict[str, PublishedFile] = {
    "1.0": _file("1.0", "https://github.com/openmm/spice-dataset/releases/download/1.0/SPICE.hdf5"),
    "1.1": _file("1.1", "https://github.com/openmm/spice-dataset/releases/download/1.1/SPICE.hdf5"),
    "1.1.1": _file(
        "1.1.1",
        "https://zenodo.org/records/7258940/files/SPICE-1.1.1.hdf5",
        checksum="md5:5411e7014c6d18ff07d108c9ad820b53",
    ),
    "1.1.2": _file(
        "1.1.2",
        "https://zenodo.org/records/7338495/files/SPICE-1.1.2.hdf5",
        checksum="md5:a2b5ae2d1f72581040e1cceb20a79a33",
        size=10437210062,
    ),
    "1.1.3": _file(
        "1.1.3",
        "https://zenodo.org/records/7606550/files/SPICE-1.1.3.hdf5",
        checksum="md5:be93706b3bb2b2e327b690b185905856",
    ),
    "1.1.4": _file(
        "1.1.4",
        "https://zenodo.org/records/8222043/files/SPICE-1.1.4.hdf5",
        checksum="md5:f27d4c81da0e37d6547276bf6b4ae6a1",
        size=16058156944,  # as in choderalab/modelforge, spice1_curation.yaml
    ),
    "2.0.1": _file(
        "2.0.1",
        "https://zenodo.org/records/10975225/files/SPICE-2.0.1.hdf5",
        checksum="md5:bfba2224b6540e1390a579569b475510",
        size=37479271148,
    ),
}
"""The file of each version."""


class SPICE(PublishedDataset):
    """SPICE: 17 elements, neutral and charged; ωB97M-D3(BJ)/def2-TZVPPD. Samples have y and neg_dy.

    y is the formation energy (eV), the energy less that of the isolated atoms; neg_dy is in eV/Å.
    Eastman et al., Sci. Data 10, 11 (2023), https://doi.org/10.1038/s41597-022-01882-6.

    Args:
        root: folder of the data set; the file is, for example, ``raw/spice/1.1.3/SPICE-1.1.3.hdf5``.
        version: see ``VERSIONS``.
        subsets: parts of the data set to read, by the names in the file, such as
            ``SPICE Dipeptides Single Points Dataset v1.2``; one or several in a list. None: all.
        max_gradient: leave out frames with a longer force on an atom (eV/Å). None: leave out none.
        subsample_molecules: read one molecule of as many, counted over all subsets.
        transform, pre_transform, pre_filter: as of :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        ValueError: the version is unknown, or another argument has no sense.
        FileNotFoundError: the file is not there and cannot be fetched.
        DatasetError: a subset is unknown, or the file has faults.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        version: str = "1.1.3",
        subsets: str | Sequence[str] | None = None,
        max_gradient: float | None = None,
        subsample_molecules: int = 1,
    ) -> None:
        # YAML reads 1.1 as a number
        file = VERSIONS.get(str(version))
        if file is None:
            raise ValueError(f"SPICE: version {str(version)!r} is none of {', '.join(VERSIONS)}")
        step = subsample_molecules
        if isinstance(step, bool) or not isinstance(step, int) or step < 1:
            raise ValueError(f"SPICE: subsample_molecules is {step!r}; a whole number from 1 on was expected")
        limit = check_force_limit("SPICE", max_gradient)
        names = _subset_names(subsets)
        super().__init__(
            root,
            [file],
            lambda paths: within_force_limit(read_spice(paths[0], subsets=names, step=step), limit),
            arguments={"version": str(version), "subsets": names, "max_gradient": limit, "subsample_molecules": step},
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
        )


def _subset_names(subsets: object) -> list[str]:
    names = [subsets] if isinstance(subsets, str) else subsets
    if names is None:
        return []
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"SPICE: subsets is {subsets!r}; a list of names or None was expected")
    return sorted(set(names))
