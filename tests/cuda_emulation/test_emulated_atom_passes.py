"""The CUDA ops of frozen models on single atoms and edges, run on the CPU: the same as those for it."""

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from atom_pass_cases import edge_calls, layer_calls, pass_calls
from attention_graphs import attention_graph
from emulated_ops import SOURCES, EmulatedFirst
from table_graphs import table_graph
from tensor_op_cases import Calls, pair_graph
from tensor_op_cases import results as all_results
from torch import Tensor
from torch.autograd import gradcheck

from torchmdnet.ops import native
from torchmdnet.ops.along_vectors import along_vectors
from torchmdnet.ops.atom_projection import ProjectionMaps, atom_projection
from torchmdnet.ops.edge_tensors import edge_tensors
from torchmdnet.ops.pair_distances import pair_distances
from torchmdnet.ops.part_norms import part_norms
from torchmdnet.ops.sender_directions import sender_directions
from torchmdnet.ops.table_coordinate import table_coordinate
from torchmdnet.ops.tensor_mix import tensor_mix
from torchmdnet.ops.tensor_scale import tensor_scale
from torchmdnet.ops.tensor_update import tensor_update
from torchmdnet.ops.vector_exchange import ExchangeMaps, vector_exchange
from torchmdnet.ops.vector_lengths import vector_lengths

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}


class References:
    """The references in the place of the ops."""

    def __getattr__(self, name: str) -> Any:
        return native.REFERENCES[name]


def assert_equals(ops: Any, calls: Calls, dtype: torch.dtype) -> None:
    ours = all_results(ops, calls)
    for other in (torch.ops.torchmdnet, References()):
        theirs = all_results(other, calls)
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_atoms", "channels"), [(0, 4), (1, 1), (7, 5), (9, 34), (33, 64)])
def test_passes_over_tensors_are_those_of_the_cpu(ops: Any, num_atoms: int, channels: int, dtype: torch.dtype) -> None:
    assert_equals(ops, pass_calls(num_atoms, channels, dtype), dtype)


@pytest.mark.parametrize("channels", [4, 6, 7])
def test_many_columns_are_read_in_pieces_of_one_atom(ops: Any, channels: int) -> None:
    calls = pass_calls(2**18 // channels + 1, channels, torch.float32)
    assert_equals(ops, {name: lists[-1:] for name, lists in calls.items()}, torch.float32)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("num_edges", [0, 1, 5, 700])
def test_tensors_of_edges_are_those_of_the_cpu(ops: Any, num_edges: int, dtype: torch.dtype) -> None:
    assert_equals(ops, edge_calls(num_edges, dtype), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_atoms", "channels"), [(0, 4), (1, 1), (7, 5), (9, 34), (33, 72)])
def test_layers_of_the_transformer_are_those_of_the_cpu(
    ops: Any, num_atoms: int, channels: int, dtype: torch.dtype
) -> None:
    assert_equals(ops, layer_calls(num_atoms, channels, dtype), dtype)


CALLS: list[Calls] = [
    pass_calls(7, 5, torch.float32),
    edge_calls(700, torch.float32),
    layer_calls(7, 34, torch.float32),
]


@pytest.mark.parametrize("calls", CALLS)
def test_gives_the_same_bits_in_any_order(kernels: ModuleType, ops: Any, calls: Calls) -> None:
    once = all_results(ops, calls)
    for seed in (1, 2):
        kernels.set_seed(seed)
        for name, found in all_results(ops, calls).items():
            assert all(torch.equal(one, other) for one, other in zip(once[name], found, strict=True)), name


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the benchmark of launches reckons with."""
    monkeypatch.syspath_prepend(str(SOURCES.parent / "benchmarks"))
    table: dict[str, int] = importlib.import_module("launches").LAUNCHES
    return table


def test_launches_as_many_kernels_as_are_reckoned_with(kernels: ModuleType, ops: Any, launches: dict[str, int]) -> None:
    table, attention, pairs = table_graph(), attention_graph(), pair_graph()
    graph = table.graph
    lists = (graph.sender, graph.shift, graph.row_ptr)
    batch = torch.zeros(len(graph.row_ptr) - 1, dtype=torch.int64)
    calls: dict[str, tuple[Any, ...]] = {
        **{name: lists[0] for some in (*CALLS, pairs.calls()) for name, lists in some.items()},
        **table.calls(),
        **attention.calls(),
        "distinct_pairs": (*lists, True, False),
        "pair_vectors_transpose": (table.y[:, :3].contiguous(), batch, *lists, 1, True),
    }
    kernels.count_clears()
    for name, arguments in calls.items():
        getattr(ops, name)(*arguments)
        assert kernels.count_launches() + kernels.count_clears() == launches.get(name, 1), name
    assert kernels.count_waits() == 0
    assert set(launches) - set(calls) <= {"neighbor_pairs"}


# Derivatives of the functions around the ops


@pytest.fixture
def in_place(kernels: ModuleType, ops: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The emulated ops in the place of those for the CPU, with the derivatives that are registered for those."""
    monkeypatch.setattr(torch.ops, "torchmdnet", EmulatedFirst())
    del ops
    yield
    assert kernels.count_launches() > 0


def leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.clone().requires_grad_() for x in tensors)


@pytest.mark.usefixtures("in_place")
def test_derivatives_of_passes_over_tensors_are_right() -> None:
    calls = pass_calls(2, 2, torch.float64)
    x, *maps = calls["tensor_mix"][0]
    assert gradcheck(lambda x: tensor_mix(x, maps), leaves(x))
    x, scales, *maps = calls["tensor_scale"][0]
    assert gradcheck(lambda x, scales: tensor_scale(x, scales, maps), leaves(x, scales))
    for x, y, message, kappa, *maps, both in calls["tensor_update"]:

        def update(
            x: Tensor, y: Tensor, message: Tensor, kappa: Any = kappa, maps: Any = maps, both: bool = both
        ) -> Tensor:
            factor = kappa if len(kappa) else None
            return tensor_update(x, y, message=message, maps=maps, kappa=factor, both=both)

        assert gradcheck(update, leaves(x, y, message))
    assert gradcheck(part_norms, leaves(x))


@pytest.mark.usefixtures("in_place")
def test_derivatives_of_tensors_of_edges_are_right() -> None:
    calls = edge_calls(6, torch.float64)
    vector = calls["edge_tensors"][0][0][[1, 2, 4]]
    by_vector, by_distance, _, _ = edge_calls(3, torch.float64)["along_vectors"][0]
    assert gradcheck(edge_tensors, leaves(vector))
    assert gradcheck(sender_directions, leaves(vector))
    distance, first, pair = calls["pair_distances"][0]
    assert gradcheck(lambda d: pair_distances(d, first, pair), leaves(distance))
    assert gradcheck(lambda d: table_coordinate(d, rate=0.7, end=0.03, factor=9.0), leaves(distance.abs()))
    assert gradcheck(lambda *v: along_vectors(*v, vector.norm(dim=1)), leaves(by_vector, by_distance, vector))


@pytest.mark.usefixtures("in_place")
def test_derivatives_of_layers_of_the_transformer_are_right() -> None:
    calls = layer_calls(2, 3, torch.float64)
    assert gradcheck(vector_lengths, leaves(calls["vector_lengths"][0][0]))
    x, *weights, eps = calls["atom_projection"][0]
    maps = ProjectionMaps(*weights)
    assert gradcheck(lambda x: atom_projection(x, maps, eps=eps), leaves(x))
    *inputs, _ = calls["vector_exchange"][0]
    features, exchange = inputs[:4], ExchangeMaps(*inputs[4:])

    def exchanged(x: Tensor, v: Tensor, received: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        return vector_exchange(x, v, received=received, vectors=vectors, maps=exchange)

    assert gradcheck(exchanged, leaves(*features))


# Errors

WRONG: dict[str, Callable[[Tensor], Tensor]] = {
    "type": lambda x: x.long(),
    "order": lambda x: x.transpose(-1, -2),
    "shape": lambda x: x[..., 1:].contiguous(),
}


def complaint(op: Callable[..., Any], arguments: list[Any]) -> str:
    """What an op says of its arguments: nothing if it takes them."""
    try:
        op(*arguments)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""


@pytest.mark.parametrize("wrong", WRONG)
def test_refuses_what_the_cpu_refuses_with_the_same_words(ops: Any, wrong: str) -> None:
    num_refused = 0
    for calls in (pass_calls(7, 5, torch.float64), layer_calls(7, 5, torch.float64), edge_calls(7, torch.float64)):
        for name, lists in calls.items():
            for place, value in enumerate(lists[0]):
                if not isinstance(value, Tensor) or value.ndim < 2 or 0 in value.shape:
                    continue
                arguments = [*lists[0][:place], WRONG[wrong](value), *lists[0][place + 1 :]]
                theirs = complaint(getattr(torch.ops.torchmdnet, name), arguments)
                assert complaint(getattr(ops, name), arguments) == theirs, (name, place)
                num_refused += bool(theirs)
    assert num_refused > 40
