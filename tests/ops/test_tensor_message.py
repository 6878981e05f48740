"""The native message op equals its reference, derivatives included, and tells what is wrong with its input."""

from typing import NamedTuple

import pytest
import torch
from half_graphs import half_of
from padded_graphs import padded
from tensor_op_cases import message_derivatives
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops import native
from torchmdnet.ops.tensor_message import (
    tensor_message,
    tensor_message_reference,
    tensor_message_weight,
    tensor_message_weight_reference,
)

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


class Case(NamedTuple):
    graph: Graph
    weight: Tensor
    x: Tensor


def make_case(
    num_atoms: int = 7, channels: int = 5, dtype: torch.dtype = torch.float64, loop: bool = True, cutoff: float = 2.5
) -> Case:
    """A periodic crystal that is small enough for atoms to see their own images."""
    random = torch.Generator().manual_seed(num_atoms)
    system = System(
        z=torch.ones(num_atoms, dtype=torch.int64),
        pos=torch.rand((num_atoms, 3), generator=random, dtype=torch.float64).to(dtype) * 2,
        batch=torch.zeros(num_atoms, dtype=torch.int64),
        num_systems=1,
        box=torch.eye(3, dtype=dtype)[None] * 2.2,
    )
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=cutoff, loop=loop)
    num_pairs = len(graph.pair_distance)
    weight = torch.randn((num_pairs, 3, channels), generator=random, dtype=torch.float64).to(dtype)
    x = torch.randn((9, num_atoms, channels), generator=random, dtype=torch.float64).to(dtype)
    return Case(graph, weight, x)


def edge_arguments(graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
    return graph.sender, graph.row_ptr, graph.pair


@pytest.mark.parametrize("channels", [1, 7, 8, 16, 37])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_equals_the_reference(channels: int, dtype: torch.dtype, tolerance: float) -> None:
    graph, weight, x = make_case(channels=channels, dtype=dtype)
    torch.testing.assert_close(
        tensor_message(weight, x, graph), tensor_message_reference(weight, x, graph), atol=tolerance, rtol=tolerance
    )


@needs_native
@pytest.mark.parametrize("channels", [1, 8, 37])
@pytest.mark.parametrize("loop", [True, False])
def test_the_adjoint_equals_its_reference(channels: int, loop: bool) -> None:
    graph, weight, x = make_case(channels=channels, loop=loop)
    y = x.flip(0).cos()
    ours = torch.ops.torchmdnet.tensor_message_weight(x, y, *edge_arguments(graph), weight)
    torch.testing.assert_close(ours, tensor_message_weight_reference(x, y, graph), atol=1e-12, rtol=1e-12)


def test_both_ops_are_adjoint() -> None:
    graph, weight, x = make_case()
    y = x.flip(0).cos()
    left = (tensor_message(weight, x, graph) * y).sum()
    right = (tensor_message_weight_reference(x, y, graph) * weight).sum()
    torch.testing.assert_close(left, right)


def test_has_first_and_second_derivatives() -> None:
    graph, weight, x = make_case(num_atoms=3, channels=2, cutoff=2.0)
    inputs = (weight.requires_grad_(), x.requires_grad_())
    assert torch.autograd.gradcheck(lambda w, x: tensor_message(w, x, graph), inputs)
    assert torch.autograd.gradgradcheck(lambda w, x: tensor_message(w, x, graph), inputs)


def test_third_derivatives_equal_those_of_the_reference() -> None:
    graph, weight, x = make_case(num_atoms=3, channels=2, cutoff=2.0)
    ours, reference = (message_derivatives(op, weight, x, graph) for op in (tensor_message, tensor_message_reference))
    torch.testing.assert_close(ours, reference)


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    graph, weight, x = make_case(num_atoms=4, channels=3)
    inputs = (weight.requires_grad_(), x.requires_grad_(), *edge_arguments(graph))
    torch.library.opcheck(torch.ops.torchmdnet.tensor_message.default, inputs)
    inputs = (x, x.detach().clone().requires_grad_(), *edge_arguments(graph), weight.detach())
    torch.library.opcheck(torch.ops.torchmdnet.tensor_message_weight.default, inputs)


@needs_native
@pytest.mark.parametrize("lost", ["one edge", "edges from lower atoms", "edges from higher atoms"])
def test_refuses_a_list_where_an_edge_has_no_reverse(lost: str) -> None:
    graph, weight, x = make_case()
    if lost == "one edge":
        edges = (graph.sender != graph.receiver).nonzero().flatten()[3::30].tolist()
        wrong = [graph._replace(sender=another(graph.sender, edge)) for edge in edges]
        wrong += [graph._replace(pair=another(graph.pair, edge)) for edge in edges]
    else:
        wrong = [half_of(graph, 1 if lost == "edges from lower atoms" else -1)]
    for broken in wrong:
        for call in (lambda graph: tensor_message(weight, x, graph), lambda graph: tensor_message_weight(x, x, graph)):
            with pytest.raises(RuntimeError, match="torchmdnet: not a full list: an edge has no reverse of the same"):
                call(broken)


def another(rows: Tensor, edge: int) -> Tensor:
    """With another number for one edge."""
    changed = rows.clone()
    changed[edge] = rows[rows != rows[edge]][0]
    return changed


@needs_native
def test_leaves_padding_out() -> None:
    graph, weight, x = make_case()
    longer = padded(graph, 5, cutoff=2.5)
    more = torch.cat([weight, torch.ones(1, *weight.shape[1:], dtype=weight.dtype)])
    assert torch.equal(tensor_message(more, x, longer), tensor_message(weight, x, graph))
    op = torch.ops.torchmdnet.tensor_message_weight
    adjoint = op(x, x.cos(), *edge_arguments(longer), more)
    assert torch.equal(adjoint[:-1], op(x, x.cos(), *edge_arguments(graph), weight))
    assert not adjoint[-1].any()


@pytest.mark.parametrize("num_atoms", [0, 1])
def test_few_atoms_give_few_rows(num_atoms: int) -> None:
    graph, weight, x = make_case(num_atoms=num_atoms, cutoff=1.0, loop=False)
    weight.requires_grad_()
    out = tensor_message(weight, x, graph)
    assert out.shape == (9, num_atoms, 5)
    assert not out.any()
    (gradient,) = torch.autograd.grad(out.sum(), weight)
    assert gradient.shape == weight.shape


def test_no_channels_give_no_columns() -> None:
    graph, weight, x = make_case(channels=0)
    assert tensor_message(weight, x, graph).shape == (9, 7, 0)


def test_takes_inputs_in_any_memory_order() -> None:
    graph, weight, x = make_case()
    strided = x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not strided.is_contiguous()
    torch.testing.assert_close(tensor_message(weight, strided, graph), tensor_message(weight, x, graph))
    stretched = x[:, :, :1].expand(9, 7, 5)
    torch.testing.assert_close(
        tensor_message(weight, stretched, graph), tensor_message_reference(weight, stretched, graph)
    )


def test_any_number_of_threads_gives_the_same_bits() -> None:
    graph, weight, x = make_case(num_atoms=40, channels=48, dtype=torch.float32, cutoff=1.2)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            w = weight.clone().requires_grad_()
            out = tensor_message(w, x, graph)
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), w)))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


def test_other_types_take_the_reference() -> None:
    graph, weight, x = make_case()
    out = tensor_message(weight.bfloat16(), x.bfloat16(), graph)
    assert out.dtype == torch.bfloat16


def test_says_which_shapes_go_together() -> None:
    graph, weight, x = make_case()
    with pytest.raises(ValueError, match=r"want weight \(P, 3, C\) and x \(9, N, C\) with P = \d+ and N = 7"):
        tensor_message(weight[1:], x, graph)
    with pytest.raises(ValueError, match=r"\(8, 7, 5\)"):
        tensor_message(weight, x[:8], graph)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "the same as the other"),
        (0, lambda t: t[:, :, :2].contiguous(), r"weight must have shape \(P, 3, C\)"),
        (1, lambda t: t[:8], "a tensor has 9 components, not 8"),
        (1, lambda t: t.permute(0, 2, 1), "x must have three axes and be contiguous"),
        (2, lambda t: t + 100, "a sender is not an atom"),
        (2, lambda t: t.long(), "must be contiguous int32 vectors"),
        (3, lambda t: t[:-1].contiguous(), "not of one graph"),
        (3, lambda t: t + 1, "not of one graph"),
        (3, lambda t: 2 * t, "not of one graph"),
        (4, lambda t: t - 1, "an edge's pair has no row"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(position: int, change: object, text: str) -> None:
    graph, weight, x = make_case()
    inputs = [weight, x, *edge_arguments(graph)]
    inputs[position] = change(inputs[position])  # type: ignore[operator]
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.tensor_message(*inputs)
