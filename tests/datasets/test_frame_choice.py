"""Data sets of some frames of a data set: ``dataset[...]``, ``index_select`` and ``shuffle``."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dataset_files import METHANE, WATER, molecules, write_hdf5
from torch_geometric.data import Data
from torch_geometric.data import Dataset as GeometricDataset
from torch_geometric.loader import DataLoader

from torchmdnet.data import DataModule
from torchmdnet.datasets import HDF5

SETS = (molecules(WATER, count=6, seed=0), molecules(METHANE, count=4, seed=1))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> HDF5:
    """Six waters and four methanes in two files."""
    folder = tmp_path_factory.mktemp("ten")
    for number, frames in enumerate(SETS):
        write_hdf5(folder / f"{number}.h5", frames)
    return HDF5(folder / "*.h5")


class InMemory(GeometricDataset):
    """The same frames as PyTorch Geometric would hold them."""

    def __init__(self, dataset: HDF5) -> None:
        super().__init__()
        self.samples = [dataset[index] for index in range(len(dataset))]

    def len(self) -> int:
        return len(self.samples)

    def get(self, idx: int) -> Data:
        return self.samples[idx]


def numbers(part: HDF5, whole: HDF5) -> list[int]:
    """Which frames of the whole a part holds, told by their energies."""
    energies = whole.energies().tolist()
    return [energies.index(sample.y.item()) for sample in part]


MASK = [True, False, False, True, False, False, False, False, False, True]
CHOICES: list[Any] = [
    slice(4),
    slice(-3, None),
    slice(None, None, -2),
    slice(8, 100),
    slice(0.8),
    slice(0.25, None),
    slice(5, 5),
    [1, 2],
    [-1, 0, 0],
    [],
    (3, 1),
    range(2, 9, 3),
    np.array([4, -2]),
    np.array(MASK),
    torch.tensor([7, -7]),
    torch.tensor(MASK),
    torch.tensor(MASK).nonzero(),
    torch.zeros(0, dtype=torch.long),
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_frames_are_those_that_pytorch_geometric_chooses(dataset: HDF5, choice: Any) -> None:
    part = dataset[choice]
    expected = [sample.y.item() for sample in InMemory(dataset)[choice]]
    assert part.energies().tolist() == [part[index].y.item() for index in range(len(part))] == expected


def test_numbers_are_of_any_whole_type(dataset: HDF5) -> None:
    assert numbers(dataset[np.array([4, 2], dtype=np.uint8)], dataset) == [4, 2]
    assert numbers(dataset[torch.tensor([4, -2], dtype=torch.int32)], dataset) == [4, 8]


def test_a_list_of_flags_is_a_mask(dataset: HDF5) -> None:
    assert numbers(dataset[MASK], dataset) == [0, 3, 9]


@pytest.mark.parametrize("number", [3, -7, np.int64(3), np.array(3), torch.tensor(-7)], ids=repr)
def test_a_single_number_gives_a_sample(dataset: HDF5, number: Any) -> None:
    sample = dataset[number]
    assert isinstance(sample, Data)
    assert sample.frame.tolist() == [3]


def test_a_part_of_a_part_reads_the_same_store(dataset: HDF5) -> None:
    part = dataset[2:][[5, 1, 0]][:2]
    assert numbers(part, dataset) == [7, 3]
    assert part._store is dataset._store
    assert len(dataset) == 10


def test_everything_a_part_tells_is_of_its_own_frames(dataset: HDF5) -> None:
    part = dataset[[8, 0, 9]]
    assert part.num_atoms.tolist() == [5, 3, 5]
    assert part.atomic_numbers().tolist() == [1, 6, 8]
    assert dataset[:6].atomic_numbers().tolist() == [1, 8]
    assert part.frames_of_files(1, 2).tolist() == [0, 2]
    assert part.frames_with_element_from(8) == [1]
    assert [part.frame_name(index) for index in (0, -1)] == [dataset.frame_name(index) for index in (8, 9)]
    assert repr(part).startswith("HDF5(3 frames: ")


def test_a_part_counts_its_frames_from_0(dataset: HDF5) -> None:
    batch = dataset[[8, 0, 9]].get_batch([-1, 1])
    assert batch.frame.tolist() == [2, 1]
    assert batch.y[:, 0].tolist() == dataset.energies()[[9, 0]].tolist()


def test_reference_energies_given_to_a_part_are_not_those_of_the_whole(dataset: HDF5) -> None:
    part = dataset[:3]
    part.fitted_atomref = torch.ones(10, 1)
    assert part.get_atomref(10) is not None
    assert dataset.get_atomref(10) is None


def test_no_frames_are_a_data_set_too(dataset: HDF5) -> None:
    none = dataset[:0]
    assert (len(none), list(none), none.energies().tolist(), none.atomic_numbers().tolist()) == (0, [], [], [])
    with pytest.raises(IndexError, match=r"^HDF5 has 0 frames; 0 was asked for$"):
        none[0]


def test_a_transform_is_applied_to_the_frames_of_a_part(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5", *SETS)

    def doubled(sample: Data) -> Data:
        sample.y = 2 * sample.y
        return sample

    whole = HDF5(tmp_path / "a.h5", transform=doubled)
    assert whole[[4]].get_batch([0]).y.tolist() == [[2 * whole.energies()[4].item()]]


def test_a_part_goes_to_other_processes(dataset: HDF5) -> None:
    part = pickle.loads(pickle.dumps(dataset[[8, 0]]))
    assert numbers(part, dataset) == [8, 0]
    loader = DataLoader(part, batch_size=2, num_workers=1)  # type: ignore[arg-type]
    assert [batch.frame.tolist() for batch in loader] == [[0, 1]]


def test_a_training_takes_the_frames_of_a_part(dataset: HDF5, tmp_path: Path) -> None:
    part = dataset[[9, 7, 5, 3, 1]]
    data = DataModule({"log_dir": str(tmp_path), "train_size": 3, "val_size": 1, "test_size": 1}, dataset=part)
    data.setup()
    indices = np.concatenate([data.idx_train, data.idx_val, data.idx_test])
    assert sorted(indices.tolist()) == [0, 1, 2, 3, 4]
    energies = torch.cat([batch.y for batch in data.train_dataloader()])[:, 0]
    assert sorted(energies.tolist()) == sorted(part.energies()[data.idx_train].tolist())


def test_shuffle_draws_the_order_of_pytorch_geometric(dataset: HDF5) -> None:
    torch.manual_seed(3)
    _, expected = InMemory(dataset).shuffle(return_perm=True)
    torch.manual_seed(3)
    shuffled, order = dataset.shuffle(return_perm=True)
    assert order.tolist() == expected.tolist()
    torch.manual_seed(3)
    assert numbers(dataset.shuffle(), dataset) == numbers(shuffled, dataset) == expected.tolist()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ([0, 10], r"^HDF5 has 10 frames \(0 to 9\); 10 was asked for$"),
        (torch.tensor([-11]), r"^HDF5 has 10 frames \(0 to 9\); -11 was asked for$"),
        (-11, r"^HDF5 has 10 frames \(0 to 9\); -11 was asked for$"),
        (np.array([True] * 7), "^a mask of 7 flags was given for the 10 frames of HDF5$"),
    ],
    ids=str,
)
def test_frames_that_are_not_there_are_told(dataset: HDF5, choice: Any, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        dataset[choice]


def test_numbers_out_of_the_range_of_a_part_are_told(dataset: HDF5) -> None:
    with pytest.raises(IndexError, match=r"^HDF5 has 3 frames \(0 to 2\); 3 was asked for$"):
        dataset[:3].get_batch([3])


@pytest.mark.parametrize("choice", ["first", 1.0, [0.5], torch.tensor(0.5), None], ids=repr)
def test_what_is_no_choice_of_frames_is_an_error(dataset: HDF5, choice: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^HDF5: frames are chosen by a number, a slice, a list or array of numbers, or"
    ):
        dataset[choice]
