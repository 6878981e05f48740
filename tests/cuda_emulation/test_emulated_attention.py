"""The CUDA ops of attention and sums that read tables, launchers and all, run on the CPU: the same as those for it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from attention_graphs import AttentionGraph, attention_graph
from random_systems import dense_system, make_system
from torch import Tensor
from torch.nn.functional import silu

from torchmdnet.ops import native, table_scalar_attention  # noqa: F401  defines the references
from torchmdnet.ops.table_attention import table_attention_backward_reference, table_attention_reference
from torchmdnet.ops.table_sum import table_sum_backward_reference, table_sum_reference
from torchmdnet.ops.vector_attention import AttentionInput


def attention(table: Tensor, s: Tensor, *others: Any, **grads: Tensor) -> Any:
    """The reference, or that of the derivative if there are gradients, with the arguments of the op."""
    *arrays, receiver, sender, row_ptr, pair, num_heads = others
    reference: Callable[..., Any] = table_attention_backward_reference if grads else table_attention_reference
    edges = (receiver, sender, row_ptr, pair)
    return reference(table, s, inputs=AttentionInput(*arrays), edges=edges, num_heads=num_heads, **grads)


REFERENCES: dict[str, Callable[..., Any]] = {
    "table_attention": attention,
    "table_attention_backward": lambda scalar, vector, *others: attention(
        *others, grad_scalar=scalar, grad_vector=vector
    ),
    "table_scalar_attention": native.REFERENCES["table_scalar_attention"],
    "table_scalar_attention_backward": native.REFERENCES["table_scalar_attention_backward"],
    "table_sum": table_sum_reference,
    "table_sum_backward": table_sum_backward_reference,
}
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}
HEADS = [(1, 1), (6, 3), (16, 1), (36, 3), (40, 2), (56, 8), (64, 2), (66, 66), (68, 1), (128, 8), (136, 1), (264, 2)]
"""Channels and heads: alone, narrower than a warp, with lanes left over, one a warp, and wider than a warp."""


def results(ops: Any, case: AttentionGraph) -> dict[str, tuple[Tensor, ...]]:
    """What each op returns, as a tuple."""
    found = {name: getattr(ops, name)(*arguments) for name, arguments in case.calls().items()}
    return {name: value if isinstance(value, tuple) else (value,) for name, value in found.items()}


def assert_equals_reference(ops: Any, case: AttentionGraph) -> None:
    """All ops give what plain PyTorch gives."""
    tolerance = TOLERANCE[case.s.dtype]
    for name, found in results(ops, case).items():
        expected = REFERENCES[name](*case.calls()[name])
        wanted = expected if isinstance(expected, tuple) else (expected,)
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def assert_same_bits(kernels: ModuleType, ops: Any, case: AttentionGraph, seeds: tuple[int, ...]) -> None:
    """No order of threads and blocks changes a bit."""
    once = results(ops, case)
    for seed in seeds:
        kernels.set_seed(seed)
        for name, found in results(ops, case).items():
            assert all(torch.equal(one, other) for one, other in zip(once[name], found, strict=True)), name


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("channels", "heads"), HEADS)
def test_any_number_of_channels_and_heads_gives_what_the_reference_gives(
    ops: Any, channels: int, heads: int, dtype: torch.dtype
) -> None:
    assert_equals_reference(ops, attention_graph(channels=channels, num_heads=heads, dtype=dtype))


def many_atoms(channels: int, heads: int, dtype: torch.dtype = torch.float64) -> AttentionGraph:
    """More atoms than the ops give several warps each, with few neighbours."""
    system = dense_system(1, 1300, density=0.01, pbc=(True, True, True))
    return attention_graph(channels=channels, num_heads=heads, dtype=dtype, system=system)


@pytest.mark.parametrize(("channels", "heads"), [(6, 2), (68, 2), (136, 1)])
def test_many_atoms_give_what_the_reference_gives(ops: Any, channels: int, heads: int) -> None:
    assert_equals_reference(ops, many_atoms(channels, heads))


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_any_graph_gives_what_the_cpu_gives(ops: Any, kind: str, loop: bool) -> None:
    case = attention_graph(kind, loop=loop)
    if kind == "open" and not loop:
        assert (case.graph.row_ptr.diff() == 0).any()
    ours, theirs = results(ops, case), results(torch.ops.torchmdnet, case)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("channels", "heads"), [(6, 2), (136, 2)])
def test_padding_changes_nothing_and_gets_zero(ops: Any, channels: int, heads: int) -> None:
    plain = attention_graph(channels=channels, num_heads=heads)
    num_edges, num_pairs = len(plain.graph.sender), len(plain.s)
    longer = attention_graph(channels=channels, num_heads=heads, capacity=num_edges + 300)
    assert torch.equal(plain.s, longer.s[:num_pairs])
    assert longer.s[num_pairs:].any()
    assert longer.inputs.direction[num_edges:].any()
    expected, found = results(ops, plain), results(ops, longer)
    for name in expected:
        for one, other in zip(expected[name], found[name], strict=True):
            assert torch.equal(one, other[: len(one)]), name
            assert not other[len(one) :].any(), name


@pytest.mark.parametrize(
    ("kind", "loop", "channels", "heads"),
    [("plain", True, 136, 1), ("plain", True, 136, 8), ("plain", False, 6, 2), ("thin", False, 6, 2)],
)
def test_gives_the_same_bits_in_any_order(
    kernels: ModuleType, ops: Any, kind: str, loop: bool, channels: int, heads: int
) -> None:
    case = attention_graph(kind, channels=channels, num_heads=heads, dtype=torch.float32, loop=loop)
    sizes = 10 ** torch.linspace(-6, 6, len(case.grad_scalar))[:, None]
    case = case._replace(grad_scalar=case.grad_scalar * sizes, grad_vector=case.grad_vector * sizes[..., None])
    assert_same_bits(kernels, ops, case, (1, 2))


@pytest.mark.parametrize(("channels", "heads"), [(6, 2), (136, 2)])
def test_many_atoms_give_the_same_bits_in_any_order(kernels: ModuleType, ops: Any, channels: int, heads: int) -> None:
    assert_same_bits(kernels, ops, many_atoms(channels, heads, torch.float32), (1,))


def test_arrays_that_begin_anywhere_are_read_in_smaller_pieces(ops: Any) -> None:
    case = attention_graph(channels=72, num_heads=2, dtype=torch.float32)

    def moved(value: Tensor, offset: int) -> Tensor:
        value = torch.cat([value.new_zeros(offset), value.flatten()])[offset:].view(value.shape)
        assert value.data_ptr() % 16
        return value

    for offset in (1, 2):
        inputs = AttentionInput(*(moved(value, offset) for value in case.inputs))
        others = {name: moved(getattr(case, name), offset) for name in ("table", "grad_scalar", "grad_vector")}
        assert_equals_reference(ops, case._replace(inputs=inputs, **others))  # type: ignore[arg-type]


def test_more_than_two_edges_may_share_a_pair(ops: Any) -> None:
    case = attention_graph()
    shared = case.graph.pair % 11
    assert_equals_reference(ops, case._replace(graph=case.graph._replace(pair=shared), s=case.s[:12].clone()))


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize(("num_atoms", "capacity"), [(0, None), (1, None), (1, 3)])
def test_few_atoms_give_few_rows(ops: Any, num_atoms: int, loop: bool, capacity: int | None) -> None:
    system = make_system(torch.zeros((num_atoms, 3), dtype=torch.float64), num=1)
    assert_equals_reference(ops, attention_graph(loop=loop, capacity=capacity, system=system))


def test_no_channels_give_no_columns(ops: Any) -> None:
    case = attention_graph(channels=0, capacity=4000)
    for name, found in results(ops, case).items():
        theirs = getattr(torch.ops.torchmdnet, name)(*case.calls()[name])
        torch.testing.assert_close(found, theirs if isinstance(theirs, tuple) else (theirs,))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [-1e4, -90.0, 90.0, 1e4])
def test_large_scores_are_no_trouble(ops: Any, size: float, dtype: torch.dtype) -> None:
    system = make_system(torch.zeros((1, 3), dtype=torch.float64), num=1)
    case = attention_graph(channels=1, num_heads=1, dtype=dtype, system=system)
    ones = torch.ones_like(case.inputs.query)
    table = torch.zeros_like(case.table)
    table[:, 0] = 1
    inputs = case.inputs._replace(query=size * ones, key=ones, value=torch.ones_like(case.inputs.value))
    case = case._replace(table=table, inputs=inputs)
    found = results(ops, case)
    torch.testing.assert_close(found["table_attention"][0], silu(size * ones), atol=1e-30, rtol=1e-6)
    assert all(bool(part.isfinite().all()) for part in found["table_attention_backward"])


@pytest.mark.parametrize("array", ["sender", "pair"])
@pytest.mark.parametrize("value", [-1, 10**6])
def test_an_index_that_is_none_gives_nan_to_its_atom(ops: Any, array: str, value: int) -> None:
    case = attention_graph()
    edge = int(torch.nonzero(case.graph.receiver != case.graph.sender)[3])
    broken = getattr(case.graph, array).clone()
    broken[edge] = value
    case = case._replace(graph=case.graph._replace(**{array: broken}))
    atom, pair = int(case.graph.receiver[edge]), int(case.graph.pair[edge])
    pairs = [pair] if array == "sender" else []
    expected = {
        "table_attention": [[atom]] * 2,
        "table_attention_backward": [pairs, *[[atom]] * 4, [edge]],
        "table_scalar_attention": [[atom]],
        "table_scalar_attention_backward": [pairs, *[[atom]] * 3],
        "table_sum": [[atom]],
        "table_sum_backward": [[atom], pairs],
    }
    for name, found in results(ops, case).items():
        rows = [part.reshape(len(part), -1).isnan().any(1).nonzero().flatten().tolist() for part in found]
        assert rows == expected[name], name


@pytest.mark.parametrize("s", [-1e6, 1e6, float("nan")])
def test_a_coordinate_far_outside_reads_the_table_within_bounds(ops: Any, s: float) -> None:
    case = attention_graph()
    case = case._replace(s=torch.full_like(case.s, s), table=torch.zeros_like(case.table))
    for found in results(ops, case).values():
        assert any(bool(part.isnan().any()) for part in found) is (s != s)


@pytest.mark.parametrize("heads", [1, 8])
def test_launches_few_kernels_and_waits_for_nothing(kernels: ModuleType, ops: Any, heads: int) -> None:
    for name, arguments in attention_graph(channels=136, num_heads=heads).calls().items():
        getattr(ops, name)(*arguments)
        assert kernels.count_launches() == (2 if name.endswith("backward") else 1)
    assert kernels.count_waits() == 0


WRONG: dict[str, tuple[str, int, Any, str]] = {
    "type": ("table_attention", 1, lambda s: s.float(), "arrays must be contiguous and of one type"),
    "order": ("table_attention", 5, lambda v: v.transpose(0, 1), "arrays must be contiguous and of one type"),
    "columns": ("table_attention", 0, lambda table: table[:, :, :3].contiguous(), r"want table \(M, 6, 4, C\)"),
    "coordinates": ("table_attention", 1, lambda s: s[:, None], r"s \(P,\)"),
    "query": ("table_attention", 2, lambda q: q[None], r"want query \(N, C\)"),
    "key": ("table_attention", 3, lambda k: k[:-1], r"want query and key \(N, C\), value \(N, 3 C\)"),
    "direction": ("table_attention", 6, lambda u: u[:-1], r"direction \(E, 3\)"),
    "heads": ("table_attention", 11, lambda _: 4, "must be a multiple of num_heads"),
    "no heads": ("table_attention", 11, lambda _: 0, "must be a multiple of num_heads"),
    "receiver": ("table_attention", 7, lambda index: index[1:], "receiver must be like sender"),
    "row_ptr": ("table_attention", 9, lambda index: index[1:], "sender, row_ptr and pair are not of one graph"),
    "pair": ("table_attention", 10, lambda index: index.long(), "must be contiguous int32 vectors"),
    "columns of scalars": ("table_scalar_attention", 0, lambda t: t[:, :, :1].contiguous(), r"table \(M, 6, 2, C\)"),
    "value of scalars": ("table_scalar_attention", 4, lambda v: v[:-1], r"want query, key and value \(N, C\)"),
    "heads of scalars": ("table_scalar_attention", 9, lambda _: 4, "must be a multiple of num_heads"),
    "table of sums": ("table_sum", 0, lambda table: table[:, :5].contiguous(), r"want table \(M, 6, C\)"),
    "features of sums": ("table_sum", 2, lambda x: x[None], r"x must have shape \(N, C\)"),
    "type of sums": ("table_sum", 1, lambda s: s.float(), "arrays must be contiguous and of one type"),
    "sender of sums": ("table_sum", 4, lambda index: index.long(), "must be contiguous int32 vectors"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_refuses_wrong_arrays(ops: Any, wrong: str) -> None:
    name, place, spoil, message = WRONG[wrong]
    calls = attention_graph().calls()
    for op in (name, f"{name}_backward"):
        given = list(calls[op])
        at = place + len(given) - len(calls[name])
        given[at] = spoil(given[at])
        with pytest.raises(RuntimeError, match=message):
            getattr(ops, op)(*given)


def test_refuses_gradients_of_another_shape_or_type(ops: Any) -> None:
    calls = attention_graph().calls()
    scalar, vector, *attention = calls["table_attention_backward"]
    with pytest.raises(RuntimeError, match=r"want gradients \(N, C\) and \(N, 3, C\)"):
        ops.table_attention_backward(scalar, vector[:, :2].contiguous(), *attention)
    with pytest.raises(RuntimeError, match="gradients must be contiguous and of the arrays' type"):
        ops.table_attention_backward(scalar.float(), vector, *attention)
    grad, *scalars = calls["table_scalar_attention_backward"]
    with pytest.raises(RuntimeError, match=r"want a contiguous gradient \(N, C\) of the arrays' type"):
        ops.table_scalar_attention_backward(grad[1:], *scalars)
    grad, *sums = calls["table_sum_backward"]
    with pytest.raises(RuntimeError, match="grad must be contiguous and of x's shape and type"):
        ops.table_sum_backward(grad[1:], *sums)
