"""MDCATH from files in place: which trajectories and frames are taken, and training on forces alone."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mdcath_files import write_mdcath

from torchmdnet.config import Config
from torchmdnet.datasets import MDCATH, DatasetError
from torchmdnet.datasets.mdcath import URL
from torchmdnet.scripts.train import main
from torchmdnet.training.data import DataModule
from torchmdnet.units import KCAL_PER_MOL_IN_EV


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_mdcath(tmp_path / "mdcath")


def trajectories(dataset: MDCATH) -> list[str]:
    return sorted({dataset.info(i).rpartition("_")[0] for i in range(len(dataset))})


def test_samples_have_forces_and_no_energy(root: Path) -> None:
    dataset = MDCATH(root)
    sample = dataset[3]
    assert dataset.fields == ("z", "pos", "neg_dy")
    assert dataset.energy_unit == "kcal/mol"
    assert sample.z.tolist() == [6, 1, 7, 8, 1]
    assert sample.pos[1].tolist() == [31.5, 31.5, 31.5]
    assert sample.neg_dy.tolist() == [[3.0, 3.0, 3.0]] * 5


def test_forces_come_in_ev_when_asked(root: Path) -> None:
    dataset = MDCATH(root, energy_unit="kcal/mol")
    assert dataset.energy_unit == "eV"
    assert np.allclose(dataset[3].neg_dy, 3 * KCAL_PER_MOL_IN_EV)


def test_info_names_domain_temperature_replica_and_frame(root: Path) -> None:
    dataset = MDCATH(root)
    assert [dataset[i].info for i in (0, 4, 5, -1)] == [
        "1abcA00_348_0_0",
        "1abcA00_348_0_4",
        "1abcA00_348_1_0",
        "3ghiC02_348_0_1",
    ]


def test_info_survives_a_worker_process(root: Path) -> None:
    assert pickle.loads(pickle.dumps(MDCATH(root))).info(5) == "1abcA00_348_1_0"


def test_frames_that_are_skipped_keep_the_others_numbers(root: Path) -> None:
    dataset = MDCATH(root, skip_frames=3)
    assert [dataset.info(i) for i in range(3)] == ["1abcA00_348_0_0", "1abcA00_348_0_3", "1abcA00_348_1_0"]
    assert dataset[1].neg_dy[0, 0].item() == 3.0
    assert len(dataset) == 2 + 3 + 2 + 1


ALL = ["1abcA00_348_0", "1abcA00_348_1", "2defB01_348_0", "3ghiC02_348_0"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ALL),
        ({"numAtoms": None, "numResidues": None}, ALL),
        ({"numAtoms": 5}, [ALL[0], ALL[1], ALL[3]]),
        ({"numNoHAtoms": 3}, [ALL[0], ALL[1], ALL[3]]),
        ({"numResidues": 90}, ALL[:3]),
        ({"temperatures": ["320", 413]}, ["1abcA00_320_0", "2defB01_413_3"]),
        ({"temperatures": 320}, ["1abcA00_320_0"]),
        ({"pdb_list": ["3ghiC02", "2defB01"]}, ALL[2:]),
        ({"min_gyration_radius": 1.2}, [ALL[1], ALL[3]]),
        ({"max_gyration_radius": 1.5}, [ALL[0], ALL[2]]),
        ({"min_gyration_radius": 1.0, "max_gyration_radius": 1.5}, ALL[:1]),
        ({"alpha_beta_coil": [30, 10, 40]}, ALL[:2]),
        ({"solid_ss": 60}, [ALL[0], ALL[1], ALL[3]]),
        ({"solid_ss": 61}, ALL[3:]),
        ({"numFrames": 6}, ALL[1:3]),
    ],
)
def test_bounds_are_met_by_equal_values(root: Path, arguments: dict[str, Any], expected: list[str]) -> None:
    assert trajectories(MDCATH(root, **arguments)) == expected


def test_domains_can_be_listed_in_a_file(root: Path, tmp_path: Path) -> None:
    (tmp_path / "domains.txt").write_text("2defB01\n\n")
    assert trajectories(MDCATH(root, pdb_list=tmp_path / "domains.txt")) == ALL[2:3]


def test_only_files_of_chosen_domains_are_needed(root: Path) -> None:
    (root / "raw" / "mdcath_dataset_1abcA00.h5").unlink()
    assert len(MDCATH(root, pdb_list=["2defB01"])) == 6


def test_missing_files_are_fetched_under_their_published_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {path.name: path.read_bytes() for path in (root / "raw").iterdir()}
    for path in (root / "raw").iterdir():
        path.unlink()

    def fetch(url: str, path: Path, **checks: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kept[path.name])
        fetched.append(url)

    fetched: list[str] = []
    monkeypatch.setattr("torchmdnet.datasets.mdcath.download", fetch)
    monkeypatch.setattr("torchmdnet.datasets.published.download", fetch)
    MDCATH(root, pdb_list=["2defB01"])
    assert fetched == [f"{URL}/mdcath_source.h5", f"{URL}/data/mdcath_dataset_2defB01.h5"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pdb_list": ["2defB0"]}, ValueError, "no domain '2defB0' among the 3 of mdCATH; did you mean '2defB01'"),
        ({"pdb_list": "nope.txt"}, FileNotFoundError, "pdb_list: there is no file 'nope.txt'; give a text file"),
        ({"pdb_list": []}, ValueError, "pdb_list is empty"),
        ({"temperatures": ["300"]}, ValueError, r"temperatures is \['300'\]; a list out of 320, 348, 379, 413, 450"),
        ({"temperatures": ["379"]}, DatasetError, "no trajectory .* fulfils numAtoms: 5000, .*temperatures: .*379"),
        ({"skip_frames": 0}, ValueError, "skip_frames is 0; 1 for every frame"),
        ({"alpha_beta_coil": [50, 50]}, ValueError, "three least percentages that add up to 100 at most"),
        ({"alpha_beta_coil": [50, 50, 50]}, ValueError, "three least percentages that add up to 100 at most"),
        ({"numFrames": 100}, DatasetError, "fulfils .*numFrames: 100; ask for less"),
    ],
)
def test_wrong_arguments_are_told(root: Path, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MDCATH(root, **arguments)


def test_a_file_of_statistics_with_another_layout_is_told(root: Path) -> None:
    with h5py.File(root / "raw" / "mdcath_source.h5", "a") as source:
        del source["1abcA00"].attrs["numProteinAtoms"]
    with pytest.raises(DatasetError, match=r"has not the layout of mdcath_source.h5: .*numProteinAtoms"):
        MDCATH(root)


def test_another_unit_of_forces_is_refused(root: Path) -> None:
    with h5py.File(root / "raw" / "mdcath_dataset_1abcA00.h5", "a") as file:
        file["1abcA00/348/0/forces"].attrs["unit"] = "kJ/mol/nm"
    with pytest.raises(DatasetError, match=r"1abcA00/348/0: forces are in kJ/mol/nm; kcal/mol/Angstrom was expected"):
        MDCATH(root)


@pytest.mark.parametrize(("name", "message"), [("forces", "forces or the atomic numbers"), ("coords", "coords or the")])
def test_a_missing_array_is_named(root: Path, name: str, message: str) -> None:
    with h5py.File(root / "raw" / "mdcath_dataset_2defB01.h5", "a") as file:
        del file["2defB01/348/0"][name]
    with pytest.raises(DatasetError, match=message):
        MDCATH(root)


def test_a_file_cut_off_is_named(root: Path) -> None:
    path = root / "raw" / "mdcath_dataset_2defB01.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DatasetError, match=r"mdcath_dataset_2defB01.h5 cannot be read as an HDF5 file"):
        MDCATH(root)


def forces_alone(options: dict[str, Any], root: Path) -> dict[str, Any]:
    return options | {
        "dataset": "MDCATH",
        "dataset_root": str(root),
        "dataset_arg": {"energy_unit": "kcal/mol"},
        "prior_model": None,
        "y_weight": 0.0,
    }


def test_trains_on_forces_alone(
    root: Path, options: dict[str, Any], write_yaml: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--conf", str(write_yaml(forces_alone(options, root)))]) == 0
    text = capsys.readouterr().out
    assert "forces on H" in text
    assert "energy" not in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_weight": 1.0, "derivative": False}, "y_weight: 1.0, but the data set MDCATH has no energies"),
        ({"standardize": True}, "standardize: true, but the data set MDCATH has no energies"),
    ],
)
def test_asking_for_energies_is_told(
    root: Path, options: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    given = Config.from_dict(forces_alone(options, root) | changes)
    with pytest.raises(DatasetError, match=message):
        DataModule(given.to_dict()).setup("fit")
