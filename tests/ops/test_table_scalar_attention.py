"""Attention of scalars with tabulated factors equals attention with interpolated ones, derivatives included."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from attention_cases import quintic_table
from table_cases import edge_arguments, features, make_table_case, padded_case
from torch import Tensor
from torch.nn.functional import silu

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops import native
from torchmdnet.ops.radial_table import interpolate
from torchmdnet.ops.scalar_attention import ScalarAttentionInput, scalar_attention
from torchmdnet.ops.table_scalar_attention import table_scalar_attention, table_scalar_attention_backward_reference

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
HEADS = [(1, 1), (6, 3), (16, 1), (36, 3), (40, 2), (56, 8), (64, 2), (128, 8)]
"""Channels and heads: alone, narrower than a vector, as wide, and wider with some left over."""


class Case(NamedTuple):
    """What the attention reads."""

    graph: Graph
    table: Tensor
    s: Tensor
    inputs: ScalarAttentionInput


def make_case(
    channels: int = 6,
    dtype: torch.dtype = torch.float64,
    *,
    num_atoms: int = 7,
    cutoff: float = 2.5,
    padding: bool = False,
) -> Case:
    """A crystal so small that atoms see their own images; some coordinates lie outside the table."""
    case = make_table_case(num_atoms, dtype=dtype, cutoff=cutoff)
    if padding:
        case = padded_case(case, s=1.3)
    query, key, value = (features(num_atoms, channels, seed=seed, dtype=dtype) for seed in range(3))
    inputs = ScalarAttentionInput(query, key, value)
    return Case(case.graph, quintic_table(2, channels, dtype=dtype), case.s, inputs)


def attend(case: Case, num_heads: int) -> Tensor:
    return table_scalar_attention(case.table, case.s, inputs=case.inputs, graph=case.graph, num_heads=num_heads)


def bare_arguments(case: Case, num_heads: int) -> tuple[Any, ...]:
    """Those of the op."""
    return case.table, case.s, *case.inputs, *edge_arguments(case.graph), num_heads


def bare_gradients(case: Case, num_heads: int, *, grad: Tensor | None = None) -> tuple[Tensor, ...]:
    """Those by s, query, key and value."""
    grad = case.inputs.query.sin() if grad is None else grad
    result: tuple[Tensor, ...] = torch.ops.torchmdnet.table_scalar_attention_backward(
        grad, *bare_arguments(case, num_heads)
    )
    return result


def test_is_the_sum_over_neighbours() -> None:
    case, heads = make_case(6), 2
    factors = interpolate(case.table, case.s)
    query, key, value = case.inputs
    expected = torch.zeros_like(query)
    for i, j, pair in zip(case.graph.receiver, case.graph.sender, case.graph.pair, strict=True):
        of_key, of_value = factors[pair]
        weight = silu((query[i] * key[j] * of_key).view(heads, -1).sum(1)).repeat_interleave(3)
        expected[i] += weight * value[j] * of_value
    torch.testing.assert_close(attend(case, heads), expected)


@pytest.mark.parametrize(("channels", "heads"), HEADS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-5)])
def test_equals_attention_with_interpolated_factors(
    channels: int, heads: int, dtype: torch.dtype, tolerance: float
) -> None:
    case = make_case(channels, dtype)
    factors = interpolate(case.table, case.s)
    expected = scalar_attention(factors, case.inputs, graph=case.graph, num_heads=heads, activation=silu)
    torch.testing.assert_close(attend(case, heads), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("channels", "heads"), HEADS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 5e-4)])
def test_gradients_equal_those_of_the_reference(
    channels: int, heads: int, dtype: torch.dtype, tolerance: float
) -> None:
    case = make_case(channels, dtype)
    expected = table_scalar_attention_backward_reference(
        case.inputs.query.sin(),
        case.table,
        case.s,
        inputs=case.inputs,
        edges=edge_arguments(case.graph),
        num_heads=heads,
    )
    torch.testing.assert_close(bare_gradients(case, heads), expected, rtol=tolerance, atol=tolerance)


def test_has_first_and_second_derivatives_by_everything() -> None:
    case = make_case(2, num_atoms=2, cutoff=2.0)
    table = quintic_table(2, 2, intervals=1)
    arrays = [value.detach().requires_grad_() for value in (table, 0.2 * case.s, *case.inputs)]

    def run(table: Tensor, s: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        inputs = ScalarAttentionInput(query, key, value)
        return table_scalar_attention(table, s, inputs=inputs, graph=case.graph, num_heads=1)

    assert len(case.s) > 2
    assert torch.autograd.gradcheck(run, arrays)
    assert torch.autograd.gradgradcheck(run, arrays)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [-1e4, -90.0, 90.0, 1e4])
def test_large_scores_are_no_trouble(size: float, dtype: torch.dtype) -> None:
    case = make_case(1, dtype, num_atoms=1, cutoff=0.1)
    ones = torch.ones_like(case.inputs.query)
    table = torch.zeros_like(case.table)
    table[:, 0] = 1
    case = case._replace(table=table, inputs=ScalarAttentionInput(size * ones, ones, ones))
    torch.testing.assert_close(attend(case, 1), silu(size * ones), atol=1e-30, rtol=1e-6)
    assert all(bool(result.isfinite().all()) for result in bare_gradients(case, 1, grad=ones))


def test_leaves_padding_out() -> None:
    results = []
    for padding in (False, True):
        case = make_case(padding=padding)
        arrays = [value.clone().requires_grad_() for value in (case.s, *case.inputs)]
        inputs = ScalarAttentionInput(*arrays[1:])
        result = table_scalar_attention(case.table, arrays[0], inputs=inputs, graph=case.graph, num_heads=2)
        first = torch.autograd.grad(result.sin().sum(), arrays, create_graph=True)
        second = torch.autograd.grad(sum(gradient.sin().sum() for gradient in first), arrays)
        results.append((result, *first, *second))
    for plain, padded in zip(*results, strict=True):
        torch.testing.assert_close(padded[: len(plain)], plain)
        assert not bool(padded[len(plain) :].any())


@pytest.mark.parametrize(("atoms", "channels", "loop"), [(0, 4, True), (1, 0, True), (3, 4, False)])
def test_nothing_gives_nothing(atoms: int, channels: int, loop: bool) -> None:
    zeros, pos = torch.zeros(atoms, dtype=torch.long), 100.0 * torch.arange(3 * atoms).view(atoms, 3)
    system = System(z=zeros, pos=pos, batch=zeros, num_systems=1)
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=2.0, loop=loop)
    rows = torch.ones(atoms, channels, requires_grad=True)
    table, s = torch.ones(2, 6, 2, channels), torch.zeros(len(graph.pair_distance))
    inputs = ScalarAttentionInput(rows, rows, rows)
    result = table_scalar_attention(table, s, inputs=inputs, graph=graph, num_heads=2)
    assert torch.equal(result, torch.zeros(atoms, channels))
    (gradient,) = torch.autograd.grad(result.sum(), rows)
    assert torch.equal(gradient, torch.zeros(atoms, channels))


def test_any_number_of_threads_gives_the_same_bits() -> None:
    case = make_case(96, torch.float32, num_atoms=40, cutoff=1.0)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append((attend(case, 4), *bare_gradients(case, 4)))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


def test_takes_inputs_in_any_memory_order() -> None:
    case = make_case()
    strided = [value.t().contiguous().t() for value in case.inputs]
    assert not any(value.is_contiguous() for value in strided)
    torch.testing.assert_close(attend(case._replace(inputs=ScalarAttentionInput(*strided)), 2), attend(case, 2))


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    case = make_case()
    arguments = bare_arguments(case, 3)
    torch.library.opcheck(torch.ops.torchmdnet.table_scalar_attention.default, arguments)
    grad = case.inputs.query.sin()
    torch.library.opcheck(torch.ops.torchmdnet.table_scalar_attention_backward.default, (grad, *arguments))


@pytest.mark.parametrize(
    ("field", "change", "text"),
    [
        ("query", lambda t: t[:, :5], r"want key \(7, 5\), not \(7, 6\)"),
        ("key", lambda t: t[:-1], r"want key \(7, 6\), not \(6, 6\)"),
        ("value", lambda t: t[:, :4], r"want value \(7, 6\), not \(7, 4\)"),
    ],
)
def test_a_wrong_shape_is_told(field: str, change: Callable[[Tensor], Tensor], text: str) -> None:
    case = make_case()
    inputs = case.inputs._replace(**{field: change(getattr(case.inputs, field))})
    with pytest.raises(ValueError, match=text):
        attend(case._replace(inputs=inputs), 2)


def test_a_table_of_other_columns_is_told() -> None:
    case = make_case()
    with pytest.raises(ValueError, match=r"want table \(M, 6, 2, 6\) with M >= 1 and s \(\d+,\), not \(6, 4, 2, 6\)"):
        attend(case._replace(table=case.table[:, :4]), 2)


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="multiple of num_heads; got 6 channels and 4 heads"):
        attend(make_case(), 4)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "arrays must be contiguous and of one type"),
        (0, lambda t: t[:, :4].contiguous(), r"want table \(M, 6, 2, C\)"),
        (1, lambda t: t[:, None], r"want table .* s \(P,\)"),
        (2, lambda t: t[0].contiguous(), r"want query, key and value \(N, C\)"),
        (3, lambda t: t[:-1], r"want query, key and value \(N, C\)"),
        (4, lambda t: t[:, :4].contiguous(), r"want query, key and value \(N, C\)"),
        (6, lambda t: t + 100, "a sender is not an atom"),
        (7, lambda t: t.flip(0), "not of one graph"),
        (7, lambda t: t.long(), "must be contiguous int32 vectors"),
        (8, lambda t: t + 1, "an edge's pair has no row"),
        (9, lambda _: 4, "multiple of num_heads"),
        (9, lambda _: 0, "multiple of num_heads"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(
    position: int, change: Callable[[Any], Any], text: str
) -> None:
    case = make_case()
    arguments = list(bare_arguments(case, 2))
    arguments[position] = change(arguments[position])
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_scalar_attention(*arguments)
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_scalar_attention_backward(case.inputs.query.sin(), *arguments)


@needs_native
def test_the_bare_derivative_refuses_a_gradient_of_another_shape() -> None:
    case = make_case()
    with pytest.raises(RuntimeError, match=r"want a contiguous gradient \(N, C\)"):
        bare_gradients(case, 2, grad=case.inputs.query[:, :4].contiguous())
