"""Splits as scripts of TorchMD-NET draw, write and read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchmdnet.training.split_frames import make_splits, train_val_test_split
from torchmdnet.training.splits import make_splits as draw_splits

Sets = tuple[list[int], list[int], list[int]]

DRAWN_THERE: list[tuple[tuple[Any, ...], Sets]] = [
    ((10, 0.8, 0.1, 0.1, 1), ([8, 4, 7, 0, 1, 2, 5, 9], [6], [3])),
    ((10, None, 2, 3, 1), ([8, 4, 7, 0, 1], [2, 5], [9, 6, 3])),
    ((11, 0.5, 0.25, 0.25, 7), ([4, 6, 10, 0, 1, 3], [8, 7, 2], [5, 9])),
    ((10, 5, 0.5, None, 3), ([9, 6, 0, 2, 1], [4, 7, 5, 3, 8], [])),
    ((10, 8, 1, 0.15, 1), ([8, 4, 7, 0, 1, 2, 5, 9], [6], [3])),
    ((10, 0, 5, 5, 1), ([], [8, 4, 7, 0, 1], [2, 5, 9, 6, 3])),
    ((6, 0.1, 1, 0.01, 60), ([4], [0], [])),
    ((7, 4, 0.1, 0.12, 56), ([0, 6, 4, 1], [3], [5])),
]
"""Arguments and what TorchMD-NET 3.1.0 returned for them, frozen."""


@pytest.mark.parametrize(("arguments", "expected"), DRAWN_THERE, ids=str)
def test_a_seed_draws_the_frames_that_it_draws_in_torchmd_net(arguments: tuple[Any, ...], expected: Sets) -> None:
    assert tuple(part.tolist() for part in train_val_test_split(*arguments)) == expected
    parts = make_splits(*arguments)
    assert tuple(part.tolist() for part in parts) == expected
    assert {part.dtype for part in parts} == {torch.int64}


@given(st.integers(1, 300), st.integers(0, 1000))
def test_a_seed_draws_the_frames_that_a_training_takes(num_frames: int, seed: int) -> None:
    parts = train_val_test_split(num_frames, None, 0.05, 0.1, seed)
    trained = draw_splits(num_frames, train_size=None, val_size=0.05, test_size=0.1, seed=seed)
    assert all(np.array_equal(part, other) for part, other in zip(parts, trained, strict=True))


@pytest.mark.parametrize("order", [[3, 2, 1, 0], np.array([3, 2, 1, 0]), torch.tensor([3, 2, 1, 0])], ids=repr)
def test_an_order_takes_the_place_of_the_seed(order: Any) -> None:
    assert [part.tolist() for part in make_splits(4, 2, 1, 1, 5, order=order)] == [[3, 2], [1], [0]]


def test_an_order_of_another_length_is_told() -> None:
    with pytest.raises(ValueError, match=r"order has shape \(3,\), but there are 4 frames; name each of them once"):
        make_splits(4, 2, 1, 1, 5, order=[2, 1, 0])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((None, None, 1), "train_size and val_size are both none"),
        ((20, 1, 1), "train_size: 20, val_size: 1, test_size: 1 ask for 12 more frames than the 10 there are"),
        ((-1, 1, 1), "train_size: -1 is negative"),
    ],
)
def test_sizes_that_do_not_fit_are_told(sizes: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_splits(10, *sizes, seed=1)


@pytest.mark.parametrize("name", ["splits.npz", "splits"])
def test_written_splits_are_read_again(tmp_path: Path, name: str) -> None:
    drawn = make_splits(10, 5, 3, 2, 1, filename=tmp_path / name)
    with np.load(tmp_path / "splits.npz") as content:
        assert [content[key].tolist() for key in ("idx_train", "idx_val", "idx_test")] == [p.tolist() for p in drawn]
    again = make_splits(10, None, None, None, 9, filename=tmp_path / "copy.npz", splits=tmp_path / "splits.npz")
    assert all(torch.equal(part, other) for part, other in zip(again, drawn, strict=True))
    assert (tmp_path / "copy.npz").is_file()


def test_splits_of_another_data_set_are_told(tmp_path: Path) -> None:
    make_splits(10, 5, 3, 2, 1, filename=tmp_path / "splits.npz")
    with pytest.raises(ValueError, match="but the data set has frames 0 to 4"):
        make_splits(5, None, None, None, 1, splits=tmp_path / "splits.npz")
    with pytest.raises(FileNotFoundError, match=r"there is no file 'none\.npz'"):
        make_splits(5, None, None, None, 1, splits="none.npz")
