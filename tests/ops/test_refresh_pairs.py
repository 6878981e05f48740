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


def given(known: Listed, *, pos: Tensor | None = None, lower: float = 0.0, upper: float = UPPER) -> list[Any]:
    pairs = known.pairs
    pos = known.pos if pos is None else pos
    return [pos, known.batch, known.box, pairs.sender, pairs.shift, pairs.row_ptr, lower, upper]


def as_pairs(rows: tuple[Tensor, ...]) -> NeighborPairs:
    return NeighborPairs._make([*rows, torch.zeros(2, dtype=torch.int32)])


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
    vector, distance, receiver, sender, shift, row_ptr = function(*given(known))
    assert vector.shape == shift.shape == (0, 3)
    assert distance.shape == receiver.shape == sender.shape == (0,)
    assert row_ptr.tolist() == [0] * (num_atoms + 1)


@needs_native
def test_two_threads_give_the_bits_of_one() -> None:
    known = listed(dense_system(3, 10_000, density=0.1, pbc=(True, True, False)), upper=3.0)
    results = []
    for number in (2, 1):
        torch.set_num_threads(number)
        results.append(refresh_pairs(*given(known)))
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_vectors_and_distances_differentiate_twice() -> None:
    known = listed(periodic_example(num_atoms=4), upper=4.0, loop=True)
    _, batch, _, *rest = given(known, upper=3.4)

    def geometry(pos: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        vector, distance, *_ = refresh_pairs(pos, batch, box, *rest)
        return vector, distance

    inputs = tuple(value.clone().requires_grad_() for value in (known.pos, known.box))
    assert 4 < len(geometry(*inputs)[1]) < len(known.pairs.distance)
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
def test_is_a_whole_op(with_box: bool, wants_gradient: bool) -> None:
    system = periodic_example()
    arguments = given(listed(system if with_box else system._replace(box=None), upper=4.0, loop=True))
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
    ],
)
def test_the_kernel_says_what_it_cannot_take(place: int, change: Any, text: str) -> None:
    arguments = given(listed(periodic_example(), upper=4.0))
    arguments[place] = change(arguments[place])
    with pytest.raises(RuntimeError, match=f"torchmdnet: .*{text}"):
        refresh_pairs(*arguments)
