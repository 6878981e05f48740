"""MD22 from files in place."""

from pathlib import Path

import numpy as np
import pytest
from dataset_files import METHANE, WATER, molecules, write_npz

from torchmdnet.datasets import MD22
from torchmdnet.datasets.md22 import MOLECULES
from torchmdnet.units import KCAL_PER_MOL_IN_EV

NAMES = ["AT-AT-CG-CG", "AT-AT", "Ac-Ala3-NHMe", "DHA", "buckyball-catcher", "dw-nanotube", "stachyose"]


def test_knows_the_seven_molecules() -> None:
    assert list(MOLECULES) == NAMES


def test_numbers_are_as_in_the_files_in_the_order_named(tmp_path: Path) -> None:
    first, second = molecules(WATER, count=2, seed=0), molecules(METHANE, count=3, seed=1)
    write_npz(tmp_path / "raw" / "md22_DHA.npz", first)
    write_npz(tmp_path / "raw" / "md22_AT-AT.npz", second)
    dataset = MD22(tmp_path, molecules=["DHA", "AT-AT"])
    assert dataset.energy_unit == "kcal/mol"
    assert np.allclose(dataset.energies(), np.concatenate([first["y"], second["y"]]))
    assert np.allclose(dataset[2].neg_dy, second["neg_dy"][0])


def test_kcal_per_mol_become_ev_when_asked(tmp_path: Path) -> None:
    frames = molecules(WATER, count=2, seed=0)
    write_npz(tmp_path / "raw" / "md22_DHA.npz", frames)
    dataset = MD22(tmp_path, molecules="DHA", energy_unit="kcal/mol")
    assert dataset.energy_unit == "eV"
    assert np.allclose(dataset.energies(), frames["y"] * KCAL_PER_MOL_IN_EV)


@pytest.mark.parametrize("name", ["dw-nanotube", "double-walled_nanotube", "dw_nanotube"])
def test_the_nanotube_has_three_spellings(tmp_path: Path, name: str) -> None:
    write_npz(tmp_path / "raw" / "md22_dw_nanotube.npz", molecules(WATER, count=2, seed=0))
    assert len(MD22(tmp_path, molecules=name)) == 2


def test_an_unknown_molecule_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"MD22: molecule 'stachiose' is none of AT-AT-CG-CG, .*; did you mean 'stachy"
    ):
        MD22(tmp_path, molecules="stachiose")
