"""The CUDA ops on radial tables, launchers and all, run on the CPU: the same as those for it and their references."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from random_systems import dense_system, make_system
from table_graphs import TableGraph, table_graph
from torch import Tensor

from torchmdnet.ops.table_environment import table_environment_backward_reference, table_environment_reference
from torchmdnet.ops.table_message import table_message_backward_reference, table_message_reference

REFERENCES: dict[str, Callable[..., Any]] = {
    "table_message": table_message_reference,
    "table_message_backward": table_message_backward_reference,
    "table_environment": table_environment_reference,
    "table_environment_backward": table_environment_backward_reference,
}
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}


def results(ops: Any, case: TableGraph) -> dict[str, tuple[Tensor, ...]]:
    """What each op returns, as a tuple."""
    found = {name: getattr(ops, name)(*arguments) for name, arguments in case.calls().items()}
    return {name: value if isinstance(value, tuple) else (value,) for name, value in found.items()}


def assert_equals_reference(ops: Any, case: TableGraph) -> None:
    """All ops give what plain PyTorch gives."""
    tolerance = TOLERANCE[case.s.dtype]
    for name, found in results(ops, case).items():
        expected = REFERENCES[name](*case.calls()[name])
        wanted = expected if isinstance(expected, tuple) else (expected,)
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("channels", [1, 5, 32, 34, 64, 66, 68, 129, 136])
def test_any_number_of_channels_gives_what_the_reference_gives(ops: Any, channels: int, dtype: torch.dtype) -> None:
    assert_equals_reference(ops, table_graph(channels=channels, dtype=dtype))


def many_atoms(channels: int, dtype: torch.dtype = torch.float64) -> TableGraph:
    """More atoms than the ops give several warps each, with few neighbours."""
    system = dense_system(1, 1300, density=0.01, pbc=(True, True, True))
    return table_graph(channels=channels, dtype=dtype, system=system)


@pytest.mark.parametrize("channels", [5, 68, 136])
def test_many_atoms_give_what_the_reference_gives(ops: Any, channels: int) -> None:
    assert_equals_reference(ops, many_atoms(channels))


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_any_graph_gives_what_the_cpu_gives(ops: Any, kind: str, loop: bool) -> None:
    case = table_graph(kind, loop=loop)
    if kind == "open" and not loop:
        assert (case.graph.row_ptr.diff() == 0).any()
    ours, theirs = results(ops, case), results(torch.ops.torchmdnet, case)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("channels", [5, 40])
def test_padding_changes_nothing_and_gets_zero(ops: Any, channels: int) -> None:
    plain = table_graph(channels=channels)
    num_edges, num_pairs = len(plain.graph.sender), len(plain.s)
    longer = table_graph(channels=channels, capacity=num_edges + 300)
    longer = longer._replace(
        **{name: getattr(plain, name) for name in ("table", "x", "own", "other", "grad")},
        s=torch.cat([plain.s, longer.s.new_zeros(len(longer.s) - num_pairs)]),
        y=torch.cat([plain.y, longer.y[num_edges:]]),
    )
    expected, found = results(ops, plain), results(ops, longer)
    for name in expected:
        for one, other in zip(expected[name], found[name], strict=True):
            if one.shape == other.shape:
                assert torch.equal(one, other)
            else:
                assert torch.equal(one, other[: len(one)])
                assert not other[len(one) :].any()


@pytest.mark.parametrize(
    ("kind", "loop", "channels"), [("plain", True, 136), ("plain", True, 5), ("plain", False, 5), ("thin", False, 5)]
)
def test_gives_the_same_bits_in_any_order(kernels: ModuleType, ops: Any, kind: str, loop: bool, channels: int) -> None:
    case = table_graph(kind, channels=channels, dtype=torch.float32, loop=loop)
    case = case._replace(grad=case.grad * 10 ** torch.linspace(-6, 6, case.grad.shape[1])[:, None])
    once = results(ops, case)
    for seed in (1, 2):
        kernels.set_seed(seed)
        for name, found in results(ops, case).items():
            assert all(torch.equal(one, other) for one, other in zip(once[name], found, strict=True)), name


@pytest.mark.parametrize("channels", [5, 136])
def test_many_atoms_give_the_same_bits_in_any_order(kernels: ModuleType, ops: Any, channels: int) -> None:
    case = many_atoms(channels, torch.float32)
    once = results(ops, case)
    kernels.set_seed(1)
    for name, found in results(ops, case).items():
        assert all(torch.equal(one, other) for one, other in zip(once[name], found, strict=True)), name


def test_arrays_that_begin_anywhere_are_read_in_smaller_pieces(ops: Any) -> None:
    case = table_graph(channels=68, dtype=torch.float32)
    for offset in (1, 2):
        moved: dict[str, Any] = {}
        for name in ("table", "x", "own", "other", "grad"):
            value = getattr(case, name)
            moved[name] = torch.cat([value.new_zeros(offset), value.flatten()])[offset:].view(value.shape)
            assert moved[name].data_ptr() % 16
        assert_equals_reference(ops, case._replace(**moved))


def test_more_than_two_edges_may_share_a_pair(ops: Any) -> None:
    case = table_graph()
    shared = case.graph.pair % 11
    assert_equals_reference(ops, case._replace(graph=case.graph._replace(pair=shared), s=case.s[:12].clone()))


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize(("num_atoms", "capacity"), [(0, None), (1, None), (1, 3)])
def test_few_atoms_give_few_rows(ops: Any, num_atoms: int, loop: bool, capacity: int | None) -> None:
    system = make_system(torch.zeros((num_atoms, 3), dtype=torch.float64), num=1)
    assert_equals_reference(ops, table_graph(loop=loop, capacity=capacity, system=system))


def test_no_channels_give_no_columns(ops: Any) -> None:
    assert_equals_reference(ops, table_graph(channels=0, capacity=4000))


@pytest.mark.parametrize("array", ["sender", "pair"])
@pytest.mark.parametrize("value", [-1, 10**6])
def test_an_index_that_is_none_gives_nan_to_its_atom(ops: Any, array: str, value: int) -> None:
    case = table_graph()
    edge = int(torch.nonzero(case.graph.receiver != case.graph.sender)[3])
    broken = getattr(case.graph, array).clone()
    broken[edge] = value
    case = case._replace(graph=case.graph._replace(**{array: broken}))
    atom, pair = int(case.graph.receiver[edge]), int(case.graph.pair[edge])
    found = results(ops, case)
    for name in ("table_message", "table_message_backward", "table_environment"):
        rows = found[name][0].isnan().any(2).any(0)
        assert rows.nonzero().flatten().tolist() == [atom]
    to_y, to_s = found["table_environment_backward"]
    assert to_y.isnan().any(1).nonzero().flatten().tolist() == [edge]
    assert to_s.isnan().nonzero().flatten().tolist() == ([pair] if array == "sender" else [])
    assert torch.equal(found["table_message_backward"][1].isnan(), to_s.isnan())


@pytest.mark.parametrize("s", [-1e6, 1e6, float("nan")])
def test_a_coordinate_far_outside_reads_the_table_within_bounds(ops: Any, s: float) -> None:
    case = table_graph()
    case = case._replace(s=torch.full_like(case.s, s))
    for found in results(ops, case).values():
        assert any(bool(part.isnan().any()) for part in found) is (s != s)


def test_launches_few_kernels_and_waits_for_nothing(kernels: ModuleType, ops: Any) -> None:
    case = table_graph(channels=136)
    for name, arguments in case.calls().items():
        getattr(ops, name)(*arguments)
        assert kernels.count_launches() == (2 if name.endswith("backward") else 1)
    assert kernels.count_waits() == 0


WRONG: dict[str, tuple[str, Any, str]] = {
    "type": ("s", lambda s: s.float(), "arrays must be contiguous and of one type"),
    "order": ("table", lambda table: table.transpose(0, 1), "arrays must be contiguous and of one type"),
    "parts": ("table", lambda table: table[:, :, :2].contiguous(), r"table must have shape \(M, 6, 3, C\)"),
    "coordinates": ("s", lambda s: s[:, None], r"s must have shape \(P,\)"),
    "receiver": ("receiver", lambda index: index[1:], "receiver must be like sender"),
    "sender": ("sender", lambda index: index.long(), "sender, row_ptr and pair must be contiguous int32 vectors"),
    "pair": ("pair", lambda index: index[1:], "sender, row_ptr and pair are not of one graph"),
    "row_ptr": ("row_ptr", lambda index: index[1:], "sender, row_ptr and pair are not of one graph"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_refuses_wrong_arrays(ops: Any, wrong: str) -> None:
    name, spoil, message = WRONG[wrong]
    case = table_graph()
    if name in case.graph._fields:
        case = case._replace(graph=case.graph._replace(**{name: spoil(getattr(case.graph, name))}))
    else:
        case = case._replace(**{name: spoil(getattr(case, name))})
    for op, arguments in case.calls().items():
        with pytest.raises(RuntimeError, match=message):
            getattr(ops, op)(*arguments)


def test_refuses_a_gradient_of_another_shape(ops: Any) -> None:
    case = table_graph()
    calls = case._replace(grad=case.grad[:, 1:].contiguous()).calls()
    with pytest.raises(RuntimeError, match="grad must be contiguous and of x's shape and type"):
        ops.table_message_backward(*calls["table_message_backward"])
    with pytest.raises(RuntimeError, match=r"grad must be contiguous, of shape \(9, N, C\)"):
        ops.table_environment_backward(*calls["table_environment_backward"])
