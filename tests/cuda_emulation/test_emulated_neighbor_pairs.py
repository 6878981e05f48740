"""The kernels of the neighbour search, run on the CPU, find what the explicit sum over images finds."""

from types import ModuleType

import numpy as np
import pytest
import torch
from emulated_ops import LAUNCHES, SCHEDULES, edges_of, neighbor_pairs
from image_sums import assert_same_edges
from random_systems import CELLS, dense_system, make_system, periodic_example, random_system

from torchmdnet.graph import System

FAULTS = {
    "bad_position": 1,
    "bad_batch": 2,
    "bad_box": 4,
    "no_box": 8,
    "far_atom": 16,
    "too_many_pairs": 32,
    "overflow": 64,
}
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-9}
OPTIONS = [
    {"lower": 0.0, "loop": False},
    {"lower": 1.2, "loop": True},
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", ["open", *CELLS])
@pytest.mark.parametrize("seed", [1, 2, 3, 7, 9])
def test_finds_the_neighbors_in_any_cell(kernels: ModuleType, schedule: str, kind: str, seed: int) -> None:
    dtype = torch.float64 if seed % 2 else torch.float32
    system = random_system(seed, kind=kind, upper=2.5, spread=2.0, is_partial=seed % 3 == 0, dtype=dtype)
    options = OPTIONS[seed % 2]
    found = neighbor_pairs(kernels, system, 2.5, schedule=schedule, seed=seed, **options)
    assert found.status.tolist() == [len(found.distance), 0]
    assert_same_edges(edges_of(found), system, options["lower"], 2.5, loop=options["loop"], tolerance=TOLERANCE[dtype])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("pbc", [(True, True, True), (False, True, False), (False, False, False)])
@pytest.mark.parametrize("upper", [1.3, 2.6])
def test_finds_the_neighbors_among_many_bins(
    kernels: ModuleType, schedule: str, pbc: tuple[bool, bool, bool], upper: float
) -> None:
    system = dense_system(4, 300, density=0.4, pbc=pbc)
    found = neighbor_pairs(kernels, system, upper, schedule=schedule)
    assert_same_edges(edges_of(found), system, 0.0, upper)


def test_finds_the_neighbors_among_bins_of_half_a_cutoff(kernels: ModuleType) -> None:
    system = dense_system(6, 600, density=2.5, pbc=(True, True, False))
    assert_same_edges(edges_of(neighbor_pairs(kernels, system, 2.6)), system, 0.0, 2.6)


@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_gives_the_same_bits_by_any_launches_in_any_order(kernels: ModuleType, kind: str) -> None:
    system = random_system(7, kind=kind, upper=2.5, dtype=torch.float32)
    once = neighbor_pairs(kernels, system, 2.5, loop=True)
    for seed, schedule in enumerate(SCHEDULES, start=1):
        again = neighbor_pairs(kernels, system, 2.5, loop=True, schedule=schedule, seed=seed, poison=55 * seed)
        for ours, theirs in zip(once[:7], again[:7], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_launches_as_often_as_it_says(kernels: ModuleType, schedule: str) -> None:
    assert neighbor_pairs(kernels, periodic_example(), schedule=schedule).num_launches == LAUNCHES[schedule]


@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_half_a_list_has_each_pair_once(kernels: ModuleType, kind: str) -> None:
    system = random_system(3, kind=kind, upper=2.5)
    whole = edges_of(neighbor_pairs(kernels, system, 2.5)).key
    half = edges_of(neighbor_pairs(kernels, system, 2.5, half=True)).key
    reverse = np.column_stack([half[:, 1], half[:, 0], -half[:, 2:]])
    both = np.concatenate([half, reverse])
    assert len(both) == len(whole)
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(whole, axis=0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_edge_and_its_reverse_are_opposite_to_the_last_bit(kernels: ModuleType, dtype: torch.dtype) -> None:
    system = periodic_example(dtype)
    found = neighbor_pairs(kernels, system, 4.0)
    keys = np.column_stack([found.receiver, found.sender, found.shift])
    place = {tuple(key): row for row, key in enumerate(keys.tolist())}
    reverse = [place[(j, i, -a, -b, -c)] for i, j, a, b, c in keys.tolist()]
    np.testing.assert_array_equal(found.vector[reverse], -found.vector)
    np.testing.assert_array_equal(found.distance[reverse], found.distance)


def test_rows_begin_with_the_atom_itself(kernels: ModuleType) -> None:
    found = neighbor_pairs(kernels, periodic_example(), lower=2.0, loop=True)
    first = found.row_ptr[:-1]
    np.testing.assert_array_equal(found.sender[first], np.arange(12))
    np.testing.assert_array_equal(found.receiver[first], np.arange(12))
    assert not found.distance[first].any()
    assert not found.shift[first].any()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("num_systems", [0, 1, 3])
def test_takes_no_atoms(kernels: ModuleType, schedule: str, num_systems: int) -> None:
    system = make_system(torch.zeros((0, 3)), num=num_systems)
    found = neighbor_pairs(kernels, system, loop=True, schedule=schedule, capacity=3)
    assert found.row_ptr.tolist() == [0]
    assert found.status.tolist() == [0, 0]
    assert found.receiver.tolist() == [0, 0, 0]
    assert found.distance.tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_takes_one_atom(kernels: ModuleType, schedule: str) -> None:
    found = neighbor_pairs(kernels, make_system(torch.ones((1, 3))), loop=True, schedule=schedule)
    assert found.row_ptr.tolist() == [0, 1]
    assert found.shift.shape == (0, 3)
    assert found.vector.tolist() == [[0.0, 0.0, 0.0]]


def test_takes_more_systems_than_a_tile_holds_bins(kernels: ModuleType) -> None:
    num = kernels.tile + 100
    pos = torch.zeros((num, 3))
    pos[:, 0] = torch.arange(num) * 0.25
    system = make_system(pos, torch.arange(num).div(2, rounding_mode="floor").flip(0), num=num + 5)
    found = neighbor_pairs(kernels, system, schedule="at large")
    atoms = np.arange(num)
    np.testing.assert_array_equal(found.row_ptr, np.arange(num + 1))
    np.testing.assert_array_equal(found.sender, atoms ^ 1)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("spare", [0, 1, 70])
def test_fills_up_a_fixed_capacity(kernels: ModuleType, schedule: str, spare: int) -> None:
    system = periodic_example()
    exact = neighbor_pairs(kernels, system, loop=True)
    num = len(exact.distance)
    found = neighbor_pairs(kernels, system, loop=True, capacity=num + spare, schedule=schedule)
    assert found.status.tolist() == [num, 0]
    for name in ("vector", "distance", "receiver", "sender", "shift"):
        np.testing.assert_array_equal(getattr(found, name)[:num], getattr(exact, name))
    assert (found.vector[num:] == [3.0, 0.0, 0.0]).all()
    assert (found.distance[num:] == 3.0).all()
    assert (found.receiver[num:] == 11).all()
    assert (found.sender[num:] == 11).all()
    assert not found.shift[num:].any()


def assert_failed(found: tuple[np.ndarray, ...], fault: str) -> None:
    """No edges, and nobody can take the rows for numbers."""
    vector, distance, receiver, sender, shift, row_ptr, status = found[:7]
    assert status[1] == FAULTS[fault]
    assert np.isnan(vector).all()
    assert np.isnan(distance).all()
    # Each atom has its share of them, so that whatever stops at the end of the rows becomes NaN, too.
    num_atoms = len(row_ptr) - 1
    assert (np.diff(row_ptr) >= len(distance) // max(num_atoms, 1)).all()
    assert row_ptr[-1] == (len(distance) if num_atoms else 0)
    np.testing.assert_array_equal(receiver, np.repeat(np.arange(num_atoms), np.diff(row_ptr)))
    np.testing.assert_array_equal(sender, receiver)
    assert not shift.any()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("missing", [1, 40])
def test_more_pairs_than_the_capacity_are_told_and_nan(kernels: ModuleType, schedule: str, missing: int) -> None:
    num = len(neighbor_pairs(kernels, periodic_example()).distance)
    found = neighbor_pairs(kernels, periodic_example(), capacity=num - missing, schedule=schedule)
    assert_failed(found, "overflow")
    assert found.status[0] == num


def spoiled(what: str) -> System:
    """The example with one fault."""
    system = periodic_example()
    pos, box, batch = system.pos.clone(), system.box, system.batch.clone()
    assert box is not None
    box = box.clone()
    pbc = None
    if what == "nan":
        pos[5, 1] = float("nan")
    elif what == "infinite":
        pos[5, 1] = float("inf")
    elif what == "far":
        pos[5, 1] = 1e12
    elif what in ("negative", "too large"):
        batch[3] = -1 if what == "negative" else 1
    elif what == "flat":
        box[0, 1] = 2 * box[0, 0]
    elif what == "nan in box":
        box[0, 2, 2] = float("nan")
    elif what == "none":
        box, pbc = torch.zeros_like(box), torch.tensor([[False, True, False]])
    elif what == "minute":
        box = box * 1e-5
    return system._replace(pos=pos, box=box, batch=batch, pbc=pbc)


BAD = {
    "nan": "bad_position",
    "infinite": "bad_position",
    "far": "far_atom",
    "negative": "bad_batch",
    "too large": "bad_batch",
    "flat": "bad_box",
    "nan in box": "bad_box",
    "none": "no_box",
    "minute": "too_many_pairs",
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_and_nan(kernels: ModuleType, schedule: str, what: str) -> None:
    found = neighbor_pairs(kernels, spoiled(what), capacity=64, schedule=schedule, seed=3)
    assert_failed(found, BAD[what])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_the_kernels_for_the_cpu_find_the_same(kernels: ModuleType, kind: str, half: bool) -> None:
    system = random_system(9, kind=kind, upper=2.5, is_partial=kind == "plain")
    num = system.num_systems
    none = torch.zeros((0, 3, 3), dtype=system.pos.dtype)
    box = none if system.box is None else system.box
    pbc = torch.zeros((0, 3), dtype=torch.bool) if system.pbc is None else system.pbc
    on_cpu = torch.ops.torchmdnet.neighbor_pairs(system.pos, system.batch, box, pbc, num, 0.5, 2.5, True, half, -1)
    found = neighbor_pairs(kernels, system, 2.5, lower=0.5, loop=True, half=half)
    np.testing.assert_array_equal(found.row_ptr, on_cpu[5].numpy())
    np.testing.assert_array_equal(found.status, on_cpu[6].numpy())
    theirs = edges_of(found._replace(**dict(zip(found._fields, (part.numpy() for part in on_cpu), strict=False))))
    ours = edges_of(found)
    np.testing.assert_array_equal(ours.key, theirs.key)
    np.testing.assert_allclose(ours.vector, theirs.vector, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.distance, theirs.distance, rtol=0, atol=1e-12)
