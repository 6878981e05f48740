"""The data sets on real files of many origins."""

from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import WATER, molecules, write_npz

from torchmdnet.datasets import HDF5, MD17, DatasetError, ExtXYZ

PERIODIC = {"box", "pbc", "stress"}


@pytest.mark.parametrize(
    ("name", "num_frames", "more_fields"),
    [
        ("acac_train_300K", 500, set()),
        ("gfn2_mols", 2340, {"q", "s", "dp", "partial_charges"}),
        ("gst_dft_stress", 150, PERIODIC),
        ("hydrocarbon_crystals_stress", 100, PERIODIC),
        ("ice_rpbe_d3", 242, {"box", "pbc", "partial_charges"}),
        ("mad_small", 700, PERIODIC),
        ("water128_dft_virial", 20, PERIODIC),
        ("water_gfn1_triclinic_large", 31, PERIODIC | {"partial_charges"}),
        ("water_gfn1_triclinic_small", 105, PERIODIC | {"partial_charges"}),
    ],
)
def test_extended_xyz_files(test_data: Path, name: str, num_frames: int, more_fields: set[str]) -> None:
    dataset = ExtXYZ(test_data / "data" / f"{name}.extxyz")
    assert len(dataset) == num_frames
    assert set(dataset.fields) == {"z", "pos", "y", "neg_dy"} | more_fields


def test_qm9_has_energies_only(test_data: Path) -> None:
    assert ExtXYZ(test_data / "data" / "qm9_1000.extxyz").fields == ("z", "pos", "y")


@pytest.mark.parametrize("name", ["ani1x_1000.extxyz", "ani1x_1000.h5"])
def test_ani1x_loses_incomplete_dipoles_with_a_warning(
    test_data: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHMDNET_CACHE", str(tmp_path))
    (tmp_path / name).symlink_to(test_data / "data" / name)
    dataset_class = HDF5 if name.endswith("h5") else ExtXYZ
    with pytest.warns(UserWarning, match="left out"):
        dataset = dataset_class(tmp_path / name)
    assert set(dataset.fields) == {"z", "pos", "y", "neg_dy"}


@pytest.mark.parametrize(
    "name",
    [
        "3bpa_train_300K",
        "acac_train_600K",
        "ethmeth_train",
        "gst_dft_stress",
        "water128_dft_virial",
        "water_gfn1_triclinic_small",
    ],
)
def test_hdf5_and_extended_xyz_of_one_set_hold_the_same(test_data: Path, name: str) -> None:
    one = HDF5(test_data / "data" / f"{name}.h5")
    other = ExtXYZ(test_data / "data" / f"{name}.extxyz")
    first, second = (dataset.get_batch(range(len(dataset))) for dataset in (one, other))
    order, other_order = (np.argsort(batch.y.flatten().numpy()) for batch in (first, second))
    first, second = one.get_batch(order), other.get_batch(other_order)
    assert torch.equal(first.z, second.z)
    assert torch.equal(first.y, second.y)
    for field in ("pos", "neg_dy", *[field for field in ("box", "stress") if field in one.fields]):
        # The HDF5 files hold float32, the others eight decimals
        assert torch.allclose(first[field], second[field], atol=2e-6), field


def test_virial_and_stress_of_a_file_are_the_same(test_data: Path) -> None:
    path = test_data / "data" / "water128_dft_virial.extxyz"
    stress = ExtXYZ(path, stress_key="stress").get_batch(range(20)).stress
    virial = ExtXYZ(path, virial_key="virial").get_batch(range(20)).stress
    assert torch.allclose(stress, virial, atol=1e-12)


def test_md17_reads_the_published_layout(test_data: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "md17_ethanol.npz").symlink_to(test_data / "data" / "ethanol_md17.npz")
    dataset = MD17(tmp_path, molecules="ethanol", energy_unit="kcal/mol")
    reference = ExtXYZ(test_data / "data" / "ethanol_md17.extxyz")
    # The two files were written with slightly different conversion factors
    assert torch.allclose(dataset.energies(), reference.energies(), rtol=1e-6)
    assert torch.allclose(dataset[3].neg_dy, reference[3].neg_dy, atol=1e-5)


def test_md17_reads_coupled_cluster_files(test_data: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "ethanol_ccsd_t-train.npz").symlink_to(test_data / "data" / "ethanol_ccsd_t.npz")
    write_npz(tmp_path / "raw" / "ethanol_ccsd_t-test.npz", molecules(WATER, count=2, seed=0))
    assert len(MD17(tmp_path, molecules="ethanol_CCSD_T", train=True)) == 800


def test_hdf5_of_another_layout_is_described(test_data: Path) -> None:
    with pytest.raises(DatasetError, match=r"group C10H11N1O2 has atomic_numbers, .*; groups with arrays pos, types"):
        HDF5(test_data / "data" / "ani1x_native.h5")
