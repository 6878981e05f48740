"""Extended XYZ: names of labels, units, stress and virial, cells, several files."""

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from dataset_files import METHANE, WATER, molecules, write_extxyz

from torchmdnet.datasets import DatasetError, ExtXYZ
from torchmdnet.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

CELL = np.array([[6.0, 0, 0], [1, 5, 0], [0, -1, 7]])
STRESS = np.array([[0.1, 0.02, 0.03], [0.02, 0.2, 0.05], [0.03, 0.05, 0.3]])


def write_one(path: Path, *, info: dict[str, Any], forces: str = "forces", **atoms: Any) -> Path:
    """Two atoms with labels under any names."""
    image = Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], **atoms)
    image.info |= info
    image.arrays[forces] = np.array([[0.0, 0, 1], [0, 0, -1]])
    ase.io.write(path, image, format="extxyz")
    return path


def test_reads_labels_under_usual_names(tmp_path: Path) -> None:
    dataset = ExtXYZ(write_one(tmp_path / "a.xyz", info={"REF_energy": -3.0}, forces="REF_forces"))
    assert dataset[0].y.item() == -3.0
    assert dataset[0].neg_dy.tolist() == [[0, 0, 1], [0, 0, -1]]


def test_reads_labels_under_given_names(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"pbe0": -3.0, "total": 1, "S": 2.0}, forces="grad")
    dataset = ExtXYZ(path, energy_key="pbe0", forces_key="grad", charge_key="total", spin_key="S")
    sample = dataset[0]
    assert (sample.y.item(), sample.q.item(), sample.s.item(), sample.neg_dy[0, 2].item()) == (-3.0, 1.0, 2.0, 1.0)


def test_two_possible_names_are_an_error_that_lists_them(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"REF_energy": -3.0, "dft_energy": -4.0})
    with pytest.raises(DatasetError, match=r"frame 0: the energy could be any of 'REF_energy', 'dft_energy'"):
        ExtXYZ(path)
    assert ExtXYZ(path, energy_key="dft_energy")[0].y.item() == -4.0


def test_a_name_that_changes_between_frames_is_an_error(tmp_path: Path) -> None:
    images = [Atoms("He", info={"REF_energy": 1.0}), Atoms("He", info={"dft_energy": 1.0})]
    ase.io.write(tmp_path / "a.xyz", images, format="extxyz")
    with pytest.raises(DatasetError, match="frame 1: the energy could be any of 'REF_energy', 'dft_energy'"):
        ExtXYZ(tmp_path / "a.xyz")


def test_a_given_name_that_no_frame_has_is_an_error_that_lists_the_names(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"REF_energy": -3.0})
    with pytest.raises(DatasetError, match="energy_key: no frame has 'enrgy'; names found: 'REF_energy', 'forces'"):
        ExtXYZ(path, energy_key="enrgy")


def test_no_recognised_label_is_an_error_that_lists_the_names(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"pbe0": -3.0}, forces="grad")
    with pytest.raises(DatasetError, match="no energy or forces recognised among the names 'grad', 'pbe0'"):
        ExtXYZ(path)


@pytest.mark.parametrize("word", ["none", "None"])
def test_a_quantity_can_be_left_out(tmp_path: Path, word: str) -> None:
    dataset = ExtXYZ(write_extxyz(tmp_path / "a.xyz", molecules(WATER, count=2, seed=0)), stress_key=word)
    assert "stress" not in dataset.fields


@pytest.mark.parametrize("form", ["nine", "six"])
@pytest.mark.parametrize("kind", ["stress", "virial"])
def test_stress_and_virial_in_six_or_nine_numbers_agree(tmp_path: Path, form: str, kind: str) -> None:
    value = STRESS if kind == "stress" else -STRESS * np.linalg.det(CELL)
    value = full_3x3_to_voigt_6_stress(value) if form == "six" else value.ravel()
    path = write_one(tmp_path / "a.xyz", info={"energy": 0.0, f"my_{kind}": value}, cell=CELL, pbc=True)
    dataset = ExtXYZ(path, **{f"{kind}_key": f"my_{kind}"})
    assert np.allclose(dataset[0].stress.numpy()[0], STRESS, atol=1e-12)


def test_stress_and_virial_that_disagree_are_an_error(tmp_path: Path) -> None:
    info = {"energy": 0.0, "REF_stress": STRESS.ravel(), "REF_virial": STRESS.ravel() * np.linalg.det(CELL)}
    path = write_one(tmp_path / "a.xyz", info=info, cell=CELL, pbc=True)
    with pytest.raises(DatasetError, match=r"frame 0: 'REF_stress' and 'REF_virial' disagree"):
        ExtXYZ(path)
    assert np.allclose(ExtXYZ(path, stress_key="REF_stress")[0].stress.numpy()[0], STRESS, atol=1e-12)


def test_units_are_converted(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"energy": -2.0, "REF_stress": STRESS.ravel()}, cell=CELL, pbc=True)
    sample = ExtXYZ(path, energy_unit="Hartree", length_unit="bohr")[0]
    assert sample.y.item() == -2.0 * HARTREE_IN_EV
    assert np.allclose(sample.pos[1, 2], 1.1 * BOHR_IN_ANGSTROM)
    assert np.allclose(sample.box[0], CELL * BOHR_IN_ANGSTROM)
    assert np.allclose(sample.neg_dy[0, 2], HARTREE_IN_EV / BOHR_IN_ANGSTROM)
    assert np.allclose(sample.stress[0], STRESS * HARTREE_IN_EV / BOHR_IN_ANGSTROM**3)


def test_a_virial_is_converted_like_an_energy(tmp_path: Path) -> None:
    info = {"energy": 0.0, "virial": -STRESS.ravel() * np.linalg.det(CELL)}
    path = write_one(tmp_path / "a.xyz", info=info, cell=CELL, pbc=True)
    sample = ExtXYZ(path, energy_unit="Ha", length_unit="Bohr")[0]
    assert np.allclose(sample.stress[0], STRESS * HARTREE_IN_EV / BOHR_IN_ANGSTROM**3)


def test_an_unknown_unit_is_an_error(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"energy": 0.0})
    with pytest.raises(ValueError, match="energy_unit: 'cal' is not a unit known here; choose one of eV, "):
        ExtXYZ(path, energy_unit="cal")


def test_a_slab_without_third_vector_gets_an_invertible_cell(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"energy": 0.0}, cell=[[5, 0, 0], [0, 5, 0], [0, 0, 0]], pbc=[1, 1, 0])
    sample = ExtXYZ(path)[0]
    assert sample.pbc.tolist() == [[True, True, False]]
    assert np.linalg.det(sample.box[0]) > 1.0


def test_a_cell_without_periodic_axes_is_no_cell(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"energy": 0.0}, cell=CELL, pbc=False)
    assert "box" not in ExtXYZ(path).fields


def test_stress_on_some_frames_only_says_how_to_leave_it_out(tmp_path: Path) -> None:
    write_one(tmp_path / "a.xyz", info={"energy": 0.0, "stress": STRESS.ravel()}, cell=CELL, pbc=True)
    write_one(tmp_path / "b.xyz", info={"energy": 0.0})
    with pytest.raises(DatasetError, match=r"no stress, which other frames have \(.*stress_key: none.*b.xyz, frame 0"):
        ExtXYZ(tmp_path / "?.xyz")
    assert len(ExtXYZ(tmp_path / "?.xyz", stress_key="none")) == 2


def test_several_files_patterns_and_lists_are_read_in_order(tmp_path: Path) -> None:
    for name, seed in (("b1", 1), ("b0", 0), ("a", 2)):
        write_extxyz(tmp_path / f"{name}.xyz", molecules(METHANE, count=2, seed=seed))
    pattern = f"{tmp_path}/b*.xyz; {tmp_path}/a.xyz"
    names = [ExtXYZ(pattern).frame_name(index) for index in (0, 2, 4)]
    assert names == ["b0.xyz, frame 0", "b1.xyz, frame 0", "a.xyz, frame 0"]
    assert len(ExtXYZ([tmp_path / "b0.xyz", tmp_path / "a.xyz"])) == 4


def test_a_pattern_without_match_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"dataset_root: no file matches .*nothing\*\.xyz"):
        ExtXYZ(tmp_path / "nothing*.xyz")


def test_a_folder_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is a folder; give the files in it"):
        ExtXYZ(tmp_path)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").touch()
    with pytest.raises(DatasetError, match=r"a\.xyz is empty"):
        ExtXYZ(tmp_path / "a.xyz")


@pytest.mark.parametrize(
    "text", ["hello\n", "2\nProperties=species:S:1:pos:R:3 energy=1\nH 0 0 0\n", "1\nenergy=1\nXx 0 0\n"]
)
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(DatasetError, match=r"a\.xyz, frame 0 cannot be read"):
        ExtXYZ(tmp_path / "a.xyz")


def test_a_label_of_the_wrong_size_is_named(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"energy": np.array([1.0, 2.0, 3.0])})
    with pytest.raises(DatasetError, match=r"a\.xyz, frame 0: 'energy' has shape \(3,\)"):
        ExtXYZ(path)


def test_an_energy_that_is_text_is_named(tmp_path: Path) -> None:
    path = write_one(tmp_path / "a.xyz", info={"REF_energy": "low"})
    with pytest.raises(DatasetError, match="frame 0: 'REF_energy' is not a number: 'low'"):
        ExtXYZ(path)


def test_a_column_charge_is_of_the_atoms_and_an_info_charge_of_the_frame(test_data: Path) -> None:
    sample = ExtXYZ(test_data / "data" / "gfn2_mols.extxyz")[0]
    assert sample.q.tolist() == [0.0]
    assert sample.partial_charges.shape == (3,)
