"""The plain list of pairs: half lists, lists with room to spare, and what the caller may leave out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_sums import Edges, assert_same_edges, sort_edges
from random_systems import CELLS, box_of, dense_system, make_system, periodic_example, random_system

from torchmdnet.graph import System
from torchmdnet.neighbors import NeighborPairs, neighbor_pairs

UPPER = 2.5


def pairs_of(
    system: System, upper: float = UPPER, *, loop: bool = False, half: bool = False, capacity: int | None = None
) -> NeighborPairs:
    return neighbor_pairs(
        system.pos,
        system.batch,
        cutoff_upper=upper,
        box=system.box,
        pbc=system.pbc,
        num_systems=system.num_systems,
        loop=loop,
        half=half,
        capacity=capacity,
    )


def rows_of(pairs: NeighborPairs) -> Edges:
    """What is listed, without padding."""
    num = int(pairs.row_ptr[-1])
    shift = pairs.shift if len(pairs.shift) else torch.zeros((num, 3), dtype=torch.int32)
    key = torch.cat([pairs.receiver[:num, None], pairs.sender[:num, None], shift[:num]], dim=1).long()
    return Edges(key.numpy(), pairs.vector[:num].detach().numpy(), pairs.distance[:num].detach().numpy())


def with_reverse(half: Edges) -> Edges:
    """Both directions; self pairs have one."""
    is_self = (half.key[:, 0] == half.key[:, 1]) & ~half.key[:, 2:].any(axis=1)
    back = half.key[~is_self][:, [1, 0, 2, 3, 4]] * [1, 1, -1, -1, -1]
    return Edges(
        np.concatenate([half.key, back]),
        np.concatenate([half.vector, -half.vector[~is_self]]),
        np.concatenate([half.distance, half.distance[~is_self]]),
    )


@pytest.mark.parametrize("kind", ["open", *CELLS])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), loop=st.booleans(), is_partial=st.booleans())
def test_a_half_list_has_each_pair_once(kind: str, seed: int, loop: bool, is_partial: bool) -> None:
    system = random_system(seed, kind=kind, upper=UPPER, spread=3.0, is_partial=is_partial)
    half = pairs_of(system, loop=loop, half=True)
    assert torch.equal(half.receiver.long(), torch.repeat_interleave(half.row_ptr.diff().long()))
    assert_same_edges(sort_edges(with_reverse(rows_of(half))), system, 0.0, UPPER, loop=loop)


@pytest.mark.parametrize("pbc", [(True, True, True), (False, True, False)])
def test_a_half_list_of_many_atoms_has_each_pair_once(pbc: tuple[bool, bool, bool]) -> None:
    system = dense_system(4, 1100, density=0.6, pbc=pbc)
    assert_same_edges(sort_edges(with_reverse(rows_of(pairs_of(system, half=True)))), system, 0.0, UPPER)


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("loop", [True, False])
def test_room_to_spare_is_filled_with_pairs_at_the_cutoff(loop: bool, half: bool) -> None:
    system = periodic_example()
    exact = pairs_of(system, loop=loop, half=half)
    num = len(exact.distance)
    padded = pairs_of(system, loop=loop, half=half, capacity=num + 7)
    for a, b in zip(rows_of(padded), rows_of(exact), strict=True):
        np.testing.assert_array_equal(a, b)
    assert torch.equal(padded.row_ptr, exact.row_ptr)
    assert padded.status.tolist() == exact.status.tolist() == [num, 0]
    assert padded.receiver[num:].tolist() == padded.sender[num:].tolist() == [11] * 7
    assert padded.shift[num:].tolist() == [[0, 0, 0]] * 7
    assert padded.vector[num:].tolist() == [[UPPER, 0, 0]] * 7
    assert padded.distance[num:].tolist() == [UPPER] * 7


def test_exactly_enough_room_is_enough_and_one_row_less_is_refused() -> None:
    system = periodic_example()
    num = len(pairs_of(system).distance)
    assert len(pairs_of(system, capacity=num).distance) == num
    with pytest.raises(RuntimeError, match=f"{num} .*capacity.* {num - 1}"):
        pairs_of(system, capacity=num - 1)


def test_padding_has_no_derivative() -> None:
    system = periodic_example()
    slopes = []
    for capacity in (None, 500):
        pos, box = system.pos.clone().requires_grad_(), box_of(system).clone().requires_grad_()
        pairs = pairs_of(system._replace(pos=pos, box=box), capacity=capacity)
        energy = pairs.distance.square().sum() + pairs.vector[:, 0].exp().sum()
        slopes.append(torch.autograd.grad(energy, (pos, box)))
    for a, b in zip(*slopes, strict=True):
        torch.testing.assert_close(a, b, atol=1e-11, rtol=0)


def test_no_atoms_may_have_room() -> None:
    pairs = pairs_of(make_system(torch.zeros((0, 3))), capacity=3)
    assert pairs.row_ptr.tolist() == [0]
    assert pairs.distance.tolist() == [UPPER] * 3
    assert pairs.receiver.tolist() == [0] * 3


def test_positions_and_a_cutoff_are_enough() -> None:
    pos = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [5.0, 0, 0]])
    pairs = neighbor_pairs(pos, cutoff_upper=2.0)
    assert pairs.receiver.tolist() == [0, 1]
    assert pairs.sender.tolist() == [1, 0]
    assert pairs.vector.tolist() == [[-1, 0, 0], [1, 0, 0]]
    assert neighbor_pairs(pos[:0], cutoff_upper=2.0).row_ptr.tolist() == [0]


def test_the_number_of_systems_is_that_of_the_batch_if_not_given() -> None:
    pairs = neighbor_pairs(torch.zeros((3, 3)), torch.tensor([3, 0, 3]), cutoff_upper=2.0)
    assert pairs.receiver.tolist() == [0, 2]
