"""ASE databases."""

from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase import Atoms
from dataset_files import METHANE, WATER, molecules, write_database

from torchmdnet.datasets import ASEDatabase, DatasetError


@pytest.mark.parametrize("suffix", ["db", "json"])
def test_reads_both_kinds_of_file(tmp_path: Path, suffix: str) -> None:
    frames = molecules(WATER, count=3, seed=0)
    dataset = ASEDatabase(write_database(tmp_path / f"a.{suffix}", frames))
    assert np.allclose(dataset.energies(), frames["y"])
    assert np.allclose(dataset[2].stress[0], frames["stress"][2])


def test_labels_may_lie_in_the_data_of_a_row(tmp_path: Path) -> None:
    forces = np.array([[0.0, 0, 1], [0, 0, -1]])
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(Atoms("CO", [[0, 0, 0], [0, 0, 1.1]]), data={"energy": np.array([-3.0]), "forces": forces})
    sample = ASEDatabase(tmp_path / "a.db")[0]
    assert sample.y.tolist() == [[-3.0]]
    assert sample.neg_dy.tolist() == forces.tolist()


def test_a_total_charge_is_not_taken_for_the_sum_of_initial_charges(tmp_path: Path) -> None:
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(Atoms("CO", [[0, 0, 0], [0, 0, 1.1]]), charge=-1.0, REF_energy=-3.0)
    assert ASEDatabase(tmp_path / "a.db")[0].q.tolist() == [-1.0]


def test_given_names_are_used(tmp_path: Path) -> None:
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(Atoms("He"), pbe=-1.0, REF_energy=-3.0)
    assert ASEDatabase(tmp_path / "a.db", energy_key="pbe")[0].y.item() == -1.0


def test_several_databases_are_read_in_order(tmp_path: Path) -> None:
    write_database(tmp_path / "a.db", molecules(WATER, count=2, seed=0))
    write_database(tmp_path / "b.db", molecules(METHANE, count=2, seed=0))
    assert ASEDatabase(tmp_path / "*.db").frame_name(3) == "b.db, frame 1"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("no database, but some text that is long enough to be looked at")
    with pytest.raises(DatasetError, match=r"a\.db cannot be read as an ASE database"):
        ASEDatabase(tmp_path / "a.db")


def test_an_unknown_kind_of_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"a\.txt cannot be read as an ASE database"):
        ASEDatabase(tmp_path / "a.txt")
