"""Frames from ASE's Atoms: labels wherever they are (calculator results, ``info``, ``arrays``), cells, units."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from torchmdnet.datasets.file_units import FileUnits
from torchmdnet.datasets.frames import Frames, concatenate
from torchmdnet.datasets.label_keys import FoundNames, NameFinder
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.datasets.virial import stress_from_virial

__all__ = ["frame_of_atoms", "frames_of_images"]

BLOCK_FRAMES = 2048
PER_ATOM_RESULTS = ("forces", "charges", "magmoms", "energies", "stresses")
STRESS_TOLERANCE = 1e-3

# Voigt order xx, yy, zz, yz, xz, xy
_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])


def frames_of_images(
    images: Iterable[Atoms], *, file: int, name: str, finder: NameFinder, units: FileUnits
) -> Iterator[Frames]:
    """Blocks of frames from the images of one file, in order.

    Args:
        images: read one after the other, never held together.
        file: index of the file among the sources.
        name: name of the file for messages.
        finder: recognises the labels.
        units: of the numbers in the file.

    Raises:
        DatasetError: a label has a size that does not fit, or an ambiguous name.
    """
    singles = (
        frame_of_atoms(atoms, file=file, number=number, where=f"{name}, frame {number}", finder=finder, units=units)
        for number, atoms in enumerate(images)
    )
    numbered = enumerate(singles)
    for _, group in groupby(numbered, key=lambda item: (item[0] // BLOCK_FRAMES, item[1].present())):
        yield concatenate([frame for _, frame in group])


def frame_of_atoms(atoms: Atoms, *, file: int, number: int, where: str, finder: NameFinder, units: FileUnits) -> Frames:
    """One image as a block of one frame."""
    per_frame, per_atom = _values(atoms, finder)
    names = finder.find(per_frame, per_atom, where=where)
    box, pbc = _cell(atoms)
    read = _Reader(per_frame, per_atom, where, len(atoms))
    stress = _stress(read, names, box, units)
    fields = {
        "pos": np.asarray(atoms.positions, dtype=np.float64),
        "neg_dy": read.atoms(names.forces, (3,)),
        "partial_charges": read.atoms(names.partial_charges, ()),
        "y": read.frame(names.energy, ()),
        "box": box,
        "q": read.frame(names.charge, ()),
        "s": read.frame(names.spin, ()),
        "dp": read.frame(names.dipole, (3,)),
    }
    scaled = {key: None if value is None else value * units.factor(key) for key, value in fields.items()}
    return Frames(
        file=file,
        section="",
        first=number,
        num_atoms=np.array([len(atoms)]),
        z=atoms.numbers,
        pbc=pbc,
        stress=stress,
        **scaled,  # type: ignore[arg-type]
    )


def _values(atoms: Atoms, finder: NameFinder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything an image carries beside its structure, by name: of the frame, and of its atoms."""
    per_frame: dict[str, Any] = {}
    per_atom = {name: values for name, values in atoms.arrays.items() if name not in ("numbers", "positions")}
    for name, value in atoms.info.items():
        has_rows = isinstance(value, np.ndarray) and value.shape[:1] == (len(atoms),) and finder.is_per_atom(name)
        (per_atom if has_rows else per_frame)[name] = value
    for name, value in (atoms.calc.results if atoms.calc is not None else {}).items():
        (per_atom if name in PER_ATOM_RESULTS else per_frame)[name] = value
    return per_frame, per_atom


def _cell(atoms: Atoms) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_] | None]:
    if not atoms.pbc.any():
        return None, None
    box = np.array(atoms.cell.array, dtype=np.float64)
    if not box[~atoms.pbc].any(axis=-1).all():
        # A slab or wire whose open axis has no vector: any vector will do there, but the cell must be invertible
        box = np.array(atoms.cell.complete().array) if box[atoms.pbc].any(axis=-1).all() else box
    return box[None], np.array(atoms.pbc)[None]


class _Reader:
    """Takes labels of one frame by name and checks their size."""

    def __init__(self, per_frame: dict[str, Any], per_atom: dict[str, Any], where: str, num_atoms: int) -> None:
        self._per_frame = per_frame
        self._per_atom = per_atom
        self.where = where
        self._num_atoms = num_atoms

    def frame(self, name: str | None, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
        """A label of the frame, with a leading axis of one."""
        return (
            None if name is None else self._numbers(name, self._per_frame[name]).reshape(self._fit(name, (1, *shape)))
        )

    def atoms(self, name: str | None, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
        """A label of the atoms."""
        if name is None:
            return None
        return self._numbers(name, self._per_atom[name]).reshape(self._fit(name, (self._num_atoms, *shape), atoms=True))

    def tensor(self, name: str) -> NDArray[np.float64]:
        """A 3x3 tensor from its nine components, or from six in Voigt order."""
        values = self._numbers(name, self._per_frame[name])
        if values.size not in (6, 9):
            raise DatasetError(f"{self.where}: {name!r} has {values.size} numbers; 9 or 6 (xx, yy, zz, yz, xz, xy) fit")
        flat = values.ravel()
        return flat[_VOIGT][None] if values.size == 6 else flat.reshape(1, 3, 3)

    def _numbers(self, name: str, value: Any) -> NDArray[np.float64]:
        try:
            return np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{self.where}: {name!r} is not a number: {value!r}") from error

    def _fit(self, name: str, shape: tuple[int, ...], *, atoms: bool = False) -> tuple[int, ...]:
        given = np.shape((self._per_atom if atoms else self._per_frame)[name])
        if int(np.prod(given)) != int(np.prod(shape)):
            raise DatasetError(f"{self.where}: {name!r} has shape {given}; {shape[0 if atoms else 1 :]} was expected")
        return shape


def _stress(
    read: _Reader, names: FoundNames, box: NDArray[np.float64] | None, units: FileUnits
) -> NDArray[np.float64] | None:
    """Stress in eV/Å³ from the stress or from virial = -stress V; where both are there they must agree."""
    if box is None or (names.stress is None and names.virial is None):
        return None
    stress = None if names.stress is None else read.tensor(names.stress) * units.factor("stress")
    if names.virial is None:
        return stress
    from_virial = stress_from_virial(read.tensor(names.virial) * units.energy, box * units.length, where=read.where)
    if stress is None:
        return from_virial
    scale = max(float(np.abs(stress).max()), 1e-6)
    if float(np.abs(stress - from_virial).max()) > STRESS_TOLERANCE * scale:
        raise DatasetError(
            f"{read.where}: {names.stress!r} and {names.virial!r} disagree (virial = -stress x volume was expected); "
            "say which to use with stress_key or virial_key in dataset_arg"
        )
    return stress
