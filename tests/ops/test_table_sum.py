"""Sums over neighbours with tabulated weights equal sums with interpolated weights, derivatives included."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from attention_cases import quintic_table
from table_cases import edge_arguments, features, make_table_case, padded_case
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.radial_table import interpolate
from torchmdnet.ops.table_sum import table_sum, table_sum_backward_reference

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")

Case = tuple[Tensor, Tensor, Tensor, Graph]
"""Table, coordinates, features and graph."""


def make_case(
    channels: int = 5, dtype: torch.dtype = torch.float64, *, padding: bool = False, num_atoms: int = 7
) -> Case:
    case = make_table_case(num_atoms, dtype=dtype)
    case = padded_case(case, s=1.3) if padding else case
    return quintic_table(channels, dtype=dtype), case.s, features(num_atoms, channels, seed=1, dtype=dtype), case.graph


def bare_arguments(case: Case) -> list[Any]:
    """Those of the op."""
    return [*case[:3], *edge_arguments(case[3])]


@pytest.mark.parametrize("channels", [1, 7, 16, 37])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_is_the_sum_over_neighbours(channels: int, dtype: torch.dtype, tolerance: float) -> None:
    table, s, x, graph = make_case(channels, dtype)
    weights, expected = interpolate(table, s), torch.zeros_like(x)
    for i, j, pair in zip(graph.receiver, graph.sender, graph.pair, strict=True):
        expected[i] += weights[pair] * x[j]
    torch.testing.assert_close(table_sum(table, s, x=x, graph=graph), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("channels", [1, 8, 37])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_gradients_equal_those_of_the_reference(channels: int, dtype: torch.dtype, tolerance: float) -> None:
    case = make_case(channels, dtype)
    arguments = (case[2].cos(), *bare_arguments(case))
    ours = torch.ops.torchmdnet.table_sum_backward(*arguments)
    torch.testing.assert_close(ours, table_sum_backward_reference(*arguments), rtol=tolerance, atol=tolerance)


def test_has_first_and_second_derivatives_by_table_coordinate_and_features() -> None:
    table, s, x, graph = make_case(1, num_atoms=2)
    inputs = tuple(value.requires_grad_() for value in (table, s, x))
    assert torch.autograd.gradcheck(lambda t, s, x: table_sum(t, s, x=x, graph=graph), inputs)
    assert torch.autograd.gradgradcheck(lambda t, s, x: table_sum(t, s, x=x, graph=graph), inputs)


def test_leaves_padding_out() -> None:
    results = []
    for padding in (False, True):
        table, s, x, graph = make_case(padding=padding)
        arrays = [value.clone().requires_grad_() for value in (s, x)]
        value = table_sum(table, arrays[0], x=arrays[1], graph=graph)
        first = torch.autograd.grad(value.sin().sum(), arrays, create_graph=True)
        second = torch.autograd.grad(sum(gradient.sin().sum() for gradient in first), arrays)
        results.append((value, *first, *second))
    for plain, padded in zip(*results, strict=True):
        torch.testing.assert_close(padded[: len(plain)], plain)
        assert not bool(padded[len(plain) :].any())


def test_any_number_of_threads_gives_the_same_bits() -> None:
    table, s, x, graph = make_case(96, torch.float32)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(torch.ops.torchmdnet.table_sum_backward(x.cos(), table, s, x, *edge_arguments(graph)))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    arguments = bare_arguments(make_case())
    torch.library.opcheck(torch.ops.torchmdnet.table_sum.default, tuple(arguments))
    torch.library.opcheck(torch.ops.torchmdnet.table_sum_backward.default, (arguments[2].cos(), *arguments))


def test_a_wrong_shape_is_told() -> None:
    table, s, x, graph = make_case()
    with pytest.raises(ValueError, match=r"want x \(N, C\) with N = 7, not \(6, 5\)"):
        table_sum(table, s, x=x[:-1], graph=graph)
    with pytest.raises(ValueError, match=r"want table \(M, 6, 4\) with M >= 1 and s \(\d+,\), not \(6, 6, 5\)"):
        table_sum(table, s, x=x[:, :4], graph=graph)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "arrays must be contiguous and of one type"),
        (0, lambda t: t[:, :4].contiguous(), r"want table \(M, 6, C\)"),
        (2, lambda t: t[0], r"x must have shape \(N, C\)"),
        (4, lambda t: t + 100, "a sender is not an atom"),
        (5, lambda t: t.flip(0), "not of one graph"),
        (6, lambda t: t + 1, "an edge's pair has no row"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(
    position: int, change: Callable[[Tensor], Tensor], text: str
) -> None:
    arguments = bare_arguments(make_case())
    grad = arguments[2].cos()
    arguments[position] = change(arguments[position])
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_sum(*arguments)
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_sum_backward(grad, *arguments)
