"""What every data set must do; each class of ``DATASETS`` is tried on small files in its own format."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_datasets import SETS, open_published, open_user_files
from torch_geometric.data import Batch, Data

from torchmdnet.datasets import DATASETS, StoredDataset
from torchmdnet.datasets import store_build as store_build_module

BASIC = {"z", "pos", "y", "neg_dy"}
ALL = BASIC | {"box", "pbc", "q", "s", "stress", "dp", "partial_charges"}
FIELDS = {"ExtXYZ": ALL, "ASEDatabase": ALL, "HDF5": ALL, "Custom": BASIC, "MD17": BASIC, "MD22": BASIC}
"""Data sets that hold the same frames here, and what these carry."""
TOLERANCE = {"ExtXYZ": 1e-7}  # columns are written with eight decimals
USER_FILES = ("ExtXYZ", "ASEDatabase", "HDF5", "Custom")
PUBLISHED = sorted(set(DATASETS) - set(USER_FILES))


def open_again(name: str, folder: Path, **options: Any) -> StoredDataset:
    """Write the files if they are not there, and open the data set on them."""
    return open_user_files(name, folder) if name in USER_FILES else open_published(name, folder, **options)


@pytest.fixture(scope="module")
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StoredDataset:
    """A data set that tests only read from."""
    return open_again(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("opened", sorted(DATASETS), indirect=True)
class TestDataset:
    """Every data set of the registry, opened."""

    def test_is_named_as_in_the_registry(self, opened: StoredDataset) -> None:
        assert DATASETS[opened.name] is type(opened)

    def test_samples_have_the_promised_shapes_and_types(self, opened: StoredDataset) -> None:
        sample = opened[1]
        size = int(opened.num_atoms[1])
        shapes = {
            "z": (size,),
            "pos": (size, 3),
            "neg_dy": (size, 3),
            "partial_charges": (size,),
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
        for field in (*opened.fields, "frame"):
            assert tuple(sample[field].shape) == shapes[field], field
            assert sample[field].dtype == types.get(field, torch.float64), field

    def test_has_something_to_train_on(self, opened: StoredDataset) -> None:
        assert {"y", "neg_dy"} & set(opened.fields)

    def test_a_batch_equals_its_samples_collated(self, opened: StoredDataset) -> None:
        indices = [len(opened) - 1, 0, 1, 1, -len(opened)]
        batch, expected = opened.get_batch(indices), Batch.from_data_list([opened[index] for index in indices])
        assert batch.num_graphs == expected.num_graphs == 5
        for field in (*opened.fields, "frame", "batch", "ptr"):
            assert torch.equal(batch[field], expected[field]), field

    def test_frames_are_named_each_its_own_way(self, opened: StoredDataset) -> None:
        names = [opened.frame_name(index) for index in range(len(opened))]
        assert len(set(names)) == len(names)
        assert all(", frame " in name for name in names)

    def test_some_frames_are_a_data_set_of_the_same_class(self, opened: StoredDataset) -> None:
        part = opened[::-1][:2]
        assert type(part) is type(opened)
        assert len(part) == len(part.num_atoms) == 2
        for index in range(2):
            whole = opened[-1 - index]
            assert part.frame_name(index) == opened.frame_name(len(opened) - 1 - index)
            for field in set(whole.keys()) - {"frame"}:
                assert str(part[index][field]) == str(whole[field])

    def test_works_after_pickling(self, opened: StoredDataset) -> None:
        copy = pickle.loads(pickle.dumps(opened))
        assert len(pickle.dumps(opened)) < 4000
        assert torch.equal(copy.get_batch([1, 0]).pos, opened.get_batch([1, 0]).pos)

    def test_reference_energies_have_a_row_an_element(self, opened: StoredDataset) -> None:
        table = opened.get_atomref(30)
        assert table is None or (table.shape == (30, 1) and table.dtype == torch.float64)

    def test_a_frame_out_of_range_is_an_error(self, opened: StoredDataset) -> None:
        size = len(opened)
        with pytest.raises(IndexError, match=f"0 to {size - 1}"):
            opened[size]
        with pytest.raises(IndexError, match=f"frame 99 was asked for, but the data set has {size} frames"):
            opened.get_batch([0, 99])


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_is_built_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(open_again(name, tmp_path))

    def fail(*_: object) -> None:
        raise AssertionError("built a second time")

    monkeypatch.setattr(store_build_module, "_build", fail)
    assert len(open_again(name, tmp_path)) == size


@pytest.mark.parametrize("name", PUBLISHED)
def test_functions_of_samples_are_applied(name: str, tmp_path: Path) -> None:
    plain = open_again(name, tmp_path)

    def doubled(sample: Data) -> Data:
        sample.pos = 2.0 * sample.pos
        return sample

    def is_another(sample: Data) -> bool:
        return not torch.equal(sample.pos, plain[0].pos)

    changed = open_again(name, tmp_path, transform=doubled, pre_transform=doubled, pre_filter=is_another)
    kept = [index for index in range(len(plain)) if is_another(plain[index])]
    assert [changed.frame_name(index) for index in range(len(changed))] == [plain.frame_name(index) for index in kept]
    assert torch.allclose(changed[0].pos, 4.0 * plain[kept[0]].pos)


@pytest.fixture(scope="module")
def same_frames(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StoredDataset:
    """A data set with the frames of ``SETS``."""
    return open_user_files(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("same_frames", FIELDS, indirect=True)
class TestSameFrames:
    """Data sets that can hold the same frames."""

    def test_carries_every_field_of_its_files(self, same_frames: StoredDataset) -> None:
        assert set(same_frames.fields) == FIELDS[same_frames.name]

    def test_samples_hold_the_numbers_of_the_files(self, same_frames: StoredDataset) -> None:
        tolerance = TOLERANCE.get(same_frames.name, 1e-12)
        assert len(same_frames) == 7
        for index in range(7):
            frames, row = (SETS[0], index) if index < 4 else (SETS[1], index - 4)
            sample = same_frames[index]
            assert sample.z.tolist() == frames["z"].tolist()
            for field in FIELDS[same_frames.name] - {"z"}:
                expected = frames[field][row]
                assert np.allclose(sample[field].numpy().reshape(expected.shape), expected, atol=tolerance), field

    def test_frame_names_tell_file_and_number(self, same_frames: StoredDataset) -> None:
        named = {
            "ExtXYZ": "a.xyz, frame 5",
            "ASEDatabase": "a.db, frame 5",
            "HDF5": "a.h5, group molecule1, frame 1",
            "Custom": "coords_1.npy, frame 1",
            "MD17": "rmd17_toluene.npz, frame 1",
            "MD22": "md22_AT-AT.npz, frame 1",
        }
        assert same_frames.frame_name(5) == named[same_frames.name]

    def test_has_energies_elements_and_no_reference_energies(self, same_frames: StoredDataset) -> None:
        expected = np.concatenate([frames["y"] for frames in SETS])
        tolerance = TOLERANCE.get(same_frames.name, 1e-12)
        assert np.allclose(same_frames.energies().numpy(), expected, atol=tolerance)
        assert same_frames.atomic_numbers().tolist() == [1, 6, 8]
        assert same_frames.num_atoms.tolist() == [3, 3, 3, 3, 5, 5, 5]
        assert same_frames.get_atomref() is None
