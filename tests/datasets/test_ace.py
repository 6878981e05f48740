"""Ace in both versions of its layout: numbers, units, and which files, molecules and conformations are taken."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ace_files import ace_molecule, write_ace

from torchmdnet.datasets import Ace, DatasetError
from torchmdnet.units import BOHR_IN_ANGSTROM, DEBYE_IN_E_ANGSTROM, HARTREE_IN_EV, KCAL_PER_MOL_IN_EV

WATER = ace_molecule([8, 1, 1], count=3)
CATION = ace_molecule([7, 1, 1, 1, 1], count=2, seed=1, charge=1)
VERSIONS = pytest.mark.parametrize("version", ["1.0", "2.0"])


@VERSIONS
def test_samples_hold_what_the_file_holds(tmp_path: Path, version: str) -> None:
    path = write_ace(tmp_path / "a.h5", WATER, CATION, version=version)
    dataset = Ace(paths=path)
    sample = dataset[4]
    assert len(dataset) == 5
    assert sample.z.tolist() == [7, 1, 1, 1, 1]
    assert sample.q.tolist() == [1.0]
    assert sample.y.item() == CATION["formation_energy"][1]
    assert np.array_equal(sample.pos, CATION["positions"][1])
    assert np.array_equal(sample.neg_dy, CATION["forces"][1])
    assert np.array_equal(sample.partial_charges, CATION["partial_charges"][1])
    assert np.array_equal(sample.dp[0], CATION["dipole_moment"][1])
    assert dataset.frame_name(4) == "a.h5, group m1, frame 1"


@VERSIONS
def test_units_of_the_file_are_converted(tmp_path: Path, version: str) -> None:
    units = {
        "positions": "Bohr",
        "forces": "Hartree/Bohr",
        "formation_energy": "kcal/mol",
        "formation_energies": "kcal/mol",
        "dipole_moment": "Debye",
        "dipole_moments": "Debye",
    }
    sample = Ace(paths=write_ace(tmp_path / "a.h5", WATER, version=version, **units))[2]
    assert np.allclose(sample.pos, WATER["positions"][2] * BOHR_IN_ANGSTROM)
    assert np.allclose(sample.neg_dy, WATER["forces"][2] * HARTREE_IN_EV / BOHR_IN_ANGSTROM)
    assert sample.y.item() == pytest.approx(WATER["formation_energy"][2] * KCAL_PER_MOL_IN_EV)
    assert np.allclose(sample.dp, WATER["dipole_moment"][2] * DEBYE_IN_E_ANGSTROM)


@VERSIONS
def test_conformations_without_energy_are_left_out(tmp_path: Path, version: str) -> None:
    energies = np.array([np.nan, -1.0, np.nan])
    dataset = Ace(paths=write_ace(tmp_path / "a.h5", WATER | {"formation_energy": energies}, version=version))
    assert dataset.energies().tolist() == [-1.0]
    assert dataset.frame_name(0) == "a.h5, group m0, frame 1"


@pytest.mark.parametrize(("limit", "expected"), [(None, [0, 1, 2]), (10.0, [0, 1]), (9.99, [0]), (5, [0])])
def test_forces_up_to_max_gradient_are_kept(tmp_path: Path, limit: float | None, expected: list[int]) -> None:
    dataset = Ace(paths=write_ace(tmp_path / "a.h5", WATER), max_gradient=limit)
    assert dataset.energies().tolist() == WATER["formation_energy"][expected].tolist()


@VERSIONS
def test_subsampling_takes_every_so_many_th_molecule_of_each_file(tmp_path: Path, version: str) -> None:
    first = write_ace(tmp_path / "a.h5", WATER, CATION, WATER, version=version)
    second = write_ace(tmp_path / "b.h5", CATION, version=version)
    dataset = Ace(paths=[first, second], subsample_molecules=2)
    assert dataset.num_atoms.tolist() == [3] * 6 + [5] * 2


def test_a_folder_stands_for_its_files_sorted_by_name(tmp_path: Path) -> None:
    write_ace(tmp_path / "data" / "b.h5", CATION)
    write_ace(tmp_path / "data" / "a.h5", WATER, version="2.0")
    write_ace(tmp_path / "data" / "deeper" / "c.h5", WATER)
    other = write_ace(tmp_path / "z.h5", CATION)
    assert Ace(paths=tmp_path / "data").num_atoms.tolist() == [3] * 3 + [5] * 2
    assert Ace(paths=f"{other};{tmp_path}/data").num_atoms.tolist() == [5] * 2 + [3] * 3 + [5] * 2


def test_the_store_lies_below_root(tmp_path: Path) -> None:
    Ace(tmp_path / "store", paths=write_ace(tmp_path / "a.h5", WATER))
    assert [path.name.split("-")[0] for path in (tmp_path / "store" / "processed").iterdir() if path.is_dir()] == [
        "Ace"
    ]


def test_other_arguments_make_another_store(tmp_path: Path) -> None:
    path = write_ace(tmp_path / "a.h5", WATER, CATION)
    assert [len(Ace(paths=path, subsample_molecules=every)) for every in (1, 2, 1)] == [5, 3, 5]


def test_pre_filter_and_transform_see_samples(tmp_path: Path) -> None:
    path = write_ace(tmp_path / "a.h5", WATER, CATION)
    dataset = Ace(paths=path, pre_filter=lambda sample: sample.q.item() == 1, transform=lambda sample: sample.z)
    assert len(dataset) == 2
    assert dataset[0].tolist() == [7, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"paths": None}, ValueError, "paths is missing; give files or folders"),
        ({"paths": "nope.h5"}, FileNotFoundError, "paths: there is no file 'nope.h5'"),
        ({"subsample_molecules": 0}, ValueError, "subsample_molecules is 0; 1 for all"),
        ({"subsample_molecules": 1.5}, ValueError, "subsample_molecules is 1.5"),
        ({"max_gradient": -1}, ValueError, "max_gradient is -1; a positive number"),
        ({"max_gradient": 1e-3}, DatasetError, "all 3 frames have forces above max_gradient"),
    ],
)
def test_wrong_arguments_are_told(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = write_ace(tmp_path / "a.h5", WATER)
    with pytest.raises(error, match=message):
        Ace(**({"paths": path} | arguments))


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"paths: no file matches .*\*\.h5"):
        Ace(paths=tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"version": "3.0"}, r"layout is Ace and layout_version is 3.0; 'Ace' and one of 1.0, 2.0 were expected"),
        ({"layout": "other"}, "layout is other"),
        ({"positions": "furlong"}, "molecule m0: positions has units 'furlong'; known for length are"),
        ({"forces": "eV"}, "molecule m0: forces has units 'eV'; known for force are"),
        ({"partial_charges": "C"}, "partial_charges has units 'C'; known for charge are"),
        ({"formation_energy": None}, "formation_energy has no attribute 'units', so its numbers could be anything"),
    ],
)
def test_another_layout_or_unit_is_told(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Ace(paths=write_ace(tmp_path / "a.h5", WATER, **given))


@VERSIONS
@pytest.mark.parametrize("name", sorted(WATER))
def test_a_missing_array_is_told(tmp_path: Path, version: str, name: str) -> None:
    molecule = {key: values for key, values in WATER.items() if key != name}
    with pytest.raises(DatasetError, match=f"molecule m0 has not the layout of version {version}: .*{name[:-1]}"):
        Ace(paths=write_ace(tmp_path / "a.h5", molecule, version=version))


@VERSIONS
def test_arrays_that_do_not_fit_each_other_are_told(tmp_path: Path, version: str) -> None:
    path = write_ace(tmp_path / "a.h5", WATER | {"forces": np.zeros((3, 2, 3))}, version=version)
    message = r"forces of its 3 conformations have shape \(3, 2, 3\); \(3, 3, 3\) was expected"
    with pytest.raises(DatasetError, match=message):
        Ace(paths=path)


def test_version_2_has_one_group_of_molecules(tmp_path: Path) -> None:
    path = write_ace(tmp_path / "a.h5", WATER, version="2.0")
    with h5py.File(path, "a") as file:
        file.create_group("other")
    with pytest.raises(DatasetError, match="has master, other; one group of molecules was expected"):
        Ace(paths=path)


def test_a_molecule_without_conformations_is_passed_over(tmp_path: Path) -> None:
    path = write_ace(tmp_path / "a.h5", WATER)
    with h5py.File(path, "a") as file:
        file.create_group("m1/conformations")
    assert len(Ace(paths=path)) == 3
