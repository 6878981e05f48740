"""mdCATH: simulations of protein domains with a classical force field, published as coordinates and forces."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from torchmdnet.datasets.download import download
from torchmdnet.datasets.file_units import FileUnits, file_units
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.mdcath_selection import MDCATHCriteria, Trajectory, select_trajectories
from torchmdnet.datasets.published import PublishedDataset, PublishedFile
from torchmdnet.datasets.validation import DatasetError

__all__ = ["MDCATH"]


URL = "https://huggingface.co/datasets/compsciencelab/mdCATH/resolve/main"
TEMPERATURES = ("320", "348", "379", "413", "450")
BLOCK_ATOMS = 1 << 18


class MDCATH(PublishedDataset):
    """mdCATH (Mirarchi, Giorgino, De Fabritiis, Sci. Data 11, 1299 (2024), doi:10.1038/s41597-024-04140-z).

    Samples have neg_dy and no energy, so a training needs ``y_weight: 0``. Forces are in kcal/mol/Å unless
    ``energy_unit`` says what they are to be converted from. A sample's ``info`` is "DOMAIN_TEMPERATURE_REPLICA_FRAME"
    with the number of the frame in its file; batches of ``get_batch`` go without. A file with statistics of all domains
    is fetched, and then the files of the domains chosen, hundreds of MB each. The store takes 49 bytes an atom of each
    frame.

    Args:
        root: folder of the data set.
        numAtoms, numNoHAtoms, numResidues: most atoms, heavy atoms and residues of a domain.
        temperatures: kelvin, out of 320, 348, 379, 413, 450.
        skip_frames: take every so many-th frame.
        pdb_list: domains by name in a list, or a text file with a name a line; None: all.
        min_gyration_radius, max_gyration_radius: bounds (nm) that every frame of a trajectory keeps.
        alpha_beta_coil: least percentages of residues in helices, in sheets and in neither.
        solid_ss: least percentage of residues in helices and sheets together.
        numFrames: least number of frames of a trajectory.
        source_file: name of the file of statistics.
        file_basename: what the names of the domains' files begin with.
        energy_unit: "kcal/mol" converts to eV/Å; "eV" keeps the numbers as they are.
        transform, pre_transform, pre_filter: as of :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        ValueError: an argument has no meaning, or a domain is unknown.
        FileNotFoundError: a file is not there and cannot be fetched.
        DatasetError: a file has faults, or no trajectory fulfils the criteria.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        source_file: str = "mdcath_source.h5",
        file_basename: str = "mdcath_dataset",
        numAtoms: int | None = 5000,
        numNoHAtoms: int | None = None,
        numResidues: int | None = 1000,
        temperatures: str | int | Sequence[str | int] = ("348",),
        skip_frames: int = 1,
        pdb_list: str | Path | Sequence[str] | None = None,
        min_gyration_radius: float | None = None,
        max_gyration_radius: float | None = None,
        alpha_beta_coil: Sequence[float] | None = None,
        solid_ss: float | None = None,
        numFrames: int | None = None,
        *,
        energy_unit: str = "eV",
    ) -> None:
        if not root:
            raise ValueError("MDCATH: dataset_root is missing; give the folder that has, or will have, its files")
        if isinstance(skip_frames, bool) or not isinstance(skip_frames, int) or skip_frames < 1:
            raise ValueError(f"MDCATH: skip_frames is {skip_frames!r}; 1 for every frame, 2 for every other, and so on")
        criteria = MDCATHCriteria(
            max_atoms=numAtoms,
            max_heavy_atoms=numNoHAtoms,
            max_residues=numResidues,
            temperatures=_temperatures(temperatures),
            domains=_domains(pdb_list),
            min_gyration_radius=min_gyration_radius,
            max_gyration_radius=max_gyration_radius,
            min_alpha_beta_coil=_composition(alpha_beta_coil),
            min_solid=solid_ss,
            min_frames=numFrames,
        )
        units = file_units(energy_unit, "Ang")
        chosen = select_trajectories(_source(Path(root).expanduser().absolute(), source_file), criteria)
        names = list(dict.fromkeys(trajectory.domain for trajectory in chosen))
        super().__init__(
            root,
            [PublishedFile(f"{file_basename}_{name}.h5", f"{URL}/data/{file_basename}_{name}.h5") for name in names],
            lambda paths: _read(dict(zip(names, paths, strict=True)), chosen, skip_frames, units),
            arguments={"trajectories": [list(t) for t in chosen], "skip": skip_frames, "units": units._asdict()},
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            energy_unit="kcal/mol" if units.energy == 1.0 else "eV",
        )

    def _sample(self, number: int) -> Data:
        sample = super()._sample(number)
        sample.info = self.info(number)
        return sample

    def info(self, index: int) -> str:
        """Where a frame comes from: "DOMAIN_TEMPERATURE_REPLICA_FRAME"."""
        row = self._row(index)
        section = self._store.section(row)
        return f"{section.name.replace('/', '_')}_{self._store.frame_number(row)}"


def _temperatures(given: str | int | Sequence[str | int]) -> tuple[str, ...]:
    items = [given] if isinstance(given, (str, int)) else list(given)
    wanted = tuple(dict.fromkeys(str(item).strip() for item in items))
    unknown = [item for item in wanted if item not in TEMPERATURES]
    if unknown or not wanted:
        raise ValueError(f"MDCATH: temperatures is {given!r}; a list out of {', '.join(TEMPERATURES)} was expected")
    return wanted


def _domains(pdb_list: str | Path | Sequence[str] | None) -> tuple[str, ...] | None:
    if pdb_list is None:
        return None
    if isinstance(pdb_list, (str, Path)):
        path = Path(pdb_list).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"MDCATH: pdb_list: there is no file {str(pdb_list)!r}; give a text file with the name of a domain a "
                "line, or a list of names"
            )
        pdb_list = path.read_text().splitlines()
    names = tuple(dict.fromkeys(name.strip() for name in pdb_list if name.strip()))
    if not names:
        raise ValueError("MDCATH: pdb_list is empty; leave it out for all domains")
    return names


def _composition(given: Sequence[float] | None) -> tuple[float, float, float] | None:
    if given is None:
        return None
    if len(given) != 3 or not all(0 <= value <= 100 for value in given) or sum(given) > 100:
        raise ValueError(
            f"MDCATH: alpha_beta_coil is {given!r}; three least percentages that add up to 100 at most were expected"
        )
    return float(given[0]), float(given[1]), float(given[2])


def _source(folder: Path, name: str) -> Path:
    """The file of statistics, fetched if it is not in place: it says which other files are needed."""
    places = (folder / "raw" / name, folder / name)
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        download(f"{URL}/{name}", places[0])
    return found or places[0]


def _read(
    paths: Mapping[str, Path], chosen: Sequence[Trajectory], skip_frames: int, units: FileUnits
) -> Iterator[Frames]:
    for file, (domain, group) in enumerate(groupby(chosen, key=lambda trajectory: trajectory.domain)):
        path = paths[domain]
        try:
            opened = h5py.File(path, "r")
        except OSError as error:
            raise DatasetError(f"MDCATH: {path} cannot be read as an HDF5 file: {error}") from error
        with opened:
            for trajectory in group:
                yield from _read_trajectory(opened, trajectory, file=file, skip_frames=skip_frames, units=units)


def _read_trajectory(
    opened: Any, trajectory: Trajectory, *, file: int, skip_frames: int, units: FileUnits
) -> Iterator[Frames]:
    name = "/".join(trajectory)
    where = f"MDCATH: {Path(opened.filename).name}, group {name}"
    arrays = {}
    for array, unit in (("coords", "Angstrom"), ("forces", "kcal/mol/Angstrom")):
        if f"{name}/{array}" not in opened or f"{trajectory.domain}/z" not in opened:
            raise DatasetError(f"{where}: {array} or the atomic numbers {trajectory.domain}/z are missing")
        arrays[array] = opened[f"{name}/{array}"]
        if arrays[array].attrs.get("unit", unit) != unit:
            raise DatasetError(f"{where}: {array} are in {arrays[array].attrs['unit']}; {unit} was expected")
    z = opened[f"{trajectory.domain}/z"][()].astype(np.int64)
    size = len(arrays["coords"])
    for array, values in arrays.items():
        if values.shape != (size, len(z), 3):
            raise DatasetError(f"{where}: {array} has shape {values.shape}; {(size, len(z), 3)} was expected")
    step = max(1, BLOCK_ATOMS // max(1, len(z))) * skip_frames
    for start in range(0, size, step):
        numbers = np.arange(start, min(size, start + step), skip_frames)
        rows = slice(start, int(numbers[-1]) + 1, skip_frames)
        yield Frames(
            file,
            name,
            start,
            np.full(len(numbers), len(z)),
            z=np.tile(z, len(numbers)),
            pos=_flat(arrays["coords"][rows]),
            neg_dy=_flat(arrays["forces"][rows]) * units.factor("neg_dy"),
            numbers=numbers,
        )


def _flat(values: NDArray[Any]) -> NDArray[np.float64]:
    return values.astype(np.float64).reshape(-1, 3)
