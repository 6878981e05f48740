"""QM9: properties of 134 thousand small organic molecules in equilibrium."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch_geometric.data import Data

from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.published import PublishedDataset, PublishedFile
from torchmdnet.datasets.qm9_layouts import (
    QM9Molecule,
    read_gdb9,
    read_uncharacterized,
    read_xyz_archive,
    read_xyz_files,
)
from torchmdnet.units import HARTREE_IN_EV

__all__ = ["LABELS", "QM9"]

BLOCK_FRAMES = 2048
GDB9_URL = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/molnet_publish/qm9.zip"
UNCHARACTERIZED = PublishedFile(
    "uncharacterized.txt",
    "https://ndownloader.figshare.com/files/3195404",
    checksum="md5:a361887bacb427b8a0ce7903d92a53b4",
    size=486752,
)
XYZ_ARCHIVE = PublishedFile(
    "dsgdb9nsd.xyz.tar.bz2",
    "https://ndownloader.figshare.com/files/3195389",
    checksum="md5:ad1ebd51ee7f5b3a6e32e974e5d54012",
    size=86144227,
)
XYZ_FOLDER = "dsgdb9nsd"
GDB9 = (
    PublishedFile("gdb9.sdf", GDB9_URL, "qm9.zip"),
    PublishedFile("gdb9.sdf.csv", GDB9_URL, "qm9.zip"),
)


class Label(NamedTuple):
    """One property of the molecules."""

    prop: str
    """Its name in the files."""
    factor: float
    """From the unit of the files to the unit of the samples."""
    unit: str
    """Unit of the samples."""
    free_atoms: dict[int, float]
    """Its value for free atoms in the unit of the files, by atomic number."""


def _energy(prop: str, *free_atoms: float) -> Label:
    return Label(prop, HARTREE_IN_EV, "eV", dict(zip((1, 6, 7, 8, 9), free_atoms, strict=False)))


LABELS: dict[str, Label] = {
    "dipole_moment": Label("mu", 1.0, "D", {}),
    "isotropic_polarizability": Label("alpha", 1.0, "a0^3", {}),
    "homo": _energy("homo"),
    "lumo": _energy("lumo"),
    "gap": _energy("gap"),
    "electronic_spatial_extent": Label("r2", 1.0, "a0^2", {}),
    "zpve": _energy("zpve"),
    "energy_U0": _energy("u0", -0.500273, -37.846772, -54.583861, -75.064579, -99.718730),
    "energy_U": _energy("u298", -0.498857, -37.845355, -54.582445, -75.063163, -99.717314),
    "enthalpy_H": _energy("h298", -0.497912, -37.844411, -54.581501, -75.062219, -99.716370),
    "free_energy": _energy("g298", -0.510927, -37.861317, -54.598897, -75.079532, -99.733544),
    "heat_capacity": Label("cv", 1.0, "cal/mol/K", {}),
}
"""What can be trained on, by name, with the thermochemical energies of free atoms that come with the data set."""


class QM9(PublishedDataset):
    """QM9: one property of 130831 molecules of H, C, N, O and F at the B3LYP/6-31G(2df,p) level.

    The 3054 molecules whose relaxed geometry does not belong to their formula (``uncharacterized.txt``) are left out.
    Samples have ``y`` (1, 1): energies in eV, dipole moments in Debye, polarizabilities in a0³, spatial extents in
    a0², heat capacities in cal/mol/K. ``get_atomref`` gives the energies of free atoms for the four thermochemical
    energies and zeros for the other properties. Ramakrishnan et al., Sci. Data 1, 140022 (2014).

    Args:
        root: folder of the data set. Read from ``root/raw`` is what is there: ``gdb9.sdf`` with ``gdb9.sdf.csv``, or
            ``dsgdb9nsd.xyz.tar.bz2``, or a folder ``dsgdb9nsd`` of ``.xyz`` files. The first two are fetched if there
            is none of them.
        label: name of the property; see ``LABELS``.
        transform, pre_transform, pre_filter: functions of samples, as of
            :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        ValueError: the label is missing or unknown.
        FileNotFoundError: a file is not there and cannot be fetched.
        DatasetError: a file has faults.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Data], Data] | None = None,
        label: str | None = None,
        *,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
    ) -> None:
        chosen = LABELS[_check_label(label)]
        atomref = {z: value * chosen.factor for z, value in chosen.free_atoms.items()}
        super().__init__(
            root,
            [UNCHARACTERIZED, *_published_files(root)],
            lambda paths: _read(paths, chosen),
            arguments={"label": label},
            atomref=atomref or {0: 0.0},
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            energy_unit=chosen.unit,
        )
        self.label = label


def _check_label(label: object) -> str:
    listed = ", ".join(LABELS)
    if not label:
        raise ValueError(f"QM9: label is missing; give dataset_arg: {{label: NAME}}, NAME one of {listed}")
    if not isinstance(label, str) or label not in LABELS:
        close = difflib.get_close_matches(str(label), list(LABELS), n=1)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"QM9: label {label!r} is none of {listed}{meant}")
    return label


def _published_files(root: str | Path) -> Sequence[PublishedFile]:
    """The files of whichever layout the user has, those to fetch if there is none."""
    folders = [Path(root or ".").expanduser() / "raw", Path(root or ".").expanduser()]
    for folder in folders:
        if (folder / GDB9[0].name).is_file():
            return GDB9
        if (folder / XYZ_ARCHIVE.name).is_file():
            return [XYZ_ARCHIVE]
        files = sorted((folder / XYZ_FOLDER).glob("*.xyz"))
        if files:
            return [PublishedFile(f"{XYZ_FOLDER}/{path.name}", XYZ_ARCHIVE.url, XYZ_ARCHIVE.name) for path in files]
    return GDB9


def _read(paths: Sequence[Path], label: Label) -> Iterator[Frames]:
    left_out = read_uncharacterized(paths[0])
    if paths[1].name == GDB9[0].name:
        yield from _frames(read_gdb9(paths[1], paths[2], label.prop), left_out, label.factor, file=1)
    elif paths[1].name == XYZ_ARCHIVE.name:
        yield from _frames(read_xyz_archive(paths[1], label.prop), left_out, label.factor, file=1)
    else:
        for file, path in enumerate(paths[1:], start=1):
            yield from _frames(read_xyz_files([path], label.prop), left_out, label.factor, file=file)


def _frames(
    molecules: Iterable[QM9Molecule], left_out: frozenset[int], factor: float, *, file: int
) -> Iterator[Frames]:
    kept = ((number, molecule) for number, molecule in enumerate(molecules) if molecule.gdb not in left_out)
    for _, block in groupby(enumerate(kept), key=lambda item: item[0] // BLOCK_FRAMES):
        numbers, chosen = zip(*(item for _, item in block), strict=True)
        yield Frames(
            file,
            "",
            numbers[0],
            np.array([len(molecule.numbers) for molecule in chosen]),
            z=np.concatenate([molecule.numbers for molecule in chosen]),
            pos=np.concatenate([molecule.positions for molecule in chosen]),
            y=np.array([molecule.value for molecule in chosen]) * factor,
            numbers=np.array(numbers),
        )
