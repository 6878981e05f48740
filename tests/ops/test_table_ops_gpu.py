"""The ops on radial tables give on a GPU what they give on the CPU, every time, also in captured graphs."""

import pytest
import torch
from random_systems import dense_system
from table_graphs import TableGraph, table_graph
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.table_environment import table_environment
from torchmdnet.ops.table_message import table_message

pytestmark = pytest.mark.gpu

needs_kernels = pytest.mark.skipif(
    not native.CUDA_AVAILABLE, reason=f"what PyTorch's own functions stand in for cannot do it: {native.CUDA_STATUS}"
)
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-11}
OPS = ("table_message", "table_message_backward", "table_environment", "table_environment_backward")


def run(name: str, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What an op returns, as a tuple."""
    result = getattr(torch.ops.torchmdnet, name)(*arguments)
    return result if isinstance(result, tuple) else (result,)


def on_gpu(arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(part.cuda() for part in arguments)


def dense(num_atoms: int, channels: int, dtype: torch.dtype = torch.float32, capacity: int | None = None) -> TableGraph:
    """Many atoms in a crystal with about seven neighbours each."""
    system = dense_system(1, num_atoms, density=0.1, pbc=(True, True, True))
    return table_graph(channels=channels, dtype=dtype, system=system, capacity=capacity)


def assert_equals_cpu(case: TableGraph) -> None:
    tolerance = TOLERANCE[case.s.dtype]
    for name, arguments in case.calls().items():
        found = tuple(part.cpu() for part in run(name, on_gpu(arguments)))
        torch.testing.assert_close(found, run(name, arguments), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("channels", [1, 5, 32, 34, 64, 66, 68, 128, 129, 136, 256])
def test_any_number_of_channels_gives_what_the_cpu_gives(channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(table_graph(channels=channels, dtype=dtype))


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_any_graph_gives_what_the_cpu_gives(kind: str, loop: bool) -> None:
    assert_equals_cpu(table_graph(kind, loop=loop))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_atoms", "channels"), [(1000, 128), (3000, 64), (3000, 136), (20_000, 128)])
def test_many_atoms_give_what_the_cpu_gives(num_atoms: int, channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(dense(num_atoms, channels, dtype))


def test_padding_gets_zero() -> None:
    case = table_graph(capacity=4000)
    num_edges = int(case.graph.row_ptr[-1])
    assert num_edges < len(case.graph.sender)
    assert_equals_cpu(case)
    to_y, to_s = run("table_environment_backward", on_gpu(case.calls()["table_environment_backward"]))
    assert not to_y[num_edges:].any()
    assert to_s[-1] == 0


@needs_kernels
@pytest.mark.parametrize(("num_atoms", "channels"), [(100, 128), (5000, 128), (5000, 256)])
def test_gives_the_same_bits_every_time(num_atoms: int, channels: int) -> None:
    for name, arguments in dense(num_atoms, channels).calls().items():
        given = on_gpu(arguments)
        once = run(name, given)
        for _ in range(5):
            assert all(torch.equal(one, other) for one, other in zip(once, run(name, given), strict=True)), name


@needs_kernels
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("num_atoms", [100, 5000])
def test_a_captured_op_follows_its_inputs(name: str, num_atoms: int) -> None:
    case = dense(num_atoms, 128, capacity=20 * num_atoms)
    given = on_gpu(case.calls()[name])
    run(name, given)  # kernels are loaded by the first call
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run(name, given)
    for step in range(3):
        for part in given:
            if part.dtype == torch.float32:
                part.mul_(0.9 + 0.1 * step)
        expected = [part.clone() for part in run(name, given)]
        graph.replay()
        assert all(torch.equal(one, other) for one, other in zip(captured, expected, strict=True))


@needs_kernels
def test_runs_on_the_current_stream() -> None:
    given = on_gpu(dense(5000, 128).calls()["table_message"])
    expected = run("table_message", given)[0]
    there = given[2].clone()
    given[2].zero_()
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(100_000_000)
        given[2].copy_(there)
        found = run("table_message", given)[0]
    stream.synchronize()
    assert torch.equal(found, expected)


def derivatives(case: TableGraph, device: str) -> list[Tensor]:
    """First and second ones of a function of both ops."""
    graph = Graph(*(part.to(device) for part in case.graph))
    arrays = (case.table, case.s, case.y, case.own, case.other)
    inputs = table, s, y, own, other = [part.to(device).requires_grad_() for part in arrays]
    x = table_environment(table, s, components=y, own=own, other=other, graph=graph)
    value = (table_message(table, s, x.sin(), graph) * case.grad.to(device)).sum()
    first = torch.autograd.grad(value, inputs, create_graph=True)
    second = torch.autograd.grad(torch.stack([part.sin().sum() for part in first]).sum(), inputs)
    return [part.detach().cpu() for part in (*first, *second)]


def test_second_derivatives_are_those_of_the_cpu() -> None:
    case = table_graph(channels=3)
    torch.testing.assert_close(derivatives(case, "cuda"), derivatives(case, "cpu"), rtol=1e-8, atol=1e-8)
