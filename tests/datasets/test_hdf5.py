"""HDF5 files in TorchMD-NET's layout."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from dataset_files import METHANE, WATER, molecules, write_custom, write_hdf5
from torch_geometric.data import Data

from torchmdnet.datasets import HDF5, DatasetError
from torchmdnet.datasets.hdf5 import write_as_hdf5
from torchmdnet.priors import Atomref


def test_types_once_a_molecule_or_once_a_frame_are_the_same(tmp_path: Path) -> None:
    frames = molecules(WATER, count=3, seed=0)
    once = HDF5(write_hdf5(tmp_path / "a.h5", frames))
    tiled = HDF5(write_hdf5(tmp_path / "b.h5", frames | {"z": np.tile(WATER, (3, 1))}))
    assert once[2].z.tolist() == tiled[2].z.tolist() == [8, 1, 1]


def test_one_box_serves_all_frames(tmp_path: Path) -> None:
    frames = molecules(WATER, count=3, seed=0)
    dataset = HDF5(write_hdf5(tmp_path / "a.h5", frames | {"box": 9.0 * np.eye(3), "pbc": np.array([True] * 3)}))
    assert dataset[2].box.tolist() == [[[9, 0, 0], [0, 9, 0], [0, 0, 9]]]


def test_a_box_without_axes_is_periodic_along_all(tmp_path: Path) -> None:
    frames = molecules(WATER, count=3, seed=0)
    frames.pop("pbc")
    assert HDF5(write_hdf5(tmp_path / "a.h5", frames))[0].pbc.tolist() == [[True, True, True]]


def test_a_virial_becomes_a_stress(tmp_path: Path) -> None:
    frames = molecules(WATER, count=3, seed=0)
    stress = frames.pop("stress")
    frames["virial"] = -stress * np.abs(np.linalg.det(frames["box"]))[:, None, None]
    assert np.allclose(HDF5(write_hdf5(tmp_path / "a.h5", frames))[1].stress[0], stress[1])


def test_metadata_become_attributes(tmp_path: Path) -> None:
    atomref = np.arange(10.0)
    path = write_hdf5(tmp_path / "a.h5", molecules(WATER, count=3, seed=0), distance_scale=1e-10, atomref=atomref)
    dataset = HDF5(path)
    assert dataset.distance_scale == 1e-10
    table = dataset.get_atomref(12)
    assert table is not None
    assert table.flatten().tolist() == [*range(10), 0, 0]
    assert len(dataset) == 3


def test_several_files_are_parted_by_semicolons(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5", molecules(WATER, count=3, seed=0))
    write_hdf5(tmp_path / "b.h5", molecules(METHANE, count=2, seed=0))
    dataset = HDF5(f"{tmp_path}/a.h5;{tmp_path}/b.h5", dataset_preload_limit=2)
    assert dataset.frame_name(4) == "b.h5, group molecule0, frame 1"


def test_energies_in_another_unit_are_converted(tmp_path: Path) -> None:
    frames = molecules(WATER, count=3, seed=0)
    path = write_hdf5(tmp_path / "a.h5", frames)
    assert np.allclose(HDF5(path, energy_unit="meV").energies(), frames["y"] / 1000)


def test_energies_keep_float64(tmp_path: Path) -> None:
    frames = molecules(WATER, count=3, seed=0)
    frames["y"] = np.array([-17660.461737861464, 0.1, 0.2])
    assert HDF5(write_hdf5(tmp_path / "a.h5", frames))[0].y.item() == -17660.461737861464


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("y", np.zeros(4), r"group molecule0: energy has shape \(4,\); \(3,\) was expected"),
        ("neg_dy", np.zeros((3, 2, 3)), r"forces has shape \(3, 2, 3\); \(3, 3, 3\) was expected"),
        ("z", np.array([8.0, 1, 1]), "types are float64; atomic numbers are integers"),
        ("pos", np.zeros((9, 3)), r"pos has shape \(9, 3\); \(frames, atoms, 3\) was expected"),
        ("box", np.zeros((2, 3, 3)), r"box has shape \(2, 3, 3\)"),
    ],
)
def test_an_array_that_does_not_fit_is_named(tmp_path: Path, field: str, value: np.ndarray, message: str) -> None:
    path = write_hdf5(tmp_path / "a.h5", molecules(WATER, count=3, seed=0) | {field: value})
    with pytest.raises(DatasetError, match=message):
        HDF5(path)


def test_another_layout_is_described(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as output:
        output.create_dataset("mol/coordinates", data=np.zeros((1, 2, 3)))
    with pytest.raises(DatasetError, match=r"a\.h5, group mol has coordinates; groups with arrays pos, types, energy"):
        HDF5(tmp_path / "a.h5")


def test_a_file_that_is_no_hdf5_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("no")
    with pytest.raises(DatasetError, match=r"a\.h5 cannot be read"):
        HDF5(tmp_path / "a.h5")


def test_a_file_without_groups_has_no_frames(tmp_path: Path) -> None:
    h5py.File(tmp_path / "a.h5", "w").close()
    with pytest.raises(DatasetError, match=r"no frames in a\.h5"):
        HDF5(tmp_path / "a.h5")


@pytest.mark.parametrize("tile_embed", [True, False])
def test_write_as_hdf5_makes_a_file_that_reads_back(tmp_path: Path, tile_embed: bool) -> None:
    sets = (molecules(WATER, count=3, seed=0), molecules(METHANE, count=2, seed=0))
    write_custom(tmp_path, *sets)
    kinds = {"pos": "coords", "z": "embed", "y": "energy", "neg_dy": "forces"}
    files = {key: [tmp_path / f"{kind}_{number}.npy" for number in (0, 1)] for key, kind in kinds.items()}
    write_as_hdf5(files, tmp_path / "a.h5", tile_embed=tile_embed)
    with h5py.File(tmp_path / "a.h5") as written:
        assert written["1/types"].shape == ((2, 5) if tile_embed else (5,))
    dataset = HDF5(tmp_path / "a.h5")
    assert np.allclose(dataset[4].neg_dy, sets[1]["neg_dy"][1])


def test_write_as_hdf5_refuses_lists_of_different_length(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="as many files for each field"):
        write_as_hdf5({"pos": ["a", "b"], "z": ["c"]}, tmp_path / "a.h5")
    with pytest.raises(ValueError, match="must have pos and z"):
        write_as_hdf5({"pos": ["a"], "zz": ["c"]}, tmp_path / "a.h5")


def test_transforms_and_filter_mean_what_they_mean_in_pyg(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", molecules(WATER, count=3, seed=0), molecules(METHANE, count=2, seed=0))

    def shift(sample: Data) -> Data:
        sample.y = sample.y + 500.0
        return sample

    def mark(sample: Data) -> Data:
        sample.mark = sample.y.item() + 1
        return sample

    plain = HDF5(path)
    dataset = HDF5(path, transform=mark, pre_transform=shift, pre_filter=lambda sample: len(sample.z) == 5)
    assert len(dataset) == 2
    assert np.allclose(dataset.energies(), plain.energies()[3:] + 500.0)
    assert dataset[1].mark == pytest.approx(plain[4].y.item() + 501.0)


def test_a_file_of_forces_alone_is_read(tmp_path: Path) -> None:
    frames = {name: molecules(WATER, count=3, seed=0)[name] for name in ("z", "pos", "neg_dy")}
    assert HDF5(write_hdf5(tmp_path / "a.h5", frames)).fields == ("z", "pos", "neg_dy")


def test_partial_charges_come_along(tmp_path: Path) -> None:
    frames = molecules(WATER, count=3, seed=0)
    sample = HDF5(write_hdf5(tmp_path / "a.h5", frames))[1]
    assert np.array_equal(sample.partial_charges, frames["partial_charges"][1])


def test_reference_energies_of_the_file_reach_the_prior(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", molecules(WATER, count=3, seed=0), atomref=np.arange(10.0))
    prior = Atomref(dataset=HDF5(path))
    energy = prior.pre_reduce(torch.zeros(3, 1), torch.tensor(WATER), torch.zeros(3, 3), torch.zeros(3).long(), None)
    assert energy.flatten().tolist() == [8.0, 1.0, 1.0]
