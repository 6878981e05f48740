"""Attention and sums that read tables give on a GPU what they give on the CPU, every time, also in captured graphs."""

from typing import Any

import pytest
import torch
from attention_graphs import AttentionGraph, attention_graph
from random_systems import dense_system
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.table_attention import table_attention
from torchmdnet.ops.table_sum import table_sum
from torchmdnet.ops.vector_attention import AttentionInput

pytestmark = pytest.mark.gpu

needs_kernels = pytest.mark.skipif(
    not native.CUDA_AVAILABLE, reason=f"what PyTorch's own functions stand in for cannot do it: {native.CUDA_STATUS}"
)
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-11}
OPS = tuple(f"table_{name}{end}" for name in ("attention", "scalar_attention", "sum") for end in ("", "_backward"))
HEADS = [(1, 1), (6, 3), (36, 3), (56, 8), (66, 66), (68, 1), (128, 8), (136, 1), (256, 8), (264, 2)]


def run(name: str, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """What an op returns, as a tuple."""
    result = getattr(torch.ops.torchmdnet, name)(*arguments)
    return result if isinstance(result, tuple) else (result,)


def on_gpu(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part.cuda() if isinstance(part, Tensor) else part for part in arguments)


def dense(
    num_atoms: int,
    channels: int,
    num_heads: int = 8,
    dtype: torch.dtype = torch.float32,
    capacity: int | None = None,
) -> AttentionGraph:
    """Many atoms in a crystal with about seven neighbours each."""
    system = dense_system(1, num_atoms, density=0.1, pbc=(True, True, True))
    return attention_graph(channels=channels, num_heads=num_heads, dtype=dtype, system=system, capacity=capacity)


def assert_equals_cpu(case: AttentionGraph) -> None:
    tolerance = TOLERANCE[case.s.dtype]
    for name, arguments in case.calls().items():
        found = tuple(part.cpu() for part in run(name, on_gpu(arguments)))
        torch.testing.assert_close(found, run(name, arguments), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("channels", "heads"), HEADS)
def test_any_number_of_channels_and_heads_gives_what_the_cpu_gives(
    channels: int, heads: int, dtype: torch.dtype
) -> None:
    assert_equals_cpu(attention_graph(channels=channels, num_heads=heads, dtype=dtype))


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_any_graph_gives_what_the_cpu_gives(kind: str, loop: bool) -> None:
    assert_equals_cpu(attention_graph(kind, loop=loop))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_atoms", "channels"), [(1000, 128), (3000, 64), (3000, 136), (20_000, 128)])
def test_many_atoms_give_what_the_cpu_gives(num_atoms: int, channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(dense(num_atoms, channels, dtype=dtype))


def test_padding_gets_zero() -> None:
    case = attention_graph(capacity=4000)
    num_edges = int(case.graph.row_ptr[-1])
    assert num_edges < len(case.graph.sender)
    assert_equals_cpu(case)
    to_s, *_, to_direction = run("table_attention_backward", on_gpu(case.calls()["table_attention_backward"]))
    assert not to_direction[num_edges:].any()
    assert to_s[-1] == 0


@needs_kernels
@pytest.mark.parametrize(("num_atoms", "channels", "heads"), [(100, 128, 8), (5000, 128, 8), (5000, 256, 1)])
def test_gives_the_same_bits_every_time(num_atoms: int, channels: int, heads: int) -> None:
    for name, arguments in dense(num_atoms, channels, heads).calls().items():
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
            if isinstance(part, Tensor) and part.dtype == torch.float32:
                part.mul_(0.9 + 0.1 * step)
        expected = [part.clone() for part in run(name, given)]
        graph.replay()
        assert all(torch.equal(one, other) for one, other in zip(captured, expected, strict=True))


def derivatives(case: AttentionGraph, device: str) -> list[Tensor]:
    """First and second ones of a function of both ops."""
    graph = Graph(*(part.to(device) for part in case.graph))
    arrays = (case.table, case.s, *case.inputs)
    inputs = table, s, *others = [part.to(device).requires_grad_() for part in arrays]
    rows = AttentionInput(*others)
    scalar, vector = table_attention(table, s, inputs=rows, graph=graph, num_heads=case.num_heads)
    summed = table_sum(table[:, :, 1], s, x=scalar.sin(), graph=graph)
    value = (summed * case.grad_scalar.to(device)).sum() + (vector * case.grad_vector.to(device)).sum()
    first = torch.autograd.grad(value, inputs, create_graph=True)
    second = torch.autograd.grad(torch.stack([part.sin().sum() for part in first]).sum(), inputs)
    return [part.detach().cpu() for part in (*first, *second)]


def test_second_derivatives_are_those_of_the_cpu() -> None:
    case = attention_graph(channels=4)
    torch.testing.assert_close(derivatives(case, "cuda"), derivatives(case, "cpu"), rtol=1e-8, atol=1e-8)
