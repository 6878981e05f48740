"""Faults in the data are told with file and frame, before anything is trained."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.store import Store
from torchmdnet.datasets.store_build import StoreRequest, open_store
from torchmdnet.datasets.validation import CLOSEST_PAIR, DatasetError, close_pairs


def good(count: int = 20, *, first: int = 0, periodic: bool = False) -> Frames:
    """Frames of three atoms."""
    pos = np.tile(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), (count, 1))
    forces = np.zeros((3 * count, 3))
    z = np.full(3 * count, 6)
    box = np.tile(6.0 * np.eye(3), (count, 1, 1)) if periodic else None
    return Frames(0, "", first, np.full(count, 3), z=z, pos=pos, y=np.zeros(count), neg_dy=forces, box=box)


def build(folder: Path, *blocks: Frames, hint: str = "") -> Store:
    path = folder / "train.xyz"
    path.write_text("x")
    return open_store(StoreRequest("ExtXYZ", {}, [path], lambda: iter(blocks), hint=hint))


def changed(frames: Frames, field: str, index: object, value: float) -> Frames:
    array = np.array(frames.get(field))
    array[index] = value
    return frames._replace(**{field: array})


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (changed(good(), "pos", (3 * 17 + 1, 2), np.nan), "NaN or infinite positions: train.xyz, frame 17"),
        (changed(good(), "y", 4, np.inf), "NaN or infinite energy: train.xyz, frame 4"),
        (changed(good(), "neg_dy", (0, 0), np.nan), "NaN or infinite forces: train.xyz, frame 0"),
        (changed(good(), "z", 30, 0), "atomic number outside 1 to 118: train.xyz, frame 10"),
        (changed(good(), "z", 30, 119), "atomic number outside 1 to 118: train.xyz, frame 10"),
        (changed(good(), "z", 30, -1), "atomic number outside 1 to 118: train.xyz, frame 10"),
        (changed(good(), "pos", (16, 0), 5e-4), "two atoms nearer than 0.001 Å: train.xyz, frame 5"),
        (changed(good(periodic=True), "pos", (16, 0), 6.0005), "two atoms nearer than 0.001 Å: train.xyz, frame 5"),
        (
            changed(good(periodic=True), "box", (2, 1), 0.0),
            "cell without volume although an axis is periodic: train",
        ),
        (changed(good(periodic=True), "box", (2, 1, 1), np.nan), "NaN or infinite cell: train.xyz, frame 2"),
    ],
)
def test_a_faulty_frame_is_named(tmp_path: Path, frames: Frames, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        build(tmp_path, frames)
    assert message in str(caught.value)
    assert "counted from 0" in str(caught.value)


def test_the_first_five_frames_are_named_and_the_others_counted(tmp_path: Path) -> None:
    frames = changed(good(), "y", slice(3, 15), np.nan)
    with pytest.raises(DatasetError, match=r"train\.xyz, frame 3; .*; train\.xyz, frame 7 and 7 more"):
        build(tmp_path, frames)


def test_faults_of_all_kinds_come_in_one_error(tmp_path: Path) -> None:
    frames = changed(changed(good(), "y", 1, np.nan), "z", 30, 0)
    with pytest.raises(DatasetError) as caught:
        build(tmp_path, frames)
    assert "energy" in str(caught.value)
    assert "atomic number" in str(caught.value)


@pytest.mark.parametrize("field", ["neg_dy", "y"])
def test_a_label_missing_in_later_frames_is_told(tmp_path: Path, field: str) -> None:
    with pytest.raises(DatasetError, match=r"no (forces|energy), which other frames have \(try this\): .*frame 20"):
        build(tmp_path, good(), good(first=20)._replace(**{field: None}), hint="try this")


def test_a_label_missing_in_the_first_frames_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no forces, which other frames have: train\.xyz, frame 0"):
        build(tmp_path, good()._replace(neg_dy=None), good(first=20))


def test_a_dipole_missing_in_some_frames_is_left_out_with_a_warning(tmp_path: Path) -> None:
    whole = good()._replace(dp=np.zeros((20, 3)))
    with pytest.warns(UserWarning, match="dipole left out, .* the first without: train.xyz, frame 20"):
        store = build(tmp_path, whole, good(first=20), whole._replace(first=40))
    assert "dp" not in store.fields


def test_partial_charges_that_are_not_finite_are_left_out_with_a_warning(tmp_path: Path) -> None:
    charges = np.zeros(60)
    charges[31] = np.nan
    with pytest.warns(UserWarning, match="partial charges left out, .* the first without: train.xyz, frame 10"):
        store = build(tmp_path, good()._replace(partial_charges=charges))
    assert "partial_charges" not in store.fields


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no frames in train\.xyz"):
        build(tmp_path)


def test_a_frame_without_atoms_is_an_error(tmp_path: Path) -> None:
    frames = good(2)._replace(num_atoms=np.array([6, 0]))
    with pytest.raises(DatasetError, match=r"no atoms: train\.xyz, frame 1"):
        build(tmp_path, frames)


def test_no_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing to train on: the frames have none of energy, forces"):
        build(tmp_path, good()._replace(y=None, neg_dy=None))


def test_an_array_of_the_wrong_size_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"forces of train.xyz, frame 0 .* have shape \(59, 3\); \(60, 3\)"):
        build(tmp_path, good()._replace(neg_dy=np.zeros((59, 3))))


def brute_force_is_close(pos: np.ndarray, box: np.ndarray, pbc: np.ndarray) -> bool:
    """Every pair and every neighbouring image."""
    steps = [(-1, 0, 1) if periodic else (0,) for periodic in pbc]
    shifts = np.array([(a, b, c) for a in steps[0] for b in steps[1] for c in steps[2]]) @ box
    fractional = pos @ np.linalg.inv(box)
    pos = np.where(pbc, fractional - np.floor(fractional), fractional) @ box
    vectors = pos[:, None, None] - pos[None, :, None] + shifts
    distance = np.linalg.norm(vectors, axis=-1)
    same = np.eye(len(pos), dtype=bool)[:, :, None] & ~shifts.any(axis=1)
    return bool((distance[~same] < CLOSEST_PAIR).any())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_close_pairs_agrees_with_all_pairs_and_images(seed: int, pbc: tuple[bool, bool, bool]) -> None:
    rng = np.random.default_rng(seed)
    count, size = 6, 5
    box = 4.0 * np.eye(3) + rng.normal(size=(count, 3, 3))
    pos = rng.uniform(-8, 8, size=(count, size, 3))
    # Half of the frames get an atom beside an image of another
    for i in range(0, count, 2):
        pos[i, 1] = pos[i, 0] + (rng.integers(-2, 3, 3) * pbc) @ box[i] + 2e-3 * rng.uniform(-0.5, 0.5, 3)
        if rng.random() < 0.5:
            pos[i, :2] -= pos[i, 0]
    flags = np.tile(np.array(pbc), (count, 1))
    expected = [i for i in range(count) if brute_force_is_close(pos[i], box[i], flags[i])]
    found = close_pairs(pos.reshape(-1, 3), np.full(count, size), box=box, pbc=flags)
    assert found.tolist() == expected


def test_a_planar_crystal_is_checked_without_warnings(tmp_path: Path) -> None:
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0), [0.0]), axis=-1).reshape(-1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert close_pairs(grid, np.array([400])).tolist() == []
