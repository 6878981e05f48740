"""Small native passes over edges, pairs and atoms equal what PyTorch's operations give, derivatives included."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from atom_pass_cases import edge_calls, layer_calls
from tensor_op_cases import Calls, results
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import native
from torchmdnet.ops.pair_distances import pair_distances
from torchmdnet.ops.sender_directions import sender_directions
from torchmdnet.ops.table_coordinate import table_coordinate
from torchmdnet.ops.vector_lengths import vector_lengths

NAMES = ("sender_directions", "table_coordinate", "pair_distances", "vector_lengths")
OPS = tuple(name + ending for name in NAMES for ending in ("", "_backward"))


def calls_of(num_rows: int, dtype: torch.dtype = torch.float64) -> Calls:
    calls = edge_calls(num_rows, dtype) | layer_calls(num_rows, 5, dtype)
    return {name: calls[name] for name in OPS}


@pytest.mark.parametrize("num_rows", [0, 1, 5, 700])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_passes_equal_their_references(num_rows: int, dtype: torch.dtype, tolerance: float) -> None:
    calls = calls_of(num_rows, dtype)
    ours = results(torch.ops.torchmdnet, calls)
    for name, lists in calls.items():
        theirs = [native.REFERENCES[name](*arguments) for arguments in lists]
        torch.testing.assert_close(ours[name], theirs, atol=tolerance, rtol=100 * tolerance)


def functions() -> dict[str, tuple[Callable[[Tensor], Tensor], Tensor]]:
    """Each function, and where it is smooth."""
    calls = calls_of(6)
    vector = calls["sender_directions"][0][0][[1, 2, 4]]
    distance, first, pair = calls["pair_distances"][0]
    return {
        "sender_directions": (sender_directions, vector),
        "table_coordinate": (lambda d: table_coordinate(d, rate=0.7, end=0.03, factor=9.0), distance.abs()),
        "pair_distances": (lambda d: pair_distances(d, first, pair), distance),
        "vector_lengths": (vector_lengths, layer_calls(2, 3, torch.float64)["vector_lengths"][0][0]),
    }


@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivatives_are_right(name: str) -> None:
    function, at = functions()[name]
    assert gradcheck(function, (at.clone().requires_grad_(),))
    assert gradgradcheck(function, (at.clone().requires_grad_(),))


@pytest.mark.parametrize("name", OPS)
def test_ops_are_registered_as_pytorch_wants_them(name: str) -> None:
    arguments: list[Any] = list(calls_of(4)[name][0])
    arguments[0] = arguments[0].clone().requires_grad_()
    torch.library.opcheck(getattr(torch.ops.torchmdnet, name).default, tuple(arguments))


@pytest.mark.parametrize(("function", "shape"), [(sender_directions, (2, 3)), (vector_lengths, (2, 3, 4))])
def test_what_has_no_length_has_no_derivatives(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
    at = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    value = function(at)
    (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), at)
    assert not any(part.any() for part in (value, slope, curvature))


def test_a_pair_has_the_distance_of_its_first_edge_and_alone_moves_it() -> None:
    distance = torch.tensor([1.0, 2.0, 2.0, 1.0], dtype=torch.float64, requires_grad=True)
    first, pair = (torch.tensor(rows, dtype=torch.int32) for rows in ([0, 1], [0, 1, 1, 0]))
    found = pair_distances(distance, first, pair)
    assert found.tolist() == [1.0, 2.0]
    (grad,) = torch.autograd.grad(found, distance, torch.tensor([3.0, 5.0], dtype=torch.float64))
    assert grad.tolist() == [3.0, 5.0, 0.0, 0.0]


def test_lengths_of_lower_precision_are_those_of_the_reference() -> None:
    vectors = layer_calls(3, 4, torch.float32)["vector_lengths"][0][0].to(torch.bfloat16)
    assert torch.equal(vector_lengths(vectors), native.REFERENCES["vector_lengths"](vectors))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "directions": (lambda: sender_directions(torch.zeros(4, 2)), "want vectors (E, 3), not (4, 2)"),
    "lengths": (lambda: vector_lengths(torch.zeros(4, 2, 3)), "want vectors (N, 3, C), not (4, 2, 3)"),
    "coordinates": (
        lambda: table_coordinate(torch.zeros(4, 2), rate=1.0, end=0.0, factor=1.0),
        "want distances (P,), not (4, 2)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_refuses_wrong_shapes(wrong: str) -> None:
    call, message = WRONG[wrong]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
def test_refuses_rows_that_there_are_not() -> None:
    index = torch.tensor([7], dtype=torch.int32)
    with pytest.raises(RuntimeError, match="first names an edge that there is not"):
        torch.ops.torchmdnet.pair_distances(torch.zeros(1), index, torch.zeros(1, dtype=torch.int32))
    with pytest.raises(RuntimeError, match="pair names a pair that there is not"):
        torch.ops.torchmdnet.pair_distances_backward(torch.zeros(1), torch.zeros(1, dtype=torch.int32), index)
