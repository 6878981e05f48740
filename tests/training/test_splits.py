"""Sizes and frames of the training, validation and test sets."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchmdnet.training.splits import load_splits, make_splits, save_splits, split_sizes

Size = int | float | None


@pytest.mark.parametrize(
    ("num_frames", "given_sizes", "expected"),
    [
        (500, (450, 50, 0), (450, 50, 0)),
        (500, (None, 0.05, 0.1), (425, 25, 50)),
        (500, (450, None, 0), (450, 50, 0)),
        (500, (0.8, 0.1, None), (400, 50, 50)),
        (10, (5, 2, 1), (5, 2, 1)),
        (7, (None, 0.05, 0.1), (6, 0, 1)),
        (3, (0.5, 0.5, 0.0), (2, 1, 0)),
        (5, (0.5, 0.3, 0.3), (2, 2, 1)),
        (15, (0.5, 0.3, 0.2), (8, 4, 3)),
        (7, (3, 0.5, 1), (3, 3, 1)),
        (1, (1.0, 0, 0), (1, 0, 0)),
    ],
)
def test_sizes(num_frames: int, given_sizes: tuple[Size, Size, Size], expected: tuple[int, int, int]) -> None:
    train, val, test = given_sizes
    assert split_sizes(num_frames, train_size=train, val_size=val, test_size=test) == expected


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((None, None, 0), "train_size and val_size are both none"),
        ((-1, 2, 2), "train_size: -1 is negative"),
        ((5, 1.5, 2), "val_size: 1.5 is no fraction"),
        ((5, float("nan"), 2), "val_size: nan is no fraction"),
        ((8, 2, 2), "train_size: 8, val_size: 2, test_size: 2 ask for 2 more frames than the 10 there are"),
        ((0.8, 0.3, 0.2), "ask for 3 more frames than the 10 there are"),
        ((None, 8, 4), "ask for 2 more frames"),
        ((None, 5, 5), "leave none of the 10 frames for training"),
        ((0, 5, 5), "leave none of the 10 frames for training"),
        ((0.01, 0.5, None), "leave none of the 10 frames for training"),
    ],
)
def test_impossible_sizes_name_their_keys(sizes: tuple[Size, Size, Size], message: str) -> None:
    train, val, test = sizes
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        split_sizes(10, train_size=train, val_size=val, test_size=test)


@given(st.integers(3, 5000), st.floats(0.01, 0.6), st.floats(0, 0.2))
def test_fractions_that_fill_up_never_exceed(num_frames: int, val: float, test: float) -> None:
    sizes = split_sizes(num_frames, train_size=1.0 - val - test, val_size=val, test_size=test)
    assert sum(sizes) <= num_frames


def test_sets_are_consecutive_blocks_of_the_seeded_permutation() -> None:
    order = np.random.default_rng(7).permutation(20)
    splits = make_splits(20, train_size=10, val_size=4, test_size=3, seed=7)
    assert np.concatenate(splits).tolist() == order[:17].tolist()
    assert [len(part) for part in splits] == [10, 4, 3]


def test_saved_sets_load_as_they_were(tmp_path: Path) -> None:
    splits = make_splits(20, train_size=10, val_size=0, test_size=3, seed=7)
    save_splits(splits, tmp_path / "new" / "splits.npz")
    loaded = load_splits(tmp_path / "new" / "splits.npz", 20)
    assert all(np.array_equal(one, other) for one, other in zip(splits, loaded, strict=True))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["splits.npz"]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (([0, 1, 20], [2], [3]), "idx_train of .* holds frame 20, but the data set has frames 0 to 19"),
        (([0, 1], [-1], [3]), "idx_val of .* holds frame -1"),
        (([0, 1], [1, 2], [3]), "1 frames of .* more than once, for example frame 1 in idx_train and idx_val"),
        (([0, 0], [2], [3]), "frame 0 in idx_train twice"),
        (([], [2], [3]), "idx_train of .* is empty"),
        (([0.5], [2], [3]), "idx_train of .* is not a list of integers but float64"),
        (([[0]], [2], [3]), "idx_train of .* is not a list of integers"),
    ],
)
def test_unusable_sets_are_refused(tmp_path: Path, splits: tuple[list[int], ...], message: str) -> None:
    path = tmp_path / "splits.npz"
    np.savez(path, **dict(zip(("idx_train", "idx_val", "idx_test"), splits, strict=True)))
    with pytest.raises(ValueError, match=message):
        load_splits(path, 20)


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="splits: there is no file"):
        load_splits(tmp_path / "splits.npz", 20)
    np.savez(tmp_path / "splits.npz", idx_train=[0])
    with pytest.raises(ValueError, match="is not an npz file with idx_train, idx_val, idx_test"):
        load_splits(tmp_path / "splits.npz", 20)
    (tmp_path / "splits.npz").write_text("x")
    with pytest.raises(ValueError, match="is not an npz file with"):
        load_splits(tmp_path / "splits.npz", 20)
