"""The tensor of an atom's surroundings."""

import pytest
import torch
from padded_graphs import padded
from small_models import two_molecules
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops import native
from torchmdnet.ops.tensor_environment import tensor_environment, tensor_environment_reference

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


def make_graph() -> Graph:
    z, pos, batch = two_molecules()
    system = System(z=z, pos=pos, batch=batch, num_systems=2)
    return neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=2.0, loop=True)


def arguments(graph: Graph, *, channels: int = 3, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Weights, components, own and other."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(len(graph.pair_distance), 3, channels), (len(graph.sender), 9), (8, channels), (8, channels)]
    values = [0.3 * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [value.to(dtype).requires_grad_() for value in values]


def run(weight: Tensor, components: Tensor, own: Tensor, other: Tensor) -> Tensor:
    return tensor_environment(weight, components, own=own, other=other, graph=make_graph())


def test_is_the_sum_over_neighbours() -> None:
    graph = make_graph()
    weight, y, own, other = (value.detach() for value in arguments(graph))
    expected = torch.zeros(9, 8, 3, dtype=torch.float64)
    for edge, (i, j, pair) in enumerate(zip(graph.receiver, graph.sender, graph.pair, strict=True)):
        for component, part in enumerate((0, 1, 1, 1, 2, 2, 2, 2, 2)):
            expected[component, i] += weight[pair, part] * (own[i] + other[j]) * y[edge, component]
    torch.testing.assert_close(tensor_environment(weight, y, own=own, other=other, graph=graph), expected)


@pytest.mark.parametrize("channels", [1, 16, 21, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_its_reference(dtype: torch.dtype, channels: int) -> None:
    graph = make_graph()
    results = []
    for function in (tensor_environment, tensor_environment_reference):
        inputs = arguments(graph, channels=channels, dtype=dtype)
        value = function(inputs[0], inputs[1], own=inputs[2], other=inputs[3], graph=graph)
        gradients = torch.autograd.grad(value.square().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum((0.1 * gradient).sin().sum() for gradient in gradients), inputs)
        results.append((value.detach(), [gradient.detach() for gradient in gradients], second))
    tolerance = 1e-3 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(*results, rtol=tolerance, atol=tolerance)


def test_first_and_second_derivatives_are_right() -> None:
    inputs = arguments(make_graph(), channels=1)
    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


def test_third_derivative_is_that_of_the_reference() -> None:
    graph, results = make_graph(), []
    for function in (tensor_environment, tensor_environment_reference):
        weight, y, own, other = arguments(graph)
        value = function(weight, y, own=own, other=other, graph=graph).sin().sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(value, y, create_graph=True)
            value = gradient.sin().sum()
        results.append(gradient.detach())
    torch.testing.assert_close(*results)


@needs_native
def test_leaves_padding_out() -> None:
    graph = make_graph()
    results = []
    for each in (graph, padded(graph, 5, cutoff=2.0)):
        weight, y, own, other = arguments(graph)
        rows, edges = len(each.pair_distance) - len(weight), len(each.sender) - len(y)
        longer = torch.cat([weight, weight.new_ones((rows, 3, 3))]), torch.cat([y, y.new_ones((edges, 9))])
        value = tensor_environment(*longer, own=own, other=other, graph=each)
        gradients = torch.autograd.grad(value.sin().sum(), (weight, y, own, other), create_graph=True)
        second = torch.autograd.grad(sum(gradient.sin().sum() for gradient in gradients), (weight, y, own, other))
        results.append((value, *gradients, *second))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_takes_no_atoms() -> None:
    nothing = torch.zeros(0, dtype=torch.long)
    system = System(z=nothing, pos=torch.zeros(0, 3), batch=nothing, num_systems=0)
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=2.0, loop=True)
    rows = torch.zeros(0, 4)
    weight = torch.zeros(len(graph.pair_distance), 3, 4)
    result = tensor_environment(weight, torch.zeros(0, 9), own=rows, other=rows, graph=graph)
    assert result.shape == (9, 0, 4)


@needs_native
def test_a_wrong_shape_is_told() -> None:
    graph = make_graph()
    weight, y, own, other = (value.detach() for value in arguments(graph))
    with pytest.raises(RuntimeError, match=r"want y \(E, 9\), weight \(P, 3, C\), own and other \(N, C\)"):
        tensor_environment(weight, y[:, :8], own=own, other=other, graph=graph)


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    graph = make_graph()
    weight, y, own, other = (value.detach() for value in arguments(graph))
    inputs = (y, weight, own, other, graph.sender, graph.row_ptr, graph.pair)
    torch.library.opcheck(torch.ops.torchmdnet.tensor_environment.default, inputs)
    grad = torch.ones((9, *own.shape), dtype=own.dtype)
    torch.library.opcheck(torch.ops.torchmdnet.tensor_environment_backward.default, (grad, *inputs))


def test_no_channels_give_no_columns() -> None:
    inputs = arguments(make_graph(), channels=0)
    result = run(*inputs)
    assert result.shape == (9, 8, 0)
    gradients = torch.autograd.grad(result.sum(), inputs)
    assert not any(gradient.any() for gradient in gradients)


def test_takes_inputs_in_any_memory_order() -> None:
    graph = make_graph()
    weight, y, own, other = arguments(graph)
    strided = [value.detach().transpose(0, -1).contiguous().transpose(0, -1) for value in (weight, y, own, other)]
    assert not any(value.is_contiguous() for value in strided)
    torch.testing.assert_close(run(*strided), run(weight, y, own, other))


def test_any_number_of_threads_gives_the_same_bits() -> None:
    graph = make_graph()
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            inputs = arguments(graph, channels=200, dtype=torch.float32)
            value = tensor_environment(inputs[0], inputs[1], own=inputs[2], other=inputs[3], graph=graph)
            results.append((value.detach(), *torch.autograd.grad(value.square().sum(), inputs)))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "arrays must be contiguous and of one type"),
        (1, lambda t: t.transpose(1, 2), "arrays must be contiguous and of one type"),
        (3, lambda t: t[:-1], r"want y \(E, 9\)"),
        (4, lambda t: t + 100, "a sender is not an atom"),
        (4, lambda t: -1 - t, "a sender is not an atom"),
        (4, lambda t: t[:-1], r"want y \(E, 9\)"),
        (5, lambda t: t.flip(0), "not of one graph"),
        (5, lambda t: t.long(), "must be contiguous int32 vectors"),
        (6, lambda t: t + 1, "an edge's pair has no row"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(position: int, change: object, text: str) -> None:
    graph = make_graph()
    weight, y, own, other = (value.detach() for value in arguments(graph))
    inputs = [y, weight, own, other, graph.sender, graph.row_ptr, graph.pair]
    inputs[position] = change(inputs[position])  # type: ignore[operator]
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.tensor_environment(*inputs)
    grad = torch.ones((9, 8, 3), dtype=torch.float64)
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.tensor_environment_backward(grad, *inputs)
