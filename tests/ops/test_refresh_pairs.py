"""A longer list, cut to the pairs that are near at new positions."""

from typing import Any

import pytest
import torch
from pair_lists import TOLERANCE, UPPER, Listed, assert_same_pairs, listed, shared_cell, some_systems
from random_systems import CELLS, dense_system, make_system, periodic_example
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import native
from torchmdnet.ops.neighbor_pairs import NeighborPairs
from torchmdnet.ops.refresh_pairs import refresh_pairs, refresh_pairs_reference

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
BOTH = pytest.mark.parametrize("function", [refresh_pairs, refresh_pairs_reference])


def given(
    known: Listed,
    *,
    pos: Tensor | None = None,
    lower: float = 0.0,
    upper: float = UPPER,
    capacity: int = -1,
    reach: float | None = None,
) -> list[Any]:
    """The op's arguments; with a reach, it looks how far the atoms have moved."""
    pairs, rows = known.pairs, slice(0) if reach is None else slice(None)
    pos, known_pos = known.pos if pos is None else pos, known.pos[rows].clone()
    others = [pairs.sender, pairs.shift, pairs.row_ptr, known_pos, known.box[rows].clone(), reach or 0.0]
    return [pos, known.batch, known.box, *others, lower, upper, capacity]


def as_pairs(rows: tuple[Tensor, ...]) -> NeighborPairs:
    return NeighborPairs._make(rows)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_equals_its_reference(kind: str, dtype: torch.dtype) -> None:
    for number, system in enumerate(some_systems(kind, dtype)):
        lower = 0.4 * (number % 2)
        arguments = given(listed(shared_cell(system), upper=UPPER + 0.5, loop=number % 3 == 0), lower=lower)
        ours, theirs = as_pairs(refresh_pairs(*arguments)), as_pairs(refresh_pairs_reference(*arguments))
        assert_same_pairs(ours, theirs, TOLERANCE[dtype], cutoffs=(lower, UPPER))
        assert [part.dtype for part in ours] == [part.dtype for part in theirs]


@BOTH
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_finds_what_a_search_at_the_new_positions_finds(kind: str, function: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    for system in some_systems(kind):
        known = listed(shared_cell(system), upper=UPPER + 0.5, loop=True)
        steps = torch.rand(system.pos.shape, generator=generator, dtype=torch.float64) - 0.5
        pos = system.pos + 0.28 * steps  # at most 0.25 Å
        ours = as_pairs(function(*given(known, pos=pos, lower=0.3)))
        wanted = listed(shared_cell(system._replace(pos=pos)), lower=0.3, loop=True).pairs
        assert_same_pairs(ours, wanted, 1e-11, cutoffs=(0.3, UPPER))
        assert torch.equal(ours.row_ptr, wanted.row_ptr)


@BOTH
def test_keeps_the_order(function: Any) -> None:
    known = listed(periodic_example(), upper=4.0, loop=True)
    near = known.pairs.distance < UPPER
    rows = as_pairs(function(*given(known)))
    assert torch.equal(rows.sender, known.pairs.sender[near])
    assert torch.equal(rows.receiver, known.pairs.receiver[near])
    assert torch.equal(rows.shift, known.pairs.shift[near])


@BOTH
def test_leaves_padding_out(function: Any) -> None:
    exact = listed(periodic_example(), upper=4.0)
    spare = listed(periodic_example(), upper=4.0, capacity=len(exact.pairs.distance) + 11)
    for one, other in zip(function(*given(spare)), function(*given(exact)), strict=True):
        assert torch.equal(one, other)


@BOTH
@pytest.mark.parametrize("num_atoms", [0, 1, 2])
@pytest.mark.parametrize("with_box", [False, True])
def test_few_atoms_have_no_pairs(num_atoms: int, with_box: bool, function: Any) -> None:
    pos = 9.0 * torch.arange(3 * num_atoms).reshape(-1, 3).float()
    known = listed(make_system(pos, box=torch.eye(3)[None] * 100 if with_box else None))
    vector, distance, receiver, sender, shift, row_ptr, status = function(*given(known, reach=1.0))
    assert vector.shape == shift.shape == (0, 3)
    assert distance.shape == receiver.shape == sender.shape == (0,)
    assert row_ptr.tolist() == [0] * (num_atoms + 1)
    assert status.tolist() == [0, 0]


@BOTH
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rows_that_are_left_are_padding(kind: str, dtype: torch.dtype, function: Any) -> None:
    for system in some_systems(kind, dtype):
        known = listed(shared_cell(system), upper=UPPER + 0.5, loop=True)
        exact = as_pairs(function(*given(known)))
        num = len(exact.distance)
        for spare in (0, 7):
            padded = as_pairs(function(*given(known, capacity=num + spare)))
            assert len(padded.distance) == num + spare
            for one, other in zip(padded[:4], exact[:4], strict=True):
                assert torch.equal(one[:num], other)
            assert torch.equal(padded.shift[:num], exact.shift)
            assert len(padded.shift) == (num + spare if len(known.box) else 0)
            assert torch.equal(padded.row_ptr, exact.row_ptr)
            assert padded.status.tolist() == exact.status.tolist() == [num, 0]
            assert (padded.distance[num:] == torch.tensor(UPPER, dtype=dtype)).all()
            assert torch.equal(padded.vector[num:, 0], padded.distance[num:])
            assert not padded.vector[num:, 1:].any()
            assert not padded.shift[num:].any()
            assert (padded.receiver[num:] == len(known.pos) - 1).all()
            assert torch.equal(padded.receiver[num:], padded.sender[num:])


@BOTH
@pytest.mark.parametrize("num_atoms", [0, 1])
def test_few_atoms_have_padding_only(num_atoms: int, function: Any) -> None:
    known = listed(make_system(torch.zeros((num_atoms, 3)), box=torch.eye(3)[None] * 100))
    rows = as_pairs(function(*given(known, capacity=3)))
    assert rows.distance.tolist() == torch.full((3,), UPPER).tolist()
    assert rows.shift.shape == (3, 3)
    assert not rows.sender.any()


@BOTH
def test_more_pairs_than_rows_are_an_error(function: Any) -> None:
    known = listed(periodic_example(), upper=4.0)
    num = len(as_pairs(function(*given(known))).distance)
    text = f"torchmdnet: {num} neighbour pairs were found, more than the capacity of {num - 1}: give a larger capacity"
    with pytest.raises(RuntimeError, match=text):
        function(*given(known, capacity=num - 1))


@BOTH
@pytest.mark.parametrize(("part", "is_near"), [(0.999, True), (1.001, False)])
@pytest.mark.parametrize("capacity", [-1, 400])
def test_an_atom_may_not_move_further_than_the_reach(part: float, is_near: bool, capacity: int, function: Any) -> None:
    known = listed(periodic_example(), upper=4.0)
    pos = known.pos.clone()
    pos[7] += part * 0.3 * torch.tensor([2.0, -1.0, 2.0]) / 3.0
    arguments = given(known, pos=pos, reach=0.3, capacity=capacity)
    if is_near:
        assert as_pairs(function(*arguments)).status[1] == 0
        return
    with pytest.raises(RuntimeError, match="torchmdnet: an atom has moved too far, or a cell has changed, since"):
        function(*arguments)


@BOTH
def test_a_cell_may_not_change(function: Any) -> None:
    arguments = given(listed(periodic_example(), upper=4.0), reach=0.3)
    function(*arguments)
    arguments[2] = arguments[2] * (1 + 1e-15)
    with pytest.raises(RuntimeError, match="torchmdnet: an atom has moved too far, or a cell has changed, since"):
        function(*arguments)


@BOTH
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_positions_that_are_none_are_refused(value: float, function: Any) -> None:
    known = listed(periodic_example(), upper=4.0)
    pos = known.pos.clone()
    pos[3, 1] = value
    with pytest.raises(RuntimeError, match="torchmdnet: a position is NaN or infinite"):
        function(*given(known, pos=pos))


@needs_native
def test_two_threads_give_the_bits_of_one() -> None:
    known = listed(dense_system(3, 10_000, density=0.1, pbc=(True, True, False)), upper=3.0)
    results = []
    for number in (2, 1):
        torch.set_num_threads(number)
        results.append(refresh_pairs(*given(known)))
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("capacity", [-1, 70])
def test_vectors_and_distances_differentiate_twice(capacity: int) -> None:
    known = listed(periodic_example(num_atoms=4), upper=4.0, loop=True)
    _, batch, _, *rest = given(known, upper=3.4, capacity=capacity)

    def geometry(pos: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        vector, distance, *_ = refresh_pairs(pos, batch, box, *rest)
        return vector, distance

    inputs = tuple(value.clone().requires_grad_() for value in (known.pos, known.box))
    assert 4 < int(refresh_pairs(inputs[0], batch, inputs[1], *rest).row_ptr[-1]) < len(known.pairs.distance)
    assert gradcheck(geometry, inputs)
    assert gradgradcheck(geometry, inputs)


def test_nothing_left_has_zero_derivatives() -> None:
    known = listed(periodic_example(), upper=4.0)
    arguments = given(known, upper=0.01)
    leaves = [arguments[k].clone().requires_grad_() for k in (0, 2)]
    arguments[0], arguments[2] = leaves
    vector, distance, *_ = refresh_pairs(*arguments)
    assert len(distance) == 0
    for slope in torch.autograd.grad(distance.sum() + vector.sum(), leaves):
        assert not slope.any()


@pytest.mark.parametrize("wants_gradient", [False, True])
@pytest.mark.parametrize("with_box", [False, True])
@pytest.mark.parametrize("capacity", [-1, 600])
def test_is_a_whole_op(capacity: int, with_box: bool, wants_gradient: bool) -> None:
    system = periodic_example()
    known = listed(system if with_box else system._replace(box=None), upper=4.0, loop=True)
    arguments = given(known, capacity=capacity)
    arguments[0] = arguments[0].clone().requires_grad_(wants_gradient)
    torch.library.opcheck(torch.ops.torchmdnet.refresh_pairs.default, tuple(arguments))


@needs_native
@pytest.mark.parametrize(
    ("place", "change", "text"),
    [
        (0, lambda pos: pos.long(), "positions must be float32 or float64"),
        (0, lambda pos: pos.T.contiguous().T, r"positions must be contiguous, of shape \(N, 3\)"),
        (0, lambda pos: pos[1:], "receiver, sender, shift and row_ptr are not of one list"),
        (1, lambda batch: batch.int(), r"batch must be int64, contiguous, of shape \(N,\)"),
        (1, lambda batch: batch + 1, "batch holds a system number that is negative or too large"),
        (2, lambda box: box.float(), "box must be of the positions' dtype"),
        (3, lambda sender: sender.long(), "receiver, sender and row_ptr must be contiguous int32 vectors"),
        (3, lambda sender: sender + 12, "a receiver or sender is not an atom"),
        (4, lambda shift: shift[1:], "receiver, sender, shift and row_ptr are not of one list"),
        (5, lambda row_ptr: torch.cat([row_ptr[:1], row_ptr[1:-1].flip(0), row_ptr[-1:]]), "row_ptr descends"),
        (6, lambda pos: pos[1:], "known_pos and known_box must be like pos and box, or have no rows"),
        (6, lambda pos: pos.float(), "known_pos and known_box must be like pos and box"),
        (7, lambda box: box.repeat(2, 1, 1), "known_pos and known_box must be like pos and box"),
        (11, lambda _: 2**31, "a capacity of more than 2147483647 pairs"),
    ],
)
def test_the_kernel_says_what_it_cannot_take(place: int, change: Any, text: str) -> None:
    arguments = given(listed(periodic_example(), upper=4.0), reach=0.3)
    arguments[place] = change(arguments[place])
    with pytest.raises(RuntimeError, match=f"torchmdnet: .*{text}"):
        refresh_pairs(*arguments)
