"""Attention with tabulated factors equals attention with interpolated ones, derivatives included."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from attention_cases import AttentionCase, edge_directions, make_attention_case, quintic_table
from table_cases import edge_arguments, features
from torch import Tensor
from torch.nn.functional import silu

from torchmdnet.graph import System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops import native
from torchmdnet.ops.radial_table import interpolate
from torchmdnet.ops.table_attention import table_attention, table_attention_backward_reference
from torchmdnet.ops.vector_attention import AttentionInput, vector_attention

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
HEADS = [(1, 1), (6, 3), (16, 1), (36, 3), (40, 2), (56, 8), (64, 2), (128, 8)]
"""Channels and heads: alone, narrower than a vector, as wide, and wider with some left over."""


def attend(case: AttentionCase, num_heads: int) -> tuple[Tensor, Tensor]:
    return table_attention(case.table, case.s, inputs=case.inputs, graph=case.graph, num_heads=num_heads)


def bare_arguments(case: AttentionCase, num_heads: int) -> tuple[Any, ...]:
    """Those of the op."""
    return case.table, case.s, *case.inputs, *edge_arguments(case.graph), num_heads


def gradients_for(case: AttentionCase) -> tuple[Tensor, Tensor]:
    """Gradients of the results."""
    return case.inputs.query.sin(), case.inputs.vector.cos()


def test_is_the_sum_over_neighbours() -> None:
    case, heads = make_attention_case(6), 2
    factors = interpolate(case.table, case.s)
    query, key, value, vector, direction = case.inputs
    scalars, vectors = torch.zeros_like(query), torch.zeros_like(vector)
    edges = zip(case.graph.receiver, case.graph.sender, case.graph.pair, direction, strict=True)
    for i, j, pair, u in edges:
        w0, w1, w2, w3 = factors[pair]
        v1, v2, v3 = value[j].chunk(3)
        weight = silu((query[i] * key[j] * w0).view(heads, -1).sum(1)).repeat_interleave(3)
        scalars[i] += weight * v1 * w1
        vectors[i] += vector[j] * (v2 * w2) + u[:, None] * (v3 * w3)
    torch.testing.assert_close(attend(case, heads), (scalars, vectors))


@pytest.mark.parametrize(("channels", "heads"), HEADS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-5)])
def test_equals_attention_with_interpolated_factors(
    channels: int, heads: int, dtype: torch.dtype, tolerance: float
) -> None:
    case = make_attention_case(channels, dtype)
    factors = interpolate(case.table, case.s)
    expected = vector_attention(factors, case.inputs, graph=case.graph, num_heads=heads, activation=silu)
    torch.testing.assert_close(attend(case, heads), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("channels", "heads"), HEADS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 5e-4)])
def test_gradients_equal_those_of_the_reference(
    channels: int, heads: int, dtype: torch.dtype, tolerance: float
) -> None:
    case = make_attention_case(channels, dtype)
    grads = gradients_for(case)
    ours = torch.ops.torchmdnet.table_attention_backward(*grads, *bare_arguments(case, heads))
    edges = edge_arguments(case.graph)
    expected = table_attention_backward_reference(
        case.table,
        case.s,
        inputs=case.inputs,
        edges=edges,
        num_heads=heads,
        grad_scalar=grads[0],
        grad_vector=grads[1],
    )
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


def test_has_first_and_second_derivatives_by_everything() -> None:
    case = make_attention_case(2, num_atoms=2, cutoff=2.0)
    table = quintic_table(4, 2, intervals=1)
    of_pairs = features(len(case.s), 3, seed=9)
    arrays = [value.detach().requires_grad_() for value in (table, 0.2 * case.s, *case.inputs[:4], of_pairs)]

    def run(table: Tensor, s: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
        *atoms, of_pairs = values
        inputs = AttentionInput(*atoms, edge_directions(of_pairs, case.graph))  # type: ignore[call-arg]
        return table_attention(table, s, inputs=inputs, graph=case.graph, num_heads=1)

    assert len(case.s) > 2
    assert torch.autograd.gradcheck(run, arrays)
    assert torch.autograd.gradgradcheck(run, arrays)


def test_scalars_or_vectors_alone_can_be_differentiated() -> None:
    case = make_attention_case()
    query = case.inputs.query.clone().requires_grad_()
    scalar, vector = attend(case._replace(inputs=case.inputs._replace(query=query)), 2)
    assert bool(torch.autograd.grad(scalar.sum(), query, retain_graph=True)[0].any())
    assert not bool(torch.autograd.grad(vector.sum(), query)[0].any())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [-1e4, -90.0, 90.0, 1e4])
def test_large_scores_are_no_trouble(size: float, dtype: torch.dtype) -> None:
    case = make_attention_case(1, dtype, num_atoms=1, cutoff=0.1)
    ones = torch.ones_like(case.inputs.query)
    table = torch.zeros_like(case.table)
    table[:, 0] = 1
    inputs = case.inputs._replace(query=size * ones, key=ones, value=torch.ones_like(case.inputs.value))
    case = case._replace(table=table, inputs=inputs)
    weight, _ = attend(case, 1)
    torch.testing.assert_close(weight, silu(size * ones), atol=1e-30, rtol=1e-6)
    results = torch.ops.torchmdnet.table_attention_backward(ones, case.inputs.vector, *bare_arguments(case, 1))
    assert all(bool(result.isfinite().all()) for result in results)


def test_leaves_padding_out() -> None:
    results = []
    for padding in (False, True):
        case = make_attention_case(padding=padding)
        arrays = [value.clone().requires_grad_() for value in (case.s, *case.inputs)]
        inputs = AttentionInput(*arrays[1:])  # type: ignore[call-arg]
        scalar, vector = table_attention(case.table, arrays[0], inputs=inputs, graph=case.graph, num_heads=2)
        first = torch.autograd.grad(scalar.sin().sum() + vector.sin().sum(), arrays, create_graph=True)
        second = torch.autograd.grad(sum(gradient.sin().sum() for gradient in first), arrays)
        results.append((scalar, vector, *first, *second))
    for plain, padded in zip(*results, strict=True):
        torch.testing.assert_close(padded[: len(plain)], plain)
        assert not bool(padded[len(plain) :].any())


@pytest.mark.parametrize(("atoms", "channels"), [(0, 4), (1, 0)])
def test_nothing_gives_nothing(atoms: int, channels: int) -> None:
    zeros = torch.zeros(atoms, dtype=torch.long)
    system = System(z=zeros, pos=torch.zeros(atoms, 3), batch=zeros, num_systems=1)
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=2.0, loop=True)
    rows, edges = torch.zeros(atoms, channels, requires_grad=True), len(graph.sender)
    inputs = AttentionInput(
        rows, rows, torch.zeros(atoms, 3 * channels), torch.zeros(atoms, 3, channels), torch.zeros(edges, 3)
    )
    table, s = torch.zeros(2, 6, 4, channels), torch.zeros(len(graph.pair_distance))
    scalar, vector = table_attention(table, s, inputs=inputs, graph=graph, num_heads=2)
    assert (scalar.shape, vector.shape) == ((atoms, channels), (atoms, 3, channels))
    (scalar.sum() + vector.sum()).backward()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    case = make_attention_case(96, torch.float32, num_atoms=40, cutoff=1.0)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            arguments = bare_arguments(case, 4)
            gradients = torch.ops.torchmdnet.table_attention_backward(*gradients_for(case), *arguments)
            results.append((*attend(case, 4), *gradients))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


def test_takes_inputs_in_any_memory_order() -> None:
    case = make_attention_case()
    strided = [value.transpose(0, -1).contiguous().transpose(0, -1) for value in case.inputs]
    assert not any(value.is_contiguous() for value in strided)
    inputs = AttentionInput(*strided)  # type: ignore[call-arg]
    torch.testing.assert_close(attend(case._replace(inputs=inputs), 2), attend(case, 2))


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    case = make_attention_case()
    arguments = bare_arguments(case, 3)
    torch.library.opcheck(torch.ops.torchmdnet.table_attention.default, arguments)
    grads = gradients_for(case)
    torch.library.opcheck(torch.ops.torchmdnet.table_attention_backward.default, (*grads, *arguments))


@pytest.mark.parametrize(
    ("field", "change", "text"),
    [
        ("query", lambda t: t[:, :5], r"want key \(7, 5\), not \(7, 6\)"),
        ("key", lambda t: t[:-1], r"want key \(7, 6\), not \(6, 6\)"),
        ("value", lambda t: t[:, :6], r"want value \(7, 18\), not \(7, 6\)"),
        ("vector", lambda t: t.transpose(0, 1), r"want vector \(7, 3, 6\), not \(3, 7, 6\)"),
        ("direction", lambda t: t[:, :2], r"want direction \(\d+, 3\), not \(\d+, 2\)"),
    ],
)
def test_a_wrong_shape_is_told(field: str, change: Callable[[Tensor], Tensor], text: str) -> None:
    case = make_attention_case()
    inputs = case.inputs._replace(**{field: change(getattr(case.inputs, field))})
    with pytest.raises(ValueError, match=text):
        attend(case._replace(inputs=inputs), 2)


def test_a_table_of_other_columns_is_told() -> None:
    case = make_attention_case()
    with pytest.raises(ValueError, match=r"want table \(M, 6, 4, 6\) with M >= 1 and s \(\d+,\), not \(6, 4, 4, 6\)"):
        attend(case._replace(table=case.table[:, :4]), 2)


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="multiple of num_heads; got 6 channels and 4 heads"):
        attend(make_attention_case(), 4)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "arrays must be contiguous and of one type"),
        (0, lambda t: t[:, :4].contiguous(), r"want table \(M, 6, 4, C\)"),
        (1, lambda t: t[:, None], r"want table .* s \(P,\)"),
        (4, lambda t: t[:, :6].contiguous(), r"want query and key \(N, C\)"),
        (6, lambda t: t[:-1], r"direction \(E, 3\)"),
        (8, lambda t: t + 100, "a sender is not an atom"),
        (9, lambda t: t.flip(0), "not of one graph"),
        (9, lambda t: t.long(), "must be contiguous int32 vectors"),
        (10, lambda t: t + 1, "an edge's pair has no row"),
        (11, lambda _: 4, "multiple of num_heads"),
        (11, lambda _: 0, "multiple of num_heads"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(
    position: int, change: Callable[[Any], Any], text: str
) -> None:
    case = make_attention_case()
    arguments = list(bare_arguments(case, 2))
    arguments[position] = change(arguments[position])
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_attention(*arguments)
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_attention_backward(*gradients_for(case), *arguments)


@needs_native
def test_the_bare_derivative_refuses_gradients_of_other_shapes() -> None:
    case = make_attention_case()
    scalar, vector = gradients_for(case)
    with pytest.raises(RuntimeError, match=r"want gradients \(N, C\) and \(N, 3, C\)"):
        torch.ops.torchmdnet.table_attention_backward(scalar, vector[:, :2].contiguous(), *bare_arguments(case, 2))
