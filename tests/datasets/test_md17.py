"""MD17 from files in place; fetching is tried on a server on this machine."""

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dataset_files import WATER, molecules, write_npz
from file_server import FileServer, file_server

from torchmdnet.datasets import MD17, DatasetError
from torchmdnet.datasets import md17 as md17_module
from torchmdnet.units import KCAL_PER_MOL_IN_EV


def water(seed: int = 0) -> dict[str, np.ndarray]:
    return molecules(WATER, count=3, seed=seed)


def test_numbers_are_as_in_the_file(tmp_path: Path) -> None:
    write_npz(tmp_path / "raw" / "md17_ethanol.npz", water())
    assert np.allclose(MD17(tmp_path, molecules="ethanol").energies(), water()["y"])


def test_kcal_per_mol_become_ev_when_asked(tmp_path: Path) -> None:
    write_npz(tmp_path / "raw" / "md17_ethanol.npz", water())
    dataset = MD17(tmp_path, molecules="ethanol", energy_unit="kcal/mol")
    assert np.allclose(dataset[0].neg_dy, water()["neg_dy"][0] * KCAL_PER_MOL_IN_EV)


@pytest.mark.parametrize(("given", "unit"), [({}, "kcal/mol"), ({"energy_unit": "kcal/mol"}, "eV")])
def test_says_the_unit_of_its_energies(tmp_path: Path, given: dict[str, str], unit: str) -> None:
    write_npz(tmp_path / "raw" / "md17_ethanol.npz", water())
    assert MD17(tmp_path, molecules="ethanol", **given).energy_unit == unit


@pytest.mark.parametrize("name", ["naphtalene", "naphthalene"])
def test_naphthalene_has_two_spellings(tmp_path: Path, name: str) -> None:
    write_npz(tmp_path / "raw" / "md17_naphthalene.npz", water())
    assert len(MD17(tmp_path, molecules=name)) == 3


@pytest.mark.parametrize(("train", "seeds"), [(True, [0]), (False, [1]), (None, [0, 1])])
def test_coupled_cluster_sets_come_in_two_files(tmp_path: Path, train: bool | None, seeds: list[int]) -> None:
    for part, seed in (("train", 0), ("test", 1)):
        write_npz(tmp_path / "raw" / f"ethanol_ccsd_t-{part}.npz", water(seed))
    dataset = MD17(tmp_path, molecules="ethanol_CCSD_T", train=train)
    assert np.allclose(dataset.energies(), np.concatenate([water(seed)["y"] for seed in seeds]))


def test_the_store_lies_in_processed(tmp_path: Path) -> None:
    write_npz(tmp_path / "raw" / "md17_ethanol.npz", water())
    MD17(tmp_path, molecules="ethanol")
    assert [path.name.split("-")[0] for path in (tmp_path / "processed").iterdir() if path.is_dir()] == ["MD17"]


def test_an_unknown_molecule_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"molecule 'etanol' is none of aspirin, .*; did you mean 'ethanol'"):
        MD17(tmp_path, molecules="etanol")


def test_a_molecule_given_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"molecule ' ethanol' is given twice"):
        MD17(tmp_path, molecules="ethanol, ethanol")


def test_no_molecule_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"molecules is missing; give dataset_arg"):
        MD17(tmp_path)


def test_a_file_of_another_layout_is_described(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    np.savez(tmp_path / "raw" / "md17_ethanol.npz", z=WATER, R=np.zeros((1, 3, 3)))
    with pytest.raises(DatasetError, match=r"md17_ethanol.npz has arrays z, R; z, R, E, F or nuclear_charges, "):
        MD17(tmp_path, molecules="ethanol")


def test_arrays_of_different_length_are_told(tmp_path: Path) -> None:
    write_npz(tmp_path / "raw" / "md17_ethanol.npz", water() | {"y": np.zeros(2)})
    with pytest.raises(DatasetError, match=r"E has shape \(2, 1\), but R has \(3, 3, 3\)"):
        MD17(tmp_path, molecules="ethanol")


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "md17_ethanol.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DatasetError, match=r"md17_ethanol.npz cannot be read as an npz archive"):
        MD17(tmp_path, molecules="ethanol")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as served:
        yield served


def serve(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    """Fetch a molecule from another address."""
    files = tuple(file._replace(url=url) for file in md17_module.MOLECULES[name])
    monkeypatch.setitem(md17_module.MOLECULES, name, files)


def test_a_missing_file_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer) -> None:
    content = write_npz(tmp_path / "published.npz", water()).read_bytes()
    serve(monkeypatch, "ethanol", server.url("published.npz", content))
    assert len(MD17(tmp_path / "data", molecules="ethanol")) == 3
    assert (tmp_path / "data" / "raw" / "md17_ethanol.npz").is_file()


def test_revised_files_are_taken_out_of_their_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    write_npz(tmp_path / "rmd17_ethanol.npz", water(), revised=True)
    with tarfile.open(tmp_path / "rmd17.tar.bz2", "w:bz2") as bundle:
        bundle.add(tmp_path / "rmd17_ethanol.npz", "rmd17/npz_data/rmd17_ethanol.npz")
    content = (tmp_path / "rmd17.tar.bz2").read_bytes()
    revised = md17_module._revised("ethanol")[0]._replace(
        url=server.url("a", content), size=len(content), checksum=None
    )
    monkeypatch.setitem(md17_module.MOLECULES, "revised_ethanol", (revised,))
    assert len(MD17(tmp_path / "data", molecules="revised ethanol")) == 3
    assert (tmp_path / "data" / "raw" / "rmd17" / "npz_data" / "rmd17_ethanol.npz").is_file()


def test_coupled_cluster_files_are_taken_out_of_their_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    with zipfile.ZipFile(tmp_path / "published.zip", "w") as packed:
        for part in ("train", "test"):
            path = write_npz(tmp_path / f"aspirin_ccsd-{part}.npz", water())
            packed.write(path, path.name)
    serve(monkeypatch, "aspirin_CCSD", server.url("a.zip", (tmp_path / "published.zip").read_bytes()))
    assert len(MD17(tmp_path / "data", molecules="aspirin_CCSD")) == 6


def test_an_archive_without_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with zipfile.ZipFile(tmp_path / "raw" / "aspirin_ccsd.zip", "w") as packed:
        packed.writestr("other", "x")
    with pytest.raises(FileNotFoundError, match=r"holds no aspirin_ccsd-test.npz, aspirin_ccsd-train.npz"):
        MD17(tmp_path, molecules="aspirin_CCSD")


def test_what_cannot_be_fetched_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    serve(monkeypatch, "ethanol", f"{server.address}/nowhere.npz")
    with pytest.raises(FileNotFoundError, match=r"raw/md17_ethanol.npz and cannot be fetched from http.*; fetch it by"):
        MD17(tmp_path / "data", molecules="ethanol")
    assert [path.name for path in (tmp_path / "data" / "raw").iterdir()] == [".md17_ethanol.npz.lock"]
