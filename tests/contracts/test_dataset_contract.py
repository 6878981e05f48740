"""What every data set must do; each class of ``DATASETS`` is tried on the same frames in its own file format."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import (
    METHANE,
    WATER,
    molecules,
    write_custom,
    write_database,
    write_extxyz,
    write_hdf5,
    write_npz,
)
from torch_geometric.data import Batch

from torchmdnet.datasets import DATASETS, StoredDataset
from torchmdnet.datasets import store_build as store_build_module

SETS = (molecules(WATER, count=4, seed=0), molecules(METHANE, count=3, seed=1))
BASIC = {"z", "pos", "y", "neg_dy"}
ALL = BASIC | {"box", "pbc", "q", "s", "stress", "dp", "partial_charges"}
FIELDS = {"ExtXYZ": ALL, "ASEDatabase": ALL, "HDF5": ALL, "Custom": BASIC, "MD17": BASIC}
TOLERANCE = {"ExtXYZ": 1e-7}  # columns are written with eight decimals


def open_again(name: str, folder: Path) -> StoredDataset:
    """Write the files if they are not there, and open the data set on them."""
    folder.mkdir(exist_ok=True)
    cls: Callable[..., StoredDataset] = DATASETS[name]
    if name == "Custom":
        if not (folder / "coords_0.npy").exists():
            write_custom(folder, *SETS)
        kinds = {"coordglob": "coords", "embedglob": "embed", "energyglob": "energy", "forceglob": "forces"}
        return cls(**{key: str(folder / f"{kind}_*.npy") for key, kind in kinds.items()})
    if name == "MD17":
        files = ("raw/md17_aspirin.npz", "raw/rmd17/npz_data/rmd17_toluene.npz")
        for file, frames in zip(files, SETS, strict=True):
            if not (folder / file).exists():
                write_npz(folder / file, frames, revised="rmd17" in file)
        return cls(folder, molecules="aspirin,revised_toluene")
    write, file = {
        "ExtXYZ": (write_extxyz, "a.xyz"),
        "ASEDatabase": (write_database, "a.db"),
        "HDF5": (write_hdf5, "a.h5"),
    }[name]
    if not (folder / file).exists():
        write(folder / file, *SETS)
    return cls(folder / file)


@pytest.mark.parametrize("name", sorted(DATASETS))
class TestDataset:
    """Every data set of the registry."""

    def test_is_in_this_test(self, name: str, tmp_path: Path) -> None:
        assert isinstance(open_again(name, tmp_path), StoredDataset)

    def test_carries_every_field_of_its_files(self, name: str, tmp_path: Path) -> None:
        assert set(open_again(name, tmp_path).fields) == FIELDS[name]

    def test_samples_hold_the_numbers_of_the_files(self, name: str, tmp_path: Path) -> None:
        dataset = open_again(name, tmp_path)
        tolerance = TOLERANCE.get(name, 1e-12)
        assert len(dataset) == 7
        for index in range(7):
            frames, row = (SETS[0], index) if index < 4 else (SETS[1], index - 4)
            sample = dataset[index]
            assert sample.z.tolist() == frames["z"].tolist()
            for field in FIELDS[name] - {"z"}:
                expected = frames[field][row]
                assert np.allclose(sample[field].numpy().reshape(expected.shape), expected, atol=tolerance), field

    def test_samples_have_the_promised_shapes_and_types(self, name: str, tmp_path: Path) -> None:
        sample = open_again(name, tmp_path)[5]
        shapes = {
            "z": (5,),
            "pos": (5, 3),
            "neg_dy": (5, 3),
            "partial_charges": (5,),
            "y": (1, 1),
            "box": (1, 3, 3),
            "pbc": (1, 3),
            "q": (1,),
            "s": (1,),
            "stress": (1, 3, 3),
            "dp": (1, 3),
            "frame": (1,),
        }
        types = {"z": torch.int64, "pbc": torch.bool, "frame": torch.int64}
        for field in sample.keys():  # noqa: SIM118 - a Data is iterated by (name, value)
            assert tuple(sample[field].shape) == shapes[field], field
            assert sample[field].dtype == types.get(field, torch.float64), field

    def test_a_batch_equals_its_samples_collated(self, name: str, tmp_path: Path) -> None:
        dataset = open_again(name, tmp_path)
        indices = [6, 0, 5, 5, -7]
        batch, expected = dataset.get_batch(indices), Batch.from_data_list([dataset[index] for index in indices])
        assert batch.num_graphs == expected.num_graphs == 5
        assert set(batch.keys()) == set(expected.keys())
        for field in expected.keys():  # noqa: SIM118
            assert torch.equal(batch[field], expected[field]), field

    def test_frame_names_tell_file_and_number(self, name: str, tmp_path: Path) -> None:
        dataset = open_again(name, tmp_path)
        numbered = {
            "ExtXYZ": "a.xyz, frame 5",
            "ASEDatabase": "a.db, frame 5",
            "HDF5": "a.h5, group molecule1, frame 1",
        }
        files = {"Custom": "coords_1.npy, frame 1", "MD17": "rmd17_toluene.npz, frame 1"}
        assert dataset.frame_name(5) == (numbered | files)[name]

    def test_works_after_pickling(self, name: str, tmp_path: Path) -> None:
        dataset = open_again(name, tmp_path)
        copy = pickle.loads(pickle.dumps(dataset))
        assert len(pickle.dumps(dataset)) < 4000
        assert torch.equal(copy.get_batch([1, 4]).pos, dataset.get_batch([1, 4]).pos)

    def test_is_built_once(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        open_again(name, tmp_path)

        def fail(*_: object) -> None:
            raise AssertionError("built a second time")

        monkeypatch.setattr(store_build_module, "_build", fail)
        assert len(open_again(name, tmp_path)) == 7

    def test_has_energies_elements_and_no_reference_energies(self, name: str, tmp_path: Path) -> None:
        dataset = open_again(name, tmp_path)
        expected = np.concatenate([frames["y"] for frames in SETS])
        assert np.allclose(dataset.energies().numpy(), expected, atol=TOLERANCE.get(name, 1e-12))
        assert dataset.atomic_numbers().tolist() == [1, 6, 8]
        assert dataset.num_atoms.tolist() == [3, 3, 3, 3, 5, 5, 5]
        assert dataset.get_atomref() is None

    def test_a_frame_out_of_range_is_an_error(self, name: str, tmp_path: Path) -> None:
        dataset = open_again(name, tmp_path)
        with pytest.raises(IndexError, match="0 to 6"):
            dataset[7]
        with pytest.raises(IndexError, match="frame 9 was asked for, but the data set has 7 frames"):
            dataset.get_batch([0, 9])
