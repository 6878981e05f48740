"""The kernels that number the unordered pairs of a full list, run on the CPU."""

from types import ModuleType

import numpy as np
import pytest
import torch
from emulated_ops import Pairs, Scheduled, neighbor_pairs
from random_systems import make_system, random_system


@pytest.fixture(params=[0, 10**6], ids=["at large", "in one block"])
def scheduled(request: pytest.FixtureRequest, kernels: ModuleType) -> Scheduled:
    return Scheduled(kernels, request.param)


def distinct(
    scheduled: Scheduled, found: Pairs, *, loop: bool, padded: bool, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    result: tuple[np.ndarray, np.ndarray] = scheduled.distinct_pairs(
        found.sender, found.shift, found.row_ptr, loop, padded, seed, 0xFF, scheduled.few
    )
    return result


@pytest.mark.parametrize("kind", ["open", "plain", "long", "thin"])
@pytest.mark.parametrize("loop", [False, True])
def test_an_edge_and_its_reverse_share_a_row(scheduled: Scheduled, kind: str, loop: bool) -> None:
    system = random_system(7, kind=kind, upper=2.0)
    found = neighbor_pairs(scheduled, system, 2.0, loop=loop)
    first, pair = distinct(scheduled, found, loop=loop, padded=False)
    shift = found.shift if len(found.shift) else np.zeros((len(found.sender), 3), np.int32)
    one = np.column_stack([found.receiver, found.sender, shift]).tolist()
    other = np.column_stack([found.sender, found.receiver, -shift]).tolist()
    names = [("self",) if a == b else tuple(min(a, b)) for a, b in zip(one, other, strict=True)]
    assert len(set(zip(names, pair.tolist(), strict=True))) == len(set(names)) == len(first) == len(set(pair.tolist()))
    np.testing.assert_array_equal(pair[first], np.arange(len(first)))


def test_padding_has_the_last_row(scheduled: Scheduled) -> None:
    system = random_system(7, kind="plain", upper=2.0)
    exact = neighbor_pairs(scheduled, system, 2.0, loop=True)
    num = len(exact.distance)
    found = neighbor_pairs(scheduled, system, 2.0, loop=True, capacity=num + 7)
    expected_first, expected_pair = distinct(scheduled, exact, loop=True, padded=False)
    first, pair = distinct(scheduled, found, loop=True, padded=True, seed=1)
    num_atoms = len(system.pos)
    assert len(first) == (num + 7 - num_atoms) // 2 + 2
    np.testing.assert_array_equal(pair[:num], expected_pair)
    assert (pair[num:] == len(first) - 1).all()
    np.testing.assert_array_equal(first[: len(expected_first)], expected_first)
    assert (first[len(expected_first) :] == num + 6).all()


@pytest.mark.parametrize("loop", [False, True])
def test_all_pairs_of_an_overflown_list_are_nan(scheduled: Scheduled, loop: bool) -> None:
    system = random_system(7, kind="plain", upper=2.0)
    found = neighbor_pairs(scheduled, system, 2.0, loop=loop, capacity=20)
    first, pair = distinct(scheduled, found, loop=loop, padded=True)
    assert ((first >= 0) & (first < len(found.distance))).all()
    assert np.isnan(found.distance[first]).all()
    assert ((pair >= 0) & (pair < len(first))).all()


def test_an_edge_without_a_reverse_gets_no_row(scheduled: Scheduled) -> None:
    found = neighbor_pairs(scheduled, make_system(torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])))
    broken = found._replace(sender=found.sender * 0)
    _, pair = distinct(scheduled, broken, loop=False, padded=False)
    assert pair[1] == -1


@pytest.mark.parametrize("lost", ["forward", "reverse"])
@pytest.mark.parametrize("padded", [False, True])
def test_a_list_that_has_lost_an_edge_has_edges_without_a_row(scheduled: Scheduled, padded: bool, lost: str) -> None:
    found = neighbor_pairs(scheduled, random_system(7, kind="plain", upper=2.0), 2.0, loop=True)
    is_forward = found.sender > found.receiver
    edge = int(np.nonzero(is_forward if lost == "forward" else found.sender < found.receiver)[0][5])
    arrays = {name: np.delete(getattr(found, name), edge, axis=0) for name in ("receiver", "sender", "shift")}
    row_ptr = (found.row_ptr - (np.arange(len(found.row_ptr)) > found.receiver[edge])).astype(np.int32)
    if padded:
        arrays = {name: np.concatenate([rows, 0 * rows[:4]]) for name, rows in arrays.items()}
    first, pair = distinct(scheduled, found._replace(row_ptr=row_ptr, **arrays), loop=True, padded=padded)
    assert (pair == -1).any()
    assert ((pair >= -1) & (pair < len(first))).all()
    assert ((first >= 0) & (first < len(arrays["sender"]))).all()


@pytest.mark.parametrize("is_upper", [False, True])
def test_half_a_list_gives_numbers_within_bounds(scheduled: Scheduled, is_upper: bool) -> None:
    found = neighbor_pairs(scheduled, random_system(7, kind="plain", upper=2.0), 2.0, half=True)
    swap = {"receiver": found.sender, "sender": found.receiver} if is_upper else {}
    order = np.argsort(found.sender if is_upper else found.receiver, kind="stable")
    half = found._replace(**swap)
    arrays = {name: np.ascontiguousarray(getattr(half, name)[order]) for name in ("receiver", "sender", "shift")}
    counts = np.bincount(arrays["receiver"], minlength=len(found.row_ptr) - 1)
    row_ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    first, pair = distinct(scheduled, half._replace(row_ptr=row_ptr, **arrays), loop=False, padded=False)
    assert ((pair >= -1) & (pair < len(first))).all()
    assert (pair == -1).any()


@pytest.mark.parametrize("kind", ["plain", "thin"])
def test_numbers_alike_in_any_order(scheduled: Scheduled, kind: str) -> None:
    found = neighbor_pairs(scheduled, random_system(7, kind=kind, upper=2.0), 2.0, loop=True)
    once = distinct(scheduled, found, loop=True, padded=False)
    for seed in (1, 2):
        for one, other in zip(once, distinct(scheduled, found, loop=True, padded=False, seed=seed), strict=True):
            np.testing.assert_array_equal(one, other)


def test_takes_no_atoms(scheduled: Scheduled) -> None:
    found = neighbor_pairs(scheduled, make_system(torch.zeros((0, 3)), num=1), loop=True)
    first, pair = distinct(scheduled, found, loop=True, padded=False)
    assert len(first) == len(pair) == 0


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_the_kernels_for_the_cpu_number_alike(scheduled: Scheduled, kind: str, padded: bool) -> None:
    found = neighbor_pairs(scheduled, random_system(3, kind=kind, upper=2.0), 2.0, capacity=30_000 if padded else -1)
    arrays = [torch.from_numpy(part) for part in (found.sender, found.shift, found.row_ptr)]
    first, pair = torch.ops.torchmdnet.distinct_pairs(*arrays, False, padded)
    ours = distinct(scheduled, found, loop=False, padded=padded)
    np.testing.assert_array_equal(ours[0], first.numpy())
    np.testing.assert_array_equal(ours[1], pair.numpy())
