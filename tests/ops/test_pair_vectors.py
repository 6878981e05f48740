"""Vectors from positions and cells, and the adjoint map: linear, each the derivative of the other."""

from typing import Any

import pytest
import torch
from pair_lists import TOLERANCE, Listed, listed, shared_cell, some_systems
from random_systems import CELLS, dense_system, make_system, periodic_example, random_system
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import native
from torchmdnet.ops.pair_vectors import (
    pair_vectors,
    pair_vectors_reference,
    pair_vectors_transpose,
    pair_vectors_transpose_reference,
)

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
BOTH = pytest.mark.parametrize("transpose", [pair_vectors_transpose, pair_vectors_transpose_reference])


def forth(known: Listed) -> list[Tensor]:
    """Arguments of pair_vectors."""
    pairs = known.pairs
    return [known.pos, known.box, known.batch, pairs.receiver, pairs.sender, pairs.shift, pairs.row_ptr]


def back(known: Listed, grad: Tensor, *, with_box: bool) -> list[Any]:
    """Arguments of pair_vectors_transpose."""
    pairs = known.pairs
    return [grad, known.batch, pairs.sender, pairs.shift, pairs.row_ptr, known.box.shape[0], with_box]


def random_rows(known: Listed, seed: int = 0) -> Tensor:
    """A gradient of the vectors."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((len(known.pairs.distance), 3), generator=generator, dtype=torch.float64).to(known.pos.dtype)


def example(*, capacity: int = -1, num_atoms: int = 4) -> Listed:
    """Four atoms and many images of them."""
    return listed(periodic_example(num_atoms=num_atoms), upper=3.5, loop=True, capacity=capacity)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_equal_their_references(kind: str, dtype: torch.dtype) -> None:
    rounding = 1e-4 if dtype == torch.float32 else 1e-12
    for number, system in enumerate(some_systems(kind, dtype)):
        known = listed(shared_cell(system), loop=number % 2 == 0, half=number % 3 == 0)
        vectors = pair_vectors(*forth(known)), pair_vectors_reference(*forth(known))
        torch.testing.assert_close(*vectors, rtol=0, atol=TOLERANCE[dtype])
        for with_box in {False, bool(len(known.box))}:
            given = back(known, random_rows(known), with_box=with_box)
            sums = pair_vectors_transpose(*given)
            assert sums[1].shape == (len(known.box) if with_box else 0, 3, 3)
            wide = [given[0].double(), *given[1:]]
            for ours, theirs in zip(sums, pair_vectors_transpose_reference(*wide), strict=True):
                scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
                torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=rounding * scale)


def test_are_those_of_the_search() -> None:
    known = listed(dense_system(1, 500, density=0.1, pbc=(True, True, False)))
    torch.testing.assert_close(pair_vectors(*forth(known)), known.pairs.vector, rtol=0, atol=1e-11)


@pytest.mark.parametrize("capacity", [-1, 400])
@BOTH
def test_the_maps_are_adjoint(transpose: Any, capacity: int) -> None:
    known = listed(random_system(8, kind="plain", upper=2.0, spread=3.0), upper=2.0, capacity=capacity)
    assert known.box.shape[0] > 1
    y = random_rows(known, 1)
    by_pos, by_box = transpose(*back(known, y, with_box=True))
    forward = (pair_vectors(*forth(known)) * y).sum()
    backward = (known.pos * by_pos).sum() + (known.box * by_box).sum()
    torch.testing.assert_close(forward, backward, rtol=1e-12, atol=1e-10)


@BOTH
def test_padding_is_left_out_of_the_sums(transpose: Any) -> None:
    exact = example()
    spare = example(capacity=len(exact.pairs.distance) + 9)
    rows = random_rows(spare)
    rows[-9:] = torch.nan
    sums = transpose(*back(spare, rows, with_box=True))
    for ours, theirs in zip(sums, transpose(*back(exact, rows[:-9].clone(), with_box=True)), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("function", [pair_vectors, pair_vectors_reference])
def test_the_vector_of_padding_is_zero(function: Any) -> None:
    num = len(example().pairs.distance)
    vector = function(*forth(example(capacity=num + 3)))
    assert vector[:num].any(1).sum() == num - 4
    assert not vector[num:].any()


# Derivatives


@pytest.mark.parametrize("capacity", [-1, 80])
def test_vectors_differentiate_twice(capacity: int) -> None:
    known = example(capacity=capacity)
    _, _, *rest = forth(known)

    def squares(pos: Tensor, box: Tensor) -> Tensor:
        return pair_vectors(pos, box, *rest).square()

    inputs = tuple(value.clone().requires_grad_() for value in (known.pos, known.box))
    assert gradcheck(squares, inputs)
    assert gradgradcheck(squares, inputs)


@pytest.mark.parametrize("with_box", [False, True])
@pytest.mark.parametrize("capacity", [-1, 80])
def test_sums_differentiate_twice(capacity: int, with_box: bool) -> None:
    known = example(capacity=capacity)
    _, *rest = back(known, known.pos, with_box=with_box)

    def squares(grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(value.square() for value in pair_vectors_transpose(grad, *rest) if value.numel())

    inputs = (random_rows(known).requires_grad_(),)
    assert gradcheck(squares, inputs)
    assert gradgradcheck(squares, inputs)


def test_without_a_box_there_are_derivatives_by_position() -> None:
    pos = torch.tensor([[0.0, 0, 0], [1, 0.5, 0], [0, 1, 0.25]], dtype=torch.float64)
    known = listed(make_system(pos))
    _, box, *rest = forth(known)

    def squares(pos: Tensor) -> Tensor:
        return pair_vectors(pos, box, *rest).square()

    assert gradcheck(squares, (pos.requires_grad_(),))
    assert gradgradcheck(squares, (pos,))


def test_are_whole_ops() -> None:
    known = example(capacity=80)
    given = forth(known)
    given[:2] = [value.clone().requires_grad_() for value in given[:2]]
    torch.library.opcheck(torch.ops.torchmdnet.pair_vectors.default, tuple(given))
    for with_box in (False, True):
        rows = random_rows(known).requires_grad_()
        torch.library.opcheck(
            torch.ops.torchmdnet.pair_vectors_transpose.default, tuple(back(known, rows, with_box=with_box))
        )


# Little and much


@pytest.mark.parametrize(
    ("forward", "transpose"),
    [(pair_vectors, pair_vectors_transpose), (pair_vectors_reference, pair_vectors_transpose_reference)],
)
@pytest.mark.parametrize("num_atoms", [0, 1, 2])
@pytest.mark.parametrize("with_box", [False, True])
@pytest.mark.parametrize("capacity", [-1, 3])
def test_no_pairs_give_no_sums(num_atoms: int, with_box: bool, capacity: int, forward: Any, transpose: Any) -> None:
    pos = 9.0 * torch.arange(3 * num_atoms).reshape(-1, 3).float()
    known = listed(make_system(pos, box=torch.eye(3)[None] * 100 if with_box else None), capacity=capacity)
    assert forward(*forth(known)).tolist() == [[0, 0, 0]] * max(capacity, 0)
    by_pos, by_box = transpose(*back(known, random_rows(known), with_box=with_box))
    assert by_pos.tolist() == [[0, 0, 0]] * num_atoms
    assert not by_box.any()


@needs_native
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_two_threads_give_the_bits_of_one(dtype: torch.dtype) -> None:
    known = listed(dense_system(3, 12_000, density=0.1, pbc=(True, True, False), dtype=dtype), upper=4.0)
    assert len(known.pairs.distance) > 1 << 18
    rows, results = random_rows(known), []
    for number in (2, 1):
        torch.set_num_threads(number)
        results.append([pair_vectors(*forth(known)), *pair_vectors_transpose(*back(known, rows, with_box=True))])
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


# What is refused


def changed(given: list[Any], changes: dict[int, Any]) -> list[Any]:
    return [changes.get(place, value) for place, value in enumerate(given)]


def descending(row_ptr: Tensor) -> Tensor:
    return torch.cat([row_ptr[:1], row_ptr[1:-1].flip(0), row_ptr[-1:]])


@needs_native
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda v: {0: v[0].long()}, "positions must be float32 or float64"),
        (lambda v: {0: v[0].T.contiguous().T}, r"positions must be contiguous, of shape \(N, 3\)"),
        (lambda v: {1: v[1].float()}, "box must be of the positions' dtype"),
        (lambda v: {1: v[1][0]}, r"of shape \(num_systems, 3, 3\)"),
        (lambda v: {2: v[2].int()}, r"batch must be int64, contiguous, of shape \(N,\)"),
        (lambda v: {2: v[2] + 1}, "batch holds a system number that is negative or too large"),
        (lambda v: {2: v[2] - 1}, "batch holds a system number that is negative or too large"),
        (lambda v: {3: v[3].long()}, "receiver, sender and row_ptr must be contiguous int32 vectors"),
        (lambda v: {3: v[3][1:]}, "receiver, sender, shift and row_ptr are not of one list"),
        (lambda v: {3: v[3] + 4}, "a receiver or sender is not an atom"),
        (lambda v: {4: v[4].repeat_interleave(2)[::2]}, "must be contiguous int32 vectors"),
        (lambda v: {4: v[4] - 4}, "a receiver or sender is not an atom"),
        (lambda v: {4: v[4] + 4}, "a receiver or sender is not an atom"),
        (lambda v: {5: v[5].long()}, r"shift must be int32, contiguous, of shape \(E, 3\) or \(0, 3\)"),
        (lambda v: {5: v[5][1:]}, "receiver, sender, shift and row_ptr are not of one list"),
        (lambda v: {6: v[6].long()}, "receiver, sender and row_ptr must be contiguous int32 vectors"),
        (lambda v: {6: v[6][:-1]}, "receiver, sender, shift and row_ptr are not of one list"),
        (lambda v: {6: v[6] + 1}, "row_ptr does not fit the number of rows"),
        (lambda v: {6: descending(v[6])}, "row_ptr descends"),
    ],
)
def test_the_kernel_says_what_it_cannot_take(change: Any, text: str) -> None:
    given = forth(example())
    with pytest.raises(RuntimeError, match=f"torchmdnet: .*{text}"):
        pair_vectors(*changed(given, change(given)))


@needs_native
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda v: {0: v[0].long()}, "gradients must be float32 or float64"),
        (lambda v: {0: v[0][1:]}, r"the gradient must be contiguous, of shape \(E, 3\)"),
        (lambda v: {0: v[0].T.contiguous().T}, r"the gradient must be contiguous, of shape \(E, 3\)"),
        (lambda v: {1: v[1] + 1}, "batch holds a system number that is negative or too large"),
        (lambda v: {2: v[2] + 4}, "a receiver or sender is not an atom"),
        (lambda v: {3: v[3][:0]}, "there is no gradient of a box without shifts"),
        (lambda v: {4: descending(v[4])}, "row_ptr descends"),
        (lambda v: {5: 0}, "batch holds a system number that is negative or too large"),
    ],
)
def test_the_adjoint_kernel_says_what_it_cannot_take(change: Any, text: str) -> None:
    known = example()
    given = back(known, random_rows(known), with_box=True)
    with pytest.raises(RuntimeError, match=f"torchmdnet: .*{text}"):
        pair_vectors_transpose(*changed(given, change(given)))
