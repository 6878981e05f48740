"""The ops on tensors, jets and exact weights give on a GPU what they give on the CPU, also in captured graphs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from random_systems import dense_system, periodic_example
from tensor_op_cases import Calls, PairGraph, column_calls, pair_graph, results, row_calls
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import VerletList
from torchmdnet.ops import native
from torchmdnet.ops.tensor_algebra import anticommutator, matrix_product, normalize
from torchmdnet.ops.tensor_environment import tensor_environment
from torchmdnet.ops.tensor_message import tensor_message

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not native.CUDA_AVAILABLE, reason=f"there are no kernels: {native.CUDA_STATUS}"),
]
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-11}


def on_gpu(calls: Calls) -> Calls:
    def move(value: Any) -> Any:
        return value.cuda() if isinstance(value, Tensor) else value

    return {name: [tuple(move(value) for value in arguments) for arguments in lists] for name, lists in calls.items()}


def assert_equals_cpu(calls: Calls, dtype: torch.dtype) -> None:
    ops = torch.ops.torchmdnet
    ours = {name: [part.cpu() for part in parts] for name, parts in results(ops, on_gpu(calls)).items()}
    torch.testing.assert_close(ours, results(ops, calls), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("num_atoms", "channels"), [(0, 4), (3, 0), (1, 1), (7, 5), (33, 64), (5000, 128), (1, 2**18 + 2), (1, 2**18 + 1)]
)
def test_tensors_are_those_of_the_cpu(num_atoms: int, channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(column_calls(num_atoms, channels, dtype), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("rows", "channels"), [(0, 4), (3, 0), (5, 1), (9, 34), (7, 66), (5, 129), (20_000, 384)])
def test_rows_are_those_of_the_cpu(rows: int, channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(row_calls(rows, channels, dtype), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("channels", [1, 5, 32, 34, 64, 66, 68, 128, 129, 136, 256])
def test_any_number_of_channels_gives_what_the_cpu_gives(channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(pair_graph(channels=channels, dtype=dtype).calls(), dtype)


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("kind", ["open", "plain", "thin", "tiny"])
def test_any_graph_gives_what_the_cpu_gives(kind: str, loop: bool) -> None:
    assert_equals_cpu(pair_graph(kind, loop=loop).calls(), torch.float64)


def dense(num_atoms: int, channels: int, dtype: torch.dtype = torch.float32, capacity: int | None = None) -> PairGraph:
    """Many atoms in a crystal with about seven neighbours each."""
    system = dense_system(1, num_atoms, density=0.1, pbc=(True, True, True))
    return pair_graph(channels=channels, dtype=dtype, system=system, capacity=capacity)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_atoms", "channels"), [(1000, 128), (3000, 64), (3000, 136), (20_000, 128)])
def test_many_atoms_give_what_the_cpu_gives(num_atoms: int, channels: int, dtype: torch.dtype) -> None:
    calls = dense(num_atoms, channels, dtype).calls()
    if dtype == torch.float32:  # one row of weights is the sum over all atoms
        del calls["tensor_message_weight"], calls["tensor_environment_backward"]
    assert_equals_cpu(calls, dtype)


def test_padding_gets_zero() -> None:
    case = pair_graph(capacity=4000)
    num_edges = int(case.graph.row_ptr[-1])
    assert num_edges < len(case.graph.sender)
    assert_equals_cpu(case.calls(), torch.float64)
    to_y = results(torch.ops.torchmdnet, on_gpu(case.calls()))["tensor_environment_backward"][0]
    assert not to_y[num_edges:].any()


def all_calls(num_atoms: int, channels: int, capacity: int | None = None) -> Calls:
    calls = column_calls(num_atoms, channels, torch.float32) | row_calls(num_atoms, channels, torch.float32)
    return calls | dense(num_atoms, channels, capacity=capacity).calls()


@pytest.mark.parametrize(("num_atoms", "channels"), [(100, 128), (5000, 128), (5000, 256)])
def test_gives_the_same_bits_every_time(num_atoms: int, channels: int) -> None:
    calls = on_gpu(all_calls(num_atoms, channels))
    once = results(torch.ops.torchmdnet, calls)
    for _ in range(5):
        for name, found in results(torch.ops.torchmdnet, calls).items():
            assert all(torch.equal(one, other) for one, other in zip(once[name], found, strict=True)), name


@pytest.mark.parametrize("num_atoms", [100, 5000])
def test_captured_ops_follow_their_inputs(num_atoms: int) -> None:
    calls = on_gpu(all_calls(num_atoms, 128, capacity=20 * num_atoms))
    results(torch.ops.torchmdnet, calls)  # kernels are loaded by the first call
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = results(torch.ops.torchmdnet, calls)
    leaves = {part.data_ptr(): part for lists in calls.values() for part in lists[0] if isinstance(part, Tensor)}
    for step in range(3):
        for part in leaves.values():
            if part.is_floating_point():
                part.mul_(0.9 + 0.1 * step)
        expected = {
            name: [part.clone() for part in parts] for name, parts in results(torch.ops.torchmdnet, calls).items()
        }
        graph.replay()
        for name, parts in captured.items():
            assert all(torch.equal(one, other) for one, other in zip(parts, expected[name], strict=True)), name


def derivatives(run: Callable[..., Tensor], inputs: list[Tensor], device: str) -> list[Tensor]:
    """First and second ones of a function of tensors."""
    moved = [part.detach().to(device).requires_grad_() for part in inputs]
    first = torch.autograd.grad(run(*moved).sin().sum(), moved, create_graph=True)
    second = torch.autograd.grad(torch.stack([part.sin().sum() for part in first]).sum(), moved)
    return [part.detach().cpu() for part in (*first, *second)]


def test_second_derivatives_are_those_of_the_cpu() -> None:
    case = pair_graph(channels=3)

    def run(weight: Tensor, y: Tensor, own: Tensor, other: Tensor) -> Tensor:
        graph = Graph(*(part.to(weight.device) for part in case.graph))
        x = normalize(tensor_environment(weight, y, own=own, other=other, graph=graph))
        message = tensor_message(weight.sin(), x, graph)
        return anticommutator(x, message) + matrix_product(message, x)

    inputs = [case.weight, case.y, case.own, case.other]
    both = [derivatives(run, inputs, device) for device in ("cuda", "cpu")]
    torch.testing.assert_close(*both, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("num_atoms", [12, 6000])
def test_a_list_with_a_skin_is_cut_as_on_the_cpu(num_atoms: int, dtype: torch.dtype) -> None:
    system = periodic_example(dtype)
    if num_atoms > 12:
        system = dense_system(1, num_atoms, density=0.1, pbc=(True, True, False), dtype=dtype)
    step = 0.2 * torch.rand(system.pos.shape, generator=torch.Generator().manual_seed(0)).to(dtype) - 0.1

    def rows(device: str) -> list[tuple[int, ...]]:
        moved = System(*(part.to(device) if isinstance(part, Tensor) else part for part in system))
        pairs = VerletList(0.0, 2.5, skin=0.6, loop=True)
        pairs(moved)
        found = pairs(moved._replace(pos=moved.pos + step.to(device)))
        assert pairs.searches == 1
        vector = moved.pos[found.receiver] + step.to(device)[found.receiver]
        vector = vector - moved.pos[found.sender] - step.to(device)[found.sender]
        assert moved.box is not None
        vector = vector - found.shift.to(dtype) @ moved.box[0]
        torch.testing.assert_close(found.vector, vector, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-11)
        key = torch.cat([found.receiver[:, None], found.sender[:, None], found.shift], 1)
        return sorted(map(tuple, key.tolist()))

    ours, theirs = rows("cuda"), rows("cpu")
    assert len(set(ours)) == len(ours)
    near = 0 if dtype == torch.float64 else 4  # pairs at the cutoff to the last digits of float32
    assert len(set(ours) ^ set(theirs)) <= near
