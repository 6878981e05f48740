"""The search for pairs is one op: what its kernel finds is what plain PyTorch finds, at any number of threads."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pair_lists import TOLERANCE, UPPER, arguments, assert_same_pairs, listed, shared_cell, some_systems
from random_systems import CELLS, dense_system, make_system, periodic_example
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.graph import System
from torchmdnet.ops import native
from torchmdnet.ops.neighbor_pairs import FAULTS, NeighborPairs, list_pairs, neighbor_pairs_reference

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
OP = torch.ops.torchmdnet.neighbor_pairs.default


def reference(system: System, **options: Any) -> NeighborPairs:
    return NeighborPairs(*neighbor_pairs_reference(*arguments(system, **options)))


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


# What is found


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_equals_its_reference(kind: str, half: bool, dtype: torch.dtype) -> None:
    for number, system in enumerate(some_systems(kind, dtype)):
        options = {"lower": 0.4 * (number % 2), "loop": number % 3 == 0, "half": half}
        ours, theirs = listed(system, **options).pairs, reference(shared_cell(system), **options)
        tolerance = TOLERANCE[dtype]
        assert_same_pairs(ours, theirs, tolerance, cutoffs=(options["lower"], UPPER), half=half)
        assert [part.dtype for part in ours] == [part.dtype for part in theirs]


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, False)])
def test_equals_its_reference_in_a_system_of_many_bins(pbc: tuple[bool, bool, bool], loop: bool) -> None:
    system = dense_system(2, 900, density=0.1, pbc=pbc)
    ours, theirs = listed(system, loop=loop).pairs, reference(system, loop=loop)
    assert_same_pairs(ours, theirs, 1e-11, cutoffs=(0.0, UPPER))
    assert torch.equal(ours.row_ptr, theirs.row_ptr)
    assert torch.equal(ours.status, theirs.status)


@pytest.mark.parametrize("spare", [0, 1, 9])
@pytest.mark.parametrize("half", [False, True])
def test_a_fixed_number_of_rows_equals_its_reference(half: bool, spare: int) -> None:
    system = periodic_example()
    options = {"loop": True, "half": half, "capacity": len(listed(system, loop=True, half=half).pairs.distance) + spare}
    ours, theirs = listed(system, **options).pairs, reference(system, **options)
    assert_same_pairs(ours, theirs, 1e-11, cutoffs=(0.0, UPPER), half=half)
    num = options["capacity"] - spare
    for field in NeighborPairs._fields[:5]:
        assert torch.equal(getattr(ours, field)[num:], getattr(theirs, field)[num:]), field
    assert len(ours.distance) == len(theirs.distance) == num + spare
    assert torch.equal(ours.status, theirs.status)


@pytest.mark.parametrize("function", [list_pairs, neighbor_pairs_reference])
@pytest.mark.parametrize("with_box", [False, True])
@pytest.mark.parametrize("num_atoms", [0, 1, 2])
@pytest.mark.parametrize("capacity", [-1, 4])
def test_few_atoms_have_no_pairs(function: Any, with_box: bool, num_atoms: int, capacity: int) -> None:
    pos = 9.0 * torch.arange(3 * num_atoms).reshape(-1, 3).float()
    system = make_system(pos, box=torch.eye(3)[None] * 100 if with_box else None)
    pairs = NeighborPairs(*function(*arguments(system, capacity=capacity)))
    num_rows = max(capacity, 0)
    assert pairs.row_ptr.tolist() == [0] * (num_atoms + 1)
    assert pairs.vector.shape == (num_rows, 3)
    assert pairs.shift.shape == (num_rows if with_box else 0, 3)
    assert pairs.receiver.tolist() == pairs.sender.tolist() == [max(num_atoms - 1, 0)] * num_rows
    assert pairs.status.tolist() == [0, 0]


def test_no_atoms_may_be_of_no_systems() -> None:
    pairs = listed(make_system(torch.zeros((0, 3)), num=0)).pairs
    assert pairs.row_ptr.tolist() == [0]


@needs_native
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_two_threads_find_the_bits_of_one(half: bool, dtype: torch.dtype) -> None:
    system = dense_system(3, 20_000, density=0.1, pbc=(True, True, False), dtype=dtype)
    both = listed(system, upper=2.0, half=half).pairs
    torch.set_num_threads(1)
    for one, two in zip(listed(system, upper=2.0, half=half).pairs, both, strict=True):
        assert torch.equal(one, two)


# What PyTorch is told


@pytest.mark.parametrize("capacity", [-1, 300])
@pytest.mark.parametrize("wants_gradient", [False, True])
def test_is_a_whole_op(capacity: int, wants_gradient: bool) -> None:
    given = arguments(periodic_example(), loop=True, capacity=capacity)
    given[0], given[2] = (given[k].clone().requires_grad_(wants_gradient) for k in (0, 2))
    torch.library.opcheck(OP, tuple(given))


@pytest.mark.parametrize("capacity", [-1, 12])
def test_is_a_whole_op_where_nothing_is_periodic(capacity: int) -> None:
    pos = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], requires_grad=True)
    torch.library.opcheck(OP, tuple(arguments(make_system(pos), capacity=capacity)))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("capacity", [-1, 50])
def test_vectors_and_distances_differentiate_twice(half: bool, capacity: int) -> None:
    system = periodic_example(num_atoms=3)
    given = arguments(system, upper=4.1, loop=True, half=half, capacity=capacity)
    assert len(list_pairs(*given).distance) > 12

    def geometry(pos: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        pairs = list_pairs(pos, given[1], box, *given[3:])
        return pairs.vector, pairs.distance

    inputs = tuple(given[k].clone().requires_grad_() for k in (0, 2))
    assert gradcheck(geometry, inputs)
    assert gradgradcheck(geometry, inputs)


# What is refused


def bad(**changes: Any) -> list[Any]:
    """Arguments, some of them changed by their place."""
    given = arguments(periodic_example(torch.float32))
    for place, value in changes.items():
        given[int(place.removeprefix("_"))] = value
    return given


@needs_native
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"_0": torch.zeros((12, 3), dtype=torch.int64)}, "positions must be float32 or float64"),
        ({"_0": torch.zeros((3, 12)).T}, r"positions must be contiguous, of shape \(N, 3\)"),
        ({"_0": torch.zeros(12)}, r"positions must be contiguous, of shape \(N, 3\)"),
        ({"_1": torch.zeros(12, dtype=torch.int32)}, r"batch must be int64, contiguous, of shape \(N,\)"),
        ({"_1": torch.zeros(24, dtype=torch.int64)[::2]}, "batch must be int64, contiguous"),
        ({"_1": torch.zeros(11, dtype=torch.int64)}, "batch must be int64, contiguous"),
        ({"_2": torch.eye(3, dtype=torch.float64)[None]}, "box must be of the positions' dtype"),
        ({"_2": torch.eye(3)}, r"of shape \(num_systems, 3, 3\) or \(0, 3, 3\)"),
        ({"_2": torch.eye(3).repeat(2, 1, 1)}, r"of shape \(num_systems, 3, 3\) or \(0, 3, 3\)"),
        ({"_3": torch.ones((1, 3))}, r"periodic must be bool, contiguous, of shape \(num_systems, 3\)"),
        ({"_3": torch.ones((2, 3), dtype=torch.bool)}, "periodic must be bool"),
        ({"_4": 0}, "num_systems must be positive"),
        ({"_5": 3.0}, "want finite cutoffs, 0 <= cutoff_lower < cutoff_upper"),
        ({"_5": -1.0}, "want finite cutoffs"),
        ({"_6": float("inf")}, "want finite cutoffs"),
        ({"_6": float("nan")}, "want finite cutoffs"),
    ],
)
def test_the_kernel_says_what_it_cannot_take(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(RuntimeError, match=f"torchmdnet: .*{text}"):
        list_pairs(*bad(**changes))


@pytest.mark.parametrize("function", [list_pairs, neighbor_pairs_reference])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"_0": torch.full((12, 3), torch.nan)}, FAULTS[1]),
        ({"_0": torch.full((12, 3), torch.inf)}, FAULTS[1]),
        ({"_1": torch.ones(12, dtype=torch.int64)}, FAULTS[2]),
        ({"_1": -torch.ones(12, dtype=torch.int64)}, FAULTS[2]),
        ({"_2": torch.ones((1, 3, 3))}, "singular"),
        ({"_2": torch.full((1, 3, 3), torch.nan)}, "NaN or infinite"),
        ({"_2": torch.zeros((1, 3, 3)), "_3": torch.ones((1, 3), dtype=torch.bool)}, "all zeros"),
        ({"_9": 7}, "neighbour pairs were found, more than the capacity of 7: give a larger capacity"),
    ],
)
def test_says_what_is_wrong(function: Any, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(RuntimeError, match=f"torchmdnet: .*{text}"):
        function(*bad(**changes))


@needs_native
def test_refuses_an_atom_as_far_as_the_moon() -> None:
    pos = torch.tensor([[0.0, 0, 0], [1e10, 0, 0]], dtype=torch.float64)
    system = make_system(pos, box=torch.eye(3, dtype=torch.float64)[None])
    with pytest.raises(RuntimeError, match=r"an atom is more than 2\^30 cells away from the first atom of its system"):
        listed(system)
