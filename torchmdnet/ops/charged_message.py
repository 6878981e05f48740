r"""Messages between tensors with weights that a network makes of the distance and of what both atoms have.

:math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot Y_j^c` as in :mod:`torchmdnet.ops.edge_message`, with
:math:`a = R(t) + a_i + b_j`, :math:`p = W_2 \, \phi(a) + b_2`, :math:`q = W_3 \, \phi(p) + b_3` and
:math:`w = F(t) \, \phi(q)`, where :math:`\phi` is SiLU and R and F are polynomials: what is known of a distance.

For weights that are not trained. The native op takes blocks of edges through all layers in the cache; for many edges
it keeps nothing but its inputs for its derivative. Gradients by polynomials and maps, and second derivatives, are those
of the reference.

Letters: N atoms, E edges, P pairs, C channels, layers of A, B and 3 C numbers.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.edge_message import edge_message
from torchmdnet.ops.radial_table import gradients_of, place_in_table
from torchmdnet.ops.silu import silu
from torchmdnet.ops.table_message import index_graph

__all__ = [
    "ChargedMaps",
    "PairPolynomials",
    "charged_message",
    "charged_message_reference",
    "fixed_polynomials",
    "table_polynomials",
]

MOST_KEPT = 1 << 17
"""Edges up to which q is kept for the derivative, 3 C numbers each; for more edges it is computed again."""


class PairPolynomials(NamedTuple):
    """What is known of each pair's distance: R, and F in the last column."""

    rows: Tensor
    """Coefficients of 1, t, ... of A + 1 functions. (M, K, A + 1)"""
    row: Tensor
    """Which of them a pair has. (P,) int32"""
    t: Tensor
    """Where. (P,)"""


class ChargedMaps(NamedTuple):
    """Weights of the layers: each matrix also transposed, since each product reads its matrix along rows."""

    second: Tensor
    """W_2 transposed. (A, B)"""
    second_transposed: Tensor
    """W_2. (B, A)"""
    second_bias: Tensor
    """(B,)"""
    third: Tensor
    """W_3 transposed. (B, 3 C)"""
    third_transposed: Tensor
    """W_3. (3 C, B)"""
    third_bias: Tensor
    """(3 C,)"""


def table_polynomials(table: Tensor, s: Tensor) -> PairPolynomials:
    """The polynomials of a table at coordinates; see :mod:`torchmdnet.ops.radial_table`.

    Shapes: table: (M, 6, A + 1), s: (P,).
    """
    row, t = place_in_table(s, table.shape[0])
    return PairPolynomials(table, row.to(torch.int32), t)


def fixed_polynomials(value: Tensor, slope: Tensor | None, distance: Tensor) -> PairPolynomials:
    """Functions that are known, with or without their derivative, at the distances of the pairs alone.

    Shapes: value, slope: (P, A + 1), distance: (P,).
    """
    row = torch.arange(value.shape[0], dtype=torch.int32, device=value.device)
    if slope is None:
        return PairPolynomials(value.unsqueeze(1), row, torch.zeros_like(distance))
    return PairPolynomials(torch.stack([value, slope], dim=1), row, distance - distance.detach())


def charged_message(
    polynomials: PairPolynomials, y: Tensor, *, own: Tensor, other: Tensor, maps: ChargedMaps, graph: Graph
) -> Tensor:
    """Sum the neighbours' tensors, weighted by the network. Differentiable to any order.

    Shapes: y: (9, N, C), own, other: (N, A) -> (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    _check(polynomials, y, own, other, maps, graph)
    rows, row, t = polynomials
    edges = graph.receiver, graph.sender, graph.row_ptr, graph.pair
    if not native.has_kernel("charged_message", y, rows, t, own, other, *maps):
        return charged_message_reference(rows, row, t, own, other, y, *maps, *edges)
    arrays = (value.contiguous() for value in (rows, row, t, own, other, y, *maps))
    keeps = torch.is_grad_enabled() and (torch.compiler.is_compiling() or graph.sender.shape[0] <= MOST_KEPT)
    message: Tensor = native.call("charged_message", *arrays, *edges, keeps)[0]
    return message


def _check(
    polynomials: PairPolynomials, y: Tensor, own: Tensor, other: Tensor, maps: ChargedMaps, graph: Graph
) -> None:
    num_atoms, num_pairs = graph.row_ptr.shape[0] - 1, graph.pair_distance.shape[0]
    first, second, num_weights = own.shape[-1], maps.second_bias.shape[0], 3 * y.shape[-1]
    rows, row, t = polynomials
    wanted = {
        "y": (y, (9, num_atoms, y.shape[-1])),
        "own": (own, (num_atoms, first)),
        "other": (other, (num_atoms, first)),
        "rows": (rows, (*rows.shape[:2], first + 1)),
        "row": (row, (num_pairs,)),
        "t": (t, (num_pairs,)),
        "second": (maps.second, (first, second)),
        "second_transposed": (maps.second_transposed, (second, first)),
        "third": (maps.third, (second, num_weights)),
        "third_transposed": (maps.third_transposed, (num_weights, second)),
        "third_bias": (maps.third_bias, (num_weights,)),
    }
    for name, (value, shape) in wanted.items():
        if value.shape != shape:
            raise ValueError(f"want {name} {shape}, not {tuple(value.shape)}")


def charged_message_reference(rows: Tensor, row: Tensor, t: Tensor, *others: Tensor) -> Tensor:
    """Do the same with PyTorch's own operations; the arguments are those of the op but the last."""
    own, other, y, _, second, second_bias, _, third, third_bias, *edges = others
    graph = index_graph(t, *edges)
    known = torch.zeros_like(rows[:, 0]).index_select(0, row)
    for power in reversed(range(rows.shape[1])):
        known = known * t.unsqueeze(-1) + rows[:, power].index_select(0, row)
    known = known.index_select(0, graph.pair)
    e = known[:, :-1] + own.index_select(0, graph.receiver) + other.index_select(0, graph.sender)
    e = F.linear(silu(e), second, second_bias)
    e = silu(F.linear(silu(e), third, third_bias)) * known[:, -1:]
    return edge_message(e.unflatten(-1, (3, -1)), y, graph)


_DIFFERENTIATED = (2, 3, 4, 5)
"""Of the op's inputs those that the native derivative knows: t, own, other, y."""


def _backward_reference(grad: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients by t, own, other and y, themselves differentiable. inputs: those of the reference"""
    with torch.enable_grad():
        # Views, for an input may be made of another one, and a gradient is to be the one at fixed other inputs.
        fixed = [x.view_as(x) if x.requires_grad else x.detach() for x in inputs]
        for place in _DIFFERENTIATED:
            fixed[place] = fixed[place] if fixed[place].requires_grad else fixed[place].requires_grad_()
        wanted = [fixed[place] for place in _DIFFERENTIATED]
        return torch.autograd.grad(
            charged_message_reference(*fixed), wanted, grad, create_graph=True, materialize_grads=True
        )


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *arrays, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1], *arrays)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    kept, *inputs = ctx.saved_tensors
    needed = ctx.needs_input_grad[:-1]
    results: list[Tensor | None] = [None] * len(needed)
    if grad is None:
        return (*results, None)
    others = [need and place not in _DIFFERENTIATED for place, need in enumerate(needed)]
    if any(others):
        results = gradients_of(charged_message_reference, inputs, grads=[grad], needed=others)
    if any(needed[place] for place in _DIFFERENTIATED):
        arrays, edges = inputs[:-4], inputs[-4:]
        found = native.call("charged_message_backward", grad.contiguous(), *arrays, kept, *edges)
        for place, value in zip(_DIFFERENTIATED, found, strict=True):
            results[place] = value
    return (*results, None)


def _keep_all(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    *arrays, _, receiver, sender, row_ptr, pair = inputs
    ctx.save_for_backward(*arrays, receiver, sender, row_ptr, pair)
    ctx.set_materialize_grads(False)


def _second_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    *needed, _, receiver, sender, row_ptr, pair = ctx.needs_input_grad
    every = [*needed, receiver, sender, row_ptr, pair]
    results = gradients_of(_backward_reference, ctx.saved_tensors, grads=grads, needed=every)
    return (*results[:-4], None, *results[-4:])


def _fake(*arguments: Any) -> tuple[Tensor, Tensor]:
    y, sender, keeps = arguments[5], arguments[13], arguments[-1]
    return y.new_empty(y.shape), y.new_empty((sender.shape[0] if keeps else 0, 3 * y.shape[2]))


def _backward_fake(grad: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(inputs[place].new_empty(inputs[place].shape) for place in _DIFFERENTIATED)


native.describe("charged_message", fake=_fake, backward=_backward, setup_context=_keep_inputs)
native.describe("charged_message_backward", fake=_backward_fake, backward=_second_backward, setup_context=_keep_all)
