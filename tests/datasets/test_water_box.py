"""WaterBox from a file in place, with the comment line of the published file."""

from pathlib import Path

import numpy as np
import pytest

from torchmdnet.datasets import DatasetError, WaterBox
from torchmdnet.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

COMMENT = (
    'TotEnergy={energy} cutoff=-1.00000000 nneightol=1.20000000 pbc="T T T" Lattice="23.46511000       0.00000000'
    "       0.00000000      -0.00000100      23.46511000       0.00000000      -0.00000100      -0.00000100"
    '      23.46511000" Properties=species:S:1:pos:R:3:force:R:3:Z:I:1'
)


def write(root: Path, *, count: int = 2, comment: str = COMMENT) -> Path:
    path = root / "raw" / "training-set" / "dataset_1593.xyz"
    path.parent.mkdir(parents=True)
    atoms = (("O", 8, 0.0), ("H", 1, 1.8), ("H", 1, -1.8))
    frames = [
        f"3\n{comment.format(energy=-1103.25 - i)}\n"
        + "".join(f"{s}  {x:.8f} 2.0 3.0  0.01 -0.02 0.03  {z}\n" for s, z, x in atoms)
        for i in range(count)
    ]
    path.write_text("".join(frames))
    return path


def test_numbers_are_as_in_the_file(tmp_path: Path) -> None:
    write(tmp_path)
    dataset = WaterBox(tmp_path)
    sample = dataset[1]
    assert (dataset.energy_unit, dataset.length_unit) == ("Hartree", "Bohr")
    assert sample.y.item() == -1104.25
    assert np.allclose(sample.neg_dy, [[0.01, -0.02, 0.03]] * 3)
    assert sample.box.tolist() == [[[23.46511, 0, 0], [-1e-6, 23.46511, 0], [-1e-6, -1e-6, 23.46511]]]
    assert sample.pbc.tolist() == [[True, True, True]]


def test_atomic_units_are_converted_when_asked(tmp_path: Path) -> None:
    write(tmp_path)
    dataset = WaterBox(tmp_path, energy_unit="Hartree", length_unit="Bohr")
    assert (dataset.energy_unit, dataset.length_unit) == ("eV", "Å")
    sample = dataset[0]
    assert dataset.energy_unit == "eV"
    assert sample.y.item() == pytest.approx(-1103.25 * HARTREE_IN_EV)
    assert sample.box[0, 0, 0].item() == pytest.approx(23.46511 * BOHR_IN_ANGSTROM)
    assert np.allclose(sample.neg_dy[0], np.array([0.01, -0.02, 0.03]) * HARTREE_IN_EV / BOHR_IN_ANGSTROM)


def test_64_molecules_have_the_density_of_water_when_lengths_are_in_bohr(tmp_path: Path) -> None:
    write(tmp_path)
    box = WaterBox(tmp_path, length_unit="Bohr")[0].box[0].numpy()
    grams_per_cm3 = 64 * 18.015 / 0.602214076 / np.linalg.det(box)
    assert grams_per_cm3 == pytest.approx(1.0, abs=0.01)


def test_a_file_without_energies_is_refused(tmp_path: Path) -> None:
    write(tmp_path, comment=COMMENT.replace("TotEnergy", "E"))
    with pytest.raises(DatasetError, match="energy_key: no frame has 'TotEnergy'; names found: 'E', "):
        WaterBox(tmp_path)


def test_a_file_cut_off_within_a_frame_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text()[:-60])
    with pytest.raises(DatasetError, match=r"dataset_1593.xyz, frame 1 cannot be read"):
        WaterBox(tmp_path)
