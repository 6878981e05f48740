"""SPICE from files in place."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ani_spice_files import spice_group, write_groups

from torchmdnet.datasets import SPICE, DatasetError
from torchmdnet.datasets.spice import VERSIONS
from torchmdnet.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

FORCE_STEP = 0.01 * HARTREE_IN_EV / BOHR_IN_ANGSTROM
"""Force on an atom of conformation 1 of the files written here, eV/Å."""


def write_spice(root: Path, version: str = "1.1.3", **groups: dict[str, Any]) -> Path:
    return write_groups(root / "raw" / VERSIONS[version].name, groups)


def write_molecules(root: Path) -> None:
    """Five molecules of two conformations; energies are 10, 11, 20, ..., 51."""
    subsets = {"a": "X", "b": "Y", "c": "X", "d": "Y", "e": "X"}
    groups = {name: spice_group(2, subset=subsets[name], energy=10.0 * i) for i, name in enumerate("abcde", start=1)}
    write_spice(root, **groups)


def energies(dataset: SPICE) -> list[int]:
    return [round(energy / HARTREE_IN_EV) for energy in dataset.energies().tolist()]


def test_lengths_energies_and_gradients_are_converted(tmp_path: Path) -> None:
    group = spice_group(3)
    write_spice(tmp_path, water=group)
    sample = SPICE(tmp_path)[2]
    assert sample.z.tolist() == [8, 1, 1]
    assert sample.y.item() == pytest.approx(2 * 27.211386246)
    assert np.allclose(sample.pos, group["conformations"][2] * 0.529177, rtol=1e-6)
    assert np.allclose(sample.neg_dy, -group["dft_total_gradient"][2] * 27.211386246 / 0.529177, rtol=1e-6)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("1.0", "spice/1.0/SPICE.hdf5"),
        (1.1, "spice/1.1/SPICE.hdf5"),
        ("1.1.1", "spice/1.1.1/SPICE-1.1.1.hdf5"),
        ("1.1.2", "spice/1.1.2/SPICE-1.1.2.hdf5"),
        ("1.1.3", "spice/1.1.3/SPICE-1.1.3.hdf5"),
        ("1.1.4", "spice/1.1.4/SPICE-1.1.4.hdf5"),
        ("2.0.1", "spice/2.0.1/SPICE-2.0.1.hdf5"),
    ],
)
def test_each_version_has_its_file(tmp_path: Path, version: Any, name: str) -> None:
    write_groups(tmp_path / "raw" / name, {"water": spice_group(2)})
    assert len(SPICE(tmp_path, version=version)) == 2


def test_versions_live_side_by_side(tmp_path: Path) -> None:
    write_spice(tmp_path, "1.1.3", water=spice_group(2))
    write_spice(tmp_path, "2.0.1", water=spice_group(3))
    assert [len(SPICE(tmp_path, version=version)) for version in ("1.1.3", "2.0.1", "1.1.3")] == [2, 3, 2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [10, 11, 20, 21, 30, 31, 40, 41, 50, 51]),
        ({"subsets": ["Y"]}, [20, 21, 40, 41]),
        ({"subsets": "Y"}, [20, 21, 40, 41]),
        ({"subsets": ["Y", "X"]}, [10, 11, 20, 21, 30, 31, 40, 41, 50, 51]),
        ({"subsample_molecules": 2}, [10, 11, 30, 31, 50, 51]),
        ({"subsample_molecules": 3, "subsets": ["Y"]}, [40, 41]),
    ],
)
def test_molecules_are_chosen(tmp_path: Path, arguments: dict[str, Any], expected: list[int]) -> None:
    write_molecules(tmp_path)
    assert energies(SPICE(tmp_path, **arguments)) == expected


@pytest.mark.parametrize(("limit", "kept"), [(0.9, [0]), (1.1, [0, 1]), (2.1, [0, 1, 2]), (9.0, [0, 1, 2, 3])])
def test_frames_with_a_larger_force_on_an_atom_are_left_out(tmp_path: Path, limit: float, kept: list[int]) -> None:
    write_spice(tmp_path, water=spice_group(4))
    assert energies(SPICE(tmp_path, max_gradient=limit * FORCE_STEP)) == kept


def test_frames_left_out_are_counted_in_names(tmp_path: Path) -> None:
    group = spice_group(4)
    group["dft_total_gradient"][1] = 1.0
    write_spice(tmp_path, water=group)
    assert SPICE(tmp_path, max_gradient=5.0).frame_name(1) == "SPICE-1.1.3.hdf5, group water, frame 2"


def test_each_choice_has_its_own_store(tmp_path: Path) -> None:
    write_molecules(tmp_path)
    sizes = [len(SPICE(tmp_path, subsample_molecules=step)) for step in (1, 2, 1)]
    assert sizes == [10, 6, 10]


def test_formation_energies_need_no_atomic_energies(tmp_path: Path) -> None:
    write_molecules(tmp_path)
    assert SPICE(tmp_path).get_atomref() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": "1.2"}, r"version '1.2' is none of 1.0, 1.1, 1.1.1, 1.1.2, 1.1.3, 1.1.4, 2.0.1"),
        ({"max_gradient": -1}, r"max_gradient is -1; a positive number \(eV/Å\) or None was expected"),
        ({"max_gradient": "5"}, r"max_gradient is '5'; a positive number"),
        ({"subsample_molecules": 0}, r"subsample_molecules is 0; a whole number from 1 on was expected"),
        ({"subsample_molecules": 1.5}, r"subsample_molecules is 1.5; a whole number"),
        ({"subsets": 3}, r"subsets is 3; a list of names or None was expected"),
    ],
)
def test_senseless_arguments_are_refused_before_anything_is_fetched(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SPICE(tmp_path, **arguments)


def test_an_unknown_subset_is_told_with_those_there_are(tmp_path: Path) -> None:
    write_molecules(tmp_path)
    with pytest.raises(DatasetError, match=r"SPICE-1.1.3.hdf5 has no subset 'Z'; it has 'X', 'Y'"):
        SPICE(tmp_path, subsets=["X", "Z"])


def test_a_limit_that_leaves_nothing_is_told(tmp_path: Path) -> None:
    write_spice(tmp_path, water={**spice_group(2), "dft_total_gradient": np.ones((2, 3, 3))})
    with pytest.raises(DatasetError, match=r"all 2 frames have forces above max_gradient, 1 eV/Å; give a larger one"):
        SPICE(tmp_path, max_gradient=1.0)


def test_nan_is_a_fault_and_no_large_force(tmp_path: Path) -> None:
    group = spice_group(3)
    group["dft_total_gradient"][1, 2] = np.nan
    write_spice(tmp_path, water=group)
    with pytest.raises(DatasetError, match=r"NaN or infinite forces: SPICE-1.1.3.hdf5, group water, frame 1"):
        SPICE(tmp_path, max_gradient=5.0)


def test_a_molecule_without_gradients_is_named(tmp_path: Path) -> None:
    group = spice_group(2)
    del group["dft_total_gradient"]
    write_spice(tmp_path, water=group)
    with pytest.raises(DatasetError, match=r"group water has no dft_total_gradient; atomic_numbers, conformations, "):
        SPICE(tmp_path)


def test_arrays_that_do_not_fit_are_told(tmp_path: Path) -> None:
    write_spice(tmp_path, water=spice_group(2) | {"formation_energy": np.zeros(3)})
    with pytest.raises(DatasetError, match=r"group water: formation_energy has shape \(3,\); \(2,\) was expected"):
        SPICE(tmp_path)


def test_a_file_that_is_no_hdf5_is_named(tmp_path: Path) -> None:
    path = write_spice(tmp_path)
    path.write_text("<html>")
    with pytest.raises(DatasetError, match=r"SPICE-1.1.3.hdf5 cannot be read as an HDF5 file"):
        SPICE(tmp_path)
