"""Messages with a weight for each edge: the native op equals its reference, derivatives included."""

from typing import NamedTuple

import pytest
import torch
from padded_graphs import padded
from tensor_op_cases import message_derivatives
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops import native
from torchmdnet.ops.edge_message import edge_message, edge_message_reference
from torchmdnet.ops.tensor_message import tensor_message

PART = (0, 1, 1, 1, 2, 2, 2, 2, 2)
"""Part of the weight that each component is multiplied with."""
needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


class Case(NamedTuple):
    weight: Tensor
    x: Tensor
    graph: Graph


def make(
    num_atoms: int = 7,
    channels: int = 3,
    dtype: torch.dtype = torch.float64,
    *,
    loop: bool = True,
    cutoff: float = 2.5,
) -> Case:
    """Two crystals so small that atoms see their own images."""
    random = torch.Generator().manual_seed(num_atoms)
    system = System(
        z=torch.ones(num_atoms, dtype=torch.int64),
        pos=torch.rand((num_atoms, 3), generator=random, dtype=torch.float64).to(dtype) * 2,
        batch=(torch.arange(num_atoms) >= 4).long(),
        num_systems=2,
        box=torch.eye(3, dtype=dtype).expand(2, 3, 3) * 2.2,
    )
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=cutoff, loop=loop)
    weight = torch.randn((len(graph.sender), 3, channels), generator=random, dtype=torch.float64).to(dtype)
    x = torch.randn((9, num_atoms, channels), generator=random, dtype=torch.float64).to(dtype)
    return Case(weight, x, graph)


def edge_arguments(graph: Graph) -> tuple[Tensor, ...]:
    return graph.receiver, graph.sender, graph.row_ptr, graph.pair


def test_adds_each_edge_with_its_own_weight() -> None:
    weight, x, graph = make()
    expected = torch.zeros_like(x)
    for edge, (i, j) in enumerate(zip(graph.receiver.tolist(), graph.sender.tolist(), strict=True)):
        for component, part in enumerate(PART):
            expected[component, i] += weight[edge, part] * x[component, j]
    torch.testing.assert_close(edge_message(weight, x, graph), expected)


def test_is_the_tensor_message_where_both_directions_share_a_weight() -> None:
    _, x, graph = make()
    shared = torch.randn((len(graph.pair_distance), 3, 3), generator=torch.Generator().manual_seed(1)).double()
    got = edge_message(shared[graph.pair], x, graph)
    torch.testing.assert_close(got, tensor_message(shared, x, graph))


@pytest.mark.parametrize("channels", [1, 5, 8, 16, 37])
@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_values_and_gradients_equal_those_of_the_reference(
    channels: int, loop: bool, dtype: torch.dtype, tolerance: float
) -> None:
    weight, x, graph = make(channels=channels, dtype=dtype, loop=loop)
    inputs = (weight.requires_grad_(), x.requires_grad_())
    results = []
    for op in (edge_message, edge_message_reference):
        out = op(weight, x, graph)
        results.append((out, *torch.autograd.grad(out.sin().sum(), inputs)))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, atol=tolerance, rtol=tolerance)


def test_has_right_first_and_second_derivatives() -> None:
    weight, x, graph = make(num_atoms=3, channels=1, cutoff=2.0)
    inputs = (weight.requires_grad_(), x.requires_grad_())
    assert torch.autograd.gradcheck(lambda w, y: edge_message(w, y, graph), inputs)
    assert torch.autograd.gradgradcheck(lambda w, y: edge_message(w, y, graph), inputs)


def test_third_derivatives_equal_those_of_the_reference() -> None:
    weight, x, graph = make(num_atoms=3, channels=2, cutoff=2.0)
    ours, reference = (message_derivatives(op, weight, x, graph) for op in (edge_message, edge_message_reference))
    torch.testing.assert_close(ours, reference)


@needs_native
def test_passes_torchs_own_checks_of_operators() -> None:
    weight, x, graph = make(num_atoms=4, channels=3)
    ops, edges = torch.ops.torchmdnet, edge_arguments(graph)
    inputs = (weight.requires_grad_(), x.requires_grad_())
    for op in (ops.edge_message, ops.edge_message_transpose):
        torch.library.opcheck(op.default, (*inputs, *edges))
    torch.library.opcheck(ops.edge_message_weight.default, (x, x.detach().cos().requires_grad_(), *edges))


@needs_native
def test_leaves_padding_out() -> None:
    weight, x, graph = make()
    longer = padded(graph, 5, cutoff=2.5)
    more = torch.cat([weight, torch.ones(5, *weight.shape[1:], dtype=weight.dtype)])
    ops = torch.ops.torchmdnet
    for op in (ops.edge_message, ops.edge_message_transpose):
        assert torch.equal(op(more, x, *edge_arguments(longer)), op(weight, x, *edge_arguments(graph)))
    by_weight = ops.edge_message_weight(x, x.cos(), *edge_arguments(longer))
    assert torch.equal(by_weight[:-5], ops.edge_message_weight(x, x.cos(), *edge_arguments(graph)))
    assert not by_weight[-5:].any()


@pytest.mark.parametrize("num_atoms", [0, 1])
def test_few_atoms_give_few_rows(num_atoms: int) -> None:
    weight, x, graph = make(num_atoms=num_atoms, cutoff=1.0, loop=False)
    inputs = (weight.requires_grad_(), x.requires_grad_())
    out = edge_message(weight, x, graph)
    assert out.shape == (9, num_atoms, 3)
    assert not out.any()
    gradients = torch.autograd.grad(out.sum(), inputs)
    assert [gradient.shape for gradient in gradients] == [weight.shape, x.shape]


def test_no_channels_give_no_columns() -> None:
    weight, x, graph = make(channels=0)
    assert edge_message(weight, x, graph).shape == (9, 7, 0)


def test_takes_inputs_in_any_memory_order() -> None:
    weight, x, graph = make()
    strided = [value.permute(2, 1, 0).contiguous().permute(2, 1, 0) for value in (weight, x)]
    assert not any(value.is_contiguous() for value in strided)
    torch.testing.assert_close(edge_message(*strided, graph), edge_message(weight, x, graph))


def test_any_number_of_threads_gives_the_same_bits() -> None:
    weight, x, graph = make(num_atoms=40, channels=48, dtype=torch.float32, cutoff=1.2)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            inputs = (weight.clone().requires_grad_(), x.clone().requires_grad_())
            out = edge_message(*inputs, graph)
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), inputs)))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


def test_other_types_take_the_reference() -> None:
    weight, x, graph = make()
    assert edge_message(weight.bfloat16(), x.bfloat16(), graph).dtype == torch.bfloat16


def test_says_which_shapes_go_together() -> None:
    weight, x, graph = make()
    with pytest.raises(ValueError, match=r"want weight \(E, 3, C\) and x \(9, N, C\) with E = \d+ and N = 7"):
        edge_message(weight[1:], x, graph)
    with pytest.raises(ValueError, match=r"\(8, 7, 3\)"):
        edge_message(weight, x[:8], graph)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "the same as the other"),
        (0, lambda t: t[1:], r"weight must have shape \(E, 3, C\)"),
        (1, lambda t: t[:8], "a tensor has 9 components, not 8"),
        (1, lambda t: t.permute(0, 2, 1), "x must have three axes and be contiguous"),
        (3, lambda t: t + 100, "a sender is not an atom"),
        (3, lambda t: t.long(), "must be contiguous int32 vectors"),
        (4, lambda t: t[:-1].contiguous(), "not of one graph"),
        (4, lambda t: 2 * t, "not of one graph"),
        (5, lambda t: t - 1, "an edge's pair has no row"),
        (5, lambda t: torch.arange(len(t), dtype=torch.int32), "an edge has no reverse of the same pair"),
        (5, lambda t: t.clamp(max=2), "an edge has no reverse of the same pair"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(position: int, change: object, text: str) -> None:
    weight, x, graph = make()
    inputs = [weight, x, *edge_arguments(graph)]
    inputs[position] = change(inputs[position])  # type: ignore[operator]
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.edge_message_transpose(*inputs)
