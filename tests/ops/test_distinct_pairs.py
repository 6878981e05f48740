"""An edge and its reverse have one number, whatever the order of the edges."""

from typing import Any

import pytest
import torch
from pair_lists import listed, shared_cell, some_systems
from random_systems import CELLS, dense_system, make_system, periodic_example
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.distinct_pairs import distinct_pairs, distinct_pairs_reference
from torchmdnet.ops.neighbor_pairs import NeighborPairs

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
BOTH = pytest.mark.parametrize("function", [distinct_pairs, distinct_pairs_reference])


def given(pairs: NeighborPairs, *, loop: bool, padded: bool) -> list[Any]:
    return [pairs.sender, pairs.shift, pairs.row_ptr, loop, padded]


def first_of_kind(pair: Tensor, num_pairs: int) -> Tensor:
    """The lowest edge with the number of each edge: the same for any way of numbering. (E,)"""
    edges = torch.arange(len(pair))
    lowest = torch.full((num_pairs,), len(pair)).scatter_reduce(0, pair.long(), edges, "amin")
    return lowest[pair.long()]


def assert_numbers_pairs(pairs: NeighborPairs, first: Tensor, pair: Tensor, *, loop: bool, padded: bool) -> None:
    """What the docstring promises."""
    num_rows, num_atoms, num = len(pairs.sender), len(pairs.row_ptr) - 1, int(pairs.row_ptr[-1])
    self_rows = int(loop and num_atoms > 0)
    assert first.shape == (max(num_rows - loop * num_atoms, 0) // 2 + self_rows + padded,)
    assert pair.shape == (num_rows,)
    assert first.dtype == pair.dtype == torch.int32
    shift = pairs.shift if len(pairs.shift) else pairs.shift.new_zeros((num_rows, 3))
    key = torch.cat([pairs.receiver[:, None], pairs.sender[:, None], shift], 1).long()
    reverse = torch.cat([key[:, [1, 0]], -key[:, 2:]], 1)
    chosen = first.long()[pair.long()[:num]]
    same, opposite = (key[:num] == key[chosen]).all(1), (key[:num] == reverse[chosen]).all(1)
    own = (key[:num] == reverse[:num]).all(1)
    assert (same | opposite | own).all()
    assert (pair[:num][own] == 0).all()
    counts = torch.bincount(pair[:num].long(), minlength=len(first))
    assert set(counts[self_rows : self_rows + (num - loop * num_atoms) // 2].tolist()) <= {2}
    assert (pair[num:] == len(first) - 1).all()
    if num < num_rows:
        assert int(first[-1]) >= num


@BOTH
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_numbers_each_pair_once(kind: str, loop: bool, function: Any) -> None:
    for number, system in enumerate(some_systems(kind)):
        exact = listed(shared_cell(system), loop=loop).pairs
        spare = listed(shared_cell(system), loop=loop, capacity=len(exact.distance) + 5 * number).pairs
        for pairs, padded in ((exact, False), (spare, True)):
            first, pair = function(*given(pairs, loop=loop, padded=padded))
            assert_numbers_pairs(pairs, first, pair, loop=loop, padded=padded)


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_puts_together_what_its_reference_does(kind: str, loop: bool) -> None:
    for system in some_systems(kind):
        arguments = given(listed(shared_cell(system), loop=loop).pairs, loop=loop, padded=False)
        ours, theirs = distinct_pairs(*arguments), distinct_pairs_reference(*arguments)
        assert torch.equal(first_of_kind(ours[1], len(ours[0])), first_of_kind(theirs[1], len(theirs[0])))


def test_an_atom_with_many_images_has_half_as_many_pairs() -> None:
    pairs = listed(make_system(torch.zeros((1, 3)), box=torch.eye(3)[None]), upper=3.0).pairs
    first, pair = distinct_pairs(*given(pairs, loop=False, padded=False))
    assert len(pairs.distance) == 2 * len(first) > 50
    assert torch.equal(pairs.distance[first.long()][pair.long()], pairs.distance)


@BOTH
@pytest.mark.parametrize("num_atoms", [0, 1, 3])
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("capacity", [-1, 3, 8])
def test_takes_lists_without_pairs(num_atoms: int, loop: bool, capacity: int, function: Any) -> None:
    pos = 9.0 * torch.arange(3 * num_atoms).reshape(-1, 3).float()
    pairs = listed(make_system(pos), loop=loop, capacity=capacity).pairs
    first, pair = function(*given(pairs, loop=loop, padded=capacity >= 0))
    assert_numbers_pairs(pairs, first, pair, loop=loop, padded=capacity >= 0)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("loop", [False, True])
def test_is_a_whole_op(loop: bool, padded: bool) -> None:
    pairs = listed(periodic_example(), loop=loop, capacity=300 if padded else -1).pairs
    arguments = tuple(given(pairs, loop=loop, padded=padded))
    torch.library.opcheck(torch.ops.torchmdnet.distinct_pairs.default, arguments)


@needs_native
def test_two_threads_give_the_numbers_of_one() -> None:
    pairs = listed(dense_system(3, 5000, density=0.1, pbc=(True, True, False)), loop=True).pairs
    results = []
    for number in (2, 1):
        torch.set_num_threads(number)
        results.append(distinct_pairs(*given(pairs, loop=True, padded=False)))
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


# What is refused


@BOTH
def test_refuses_a_half_list(function: Any) -> None:
    pairs = listed(periodic_example(), half=True).pairs
    with pytest.raises(RuntimeError, match="torchmdnet: not a full list: an edge has no reverse"):
        function(*given(pairs, loop=False, padded=False))


@BOTH
@pytest.mark.parametrize("loop", [False, True])
def test_refuses_a_list_that_has_self_pairs_where_none_were_announced(loop: bool, function: Any) -> None:
    pairs = listed(periodic_example(), loop=loop).pairs
    with pytest.raises(RuntimeError, match="torchmdnet: not a full list: an edge has no reverse, or loop is wrong"):
        function(*given(pairs, loop=not loop, padded=False))


@BOTH
def test_refuses_an_edge_whose_reverse_has_another_shift(function: Any) -> None:
    pairs = listed(periodic_example()).pairs
    shift = pairs.shift.clone()
    shift[0, 0] += 7
    with pytest.raises(RuntimeError, match="torchmdnet: not a full list: an edge has no reverse"):
        function(pairs.sender, shift, pairs.row_ptr, False, False)


@needs_native
@pytest.mark.parametrize(
    ("place", "change", "text"),
    [
        (0, lambda sender: sender.long(), "receiver, sender and row_ptr must be contiguous int32 vectors"),
        (0, lambda sender: sender + 12, "a receiver or sender is not an atom"),
        (0, lambda sender: sender - 12, "a receiver or sender is not an atom"),
        (1, lambda shift: shift.T.contiguous().T, r"shift must be int32, contiguous, of shape \(E, 3\) or \(0, 3\)"),
        (1, lambda shift: shift[1:], "receiver, sender, shift and row_ptr are not of one list"),
        (2, lambda row_ptr: row_ptr.flip(0), "row_ptr does not fit the number of rows"),
        (2, lambda row_ptr: torch.cat([row_ptr[:1], row_ptr[1:-1].flip(0), row_ptr[-1:]]), "row_ptr descends"),
        (2, lambda row_ptr: row_ptr + 1, "row_ptr does not fit the number of rows"),
    ],
)
def test_the_kernel_says_what_it_cannot_take(place: int, change: Any, text: str) -> None:
    arguments = given(listed(periodic_example()).pairs, loop=False, padded=False)
    arguments[place] = change(arguments[place])
    with pytest.raises(RuntimeError, match=f"torchmdnet: .*{text}"):
        distinct_pairs(*arguments)
