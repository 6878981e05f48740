"""QM9q from files in its layout; numbers of TorchMD-NET 3.1.0 for the same files are frozen here."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from torchmdnet.datasets import DatasetError, QM9q
from torchmdnet.units import BOHR_IN_ANGSTROM, DEBYE_IN_E_ANGSTROM, HARTREE_IN_EV

UNITS = {
    "positions": "Å : ångströms",
    "energy": "E_h : hartree",
    "gradient_vector": "vector : Hartree/Bohr ",
    "electronic_charge": "n : fractional electrons",
    "dipole_moment": "x,y,z : Debye",
}
WATER = {
    "positions": np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]),
    "energy": -76.4,
    "gradient_vector": np.full((3, 3), 0.01),
    "electronic_charge": np.array([-0.8, 0.4, 0.4]),
    "dipole_moment": np.array([0.1, 0.2, 0.3]),
}


def write(
    path: Path, *conformers: dict[str, Any], units: dict[str, str] = UNITS, numbers: tuple[int, ...] = (8, 1, 1)
) -> Path:
    """A file with one molecule; each conformer is water with some quantities changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as output:
        molecule = output.create_group("molecules").create_group("m1")
        molecule["atomic_numbers"] = np.array(numbers)
        for key, unit in units.items():
            group = molecule.create_group(key)
            group.attrs["units"] = unit
            for number, conformer in enumerate(conformers):
                group[f"c{number}"] = {**WATER, **conformer}[key]
    return path


def test_everything_is_in_the_units_of_samples(tmp_path: Path) -> None:
    sample = QM9q(tmp_path, paths=write(tmp_path / "a.h5", {}))[0]
    assert np.allclose(sample.pos, WATER["positions"])
    assert np.allclose(sample.neg_dy, -0.01 * HARTREE_IN_EV / BOHR_IN_ANGSTROM)
    assert np.allclose(sample.partial_charges, WATER["electronic_charge"])
    assert np.allclose(sample.dp, np.array([[0.1, 0.2, 0.3]]) * DEBYE_IN_E_ANGSTROM)
    assert sample.q.item() == 0


@pytest.mark.parametrize(
    ("charges", "total", "energy"), [((-0.8, 0.4, 0.4), 0, -11.3220), ((-0.2, 0.6, 0.6), 1, -24.9639)]
)
def test_energies_are_those_of_torchmd_net(
    tmp_path: Path, charges: tuple[float, ...], total: int, energy: float
) -> None:
    path = write(tmp_path / "a.h5", {"electronic_charge": np.array(charges)})
    sample = QM9q(tmp_path, paths=str(path))[0]
    assert sample.q.item() == total
    assert sample.y.item() == pytest.approx(energy, abs=1e-4)


def test_frames_with_forces_out_of_all_proportion_are_left_out(tmp_path: Path) -> None:
    huge = {"gradient_vector": np.full((3, 3), 2.0)}
    dataset = QM9q(tmp_path, paths=write(tmp_path / "a.h5", {}, huge, {}))
    assert [dataset.frame_name(index) for index in range(len(dataset))] == [
        "a.h5, group m1, frame 0",
        "a.h5, group m1, frame 2",
    ]


@pytest.mark.parametrize("kind", ["list", "folder", "pattern", "raw"])
def test_files_are_named_in_any_way(tmp_path: Path, kind: str) -> None:
    first, second = write(tmp_path / "raw" / "a.h5", {}), write(tmp_path / "raw" / "b.h5", {})
    paths = {
        "list": [first, str(second)],
        "folder": tmp_path / "raw",
        "pattern": str(tmp_path / "raw" / "?.h5"),
        "raw": None,
    }
    assert len(QM9q(tmp_path, paths=paths[kind])) == 2  # type: ignore[arg-type]


def test_no_file_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"QM9q: paths is missing, and .*raw has no .h5 files; give dataset_arg: \{paths"
    ):
        QM9q(tmp_path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"paths: there is no file 'nowhere.h5'"):
        QM9q(tmp_path, paths="nowhere.h5")


@pytest.mark.parametrize(
    ("key", "unit", "message"),
    [
        ("energy", "J", r"molecule m1, energy has units 'J'; known for energy are ev, hartree"),
        ("gradient_vector", "Hartree", r"gradient_vector has units 'Hartree'; known for force are ev/å, "),
    ],
)
def test_unknown_units_are_told(tmp_path: Path, key: str, unit: str, message: str) -> None:
    path = write(tmp_path / "a.h5", {}, units={**UNITS, key: unit})
    with pytest.raises(DatasetError, match=message):
        QM9q(tmp_path, paths=path)


def test_missing_units_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", {})
    with h5py.File(path, "r+") as stored:
        del stored["molecules/m1/energy"].attrs["units"]
    with pytest.raises(DatasetError, match="energy has no attribute 'units', so its numbers could be anything"):
        QM9q(tmp_path, paths=path)


@pytest.mark.parametrize(
    ("key", "unit", "factor"),
    [
        ("energy", "eV", 1 / HARTREE_IN_EV),
        ("positions", "a_0 : bohr", BOHR_IN_ANGSTROM),
        ("dipole_moment", "e*Å", 1 / DEBYE_IN_E_ANGSTROM),
        ("gradient_vector", "eV / Å", BOHR_IN_ANGSTROM / HARTREE_IN_EV),
    ],
)
def test_other_units_are_converted(tmp_path: Path, key: str, unit: str, factor: float) -> None:
    usual = QM9q(tmp_path, paths=write(tmp_path / "a.h5", {}))[0]
    # The same molecule in other units has numbers smaller by the factor
    other = {key: np.asarray(WATER[key]) / factor}
    sample = QM9q(tmp_path, paths=write(tmp_path / "b.h5", other, units={**UNITS, key: unit}))[0]
    for field in ("pos", "y", "neg_dy", "dp"):
        assert np.allclose(sample[field], usual[field]), field


def test_a_charge_that_is_none_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", {"electronic_charge": np.array([-0.8, 0.4, 0.9])})
    with pytest.raises(DatasetError, match=r"partial charges add up to 0.5 e, which is no whole charge"):
        QM9q(tmp_path, paths=path)


def test_an_element_without_reference_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"atomic numbers \[16\] have no reference energy; QM9q has only H, C, N, O"):
        QM9q(tmp_path, paths=write(tmp_path / "a.h5", {}, numbers=(16, 1, 1)))


def test_a_missing_quantity_is_told(tmp_path: Path) -> None:
    units = {key: unit for key, unit in UNITS.items() if key != "dipole_moment"}
    with pytest.raises(DatasetError, match=r"molecule m1 has .*, but no dipole_moment"):
        QM9q(tmp_path, paths=write(tmp_path / "a.h5", {}, units=units))


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("no HDF5")
    with pytest.raises(DatasetError, match=r"QM9q: .*a.h5 cannot be read"):
        QM9q(tmp_path, paths=tmp_path / "a.h5")
