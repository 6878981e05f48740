"""What a traced graph keeps from its first half, which computes values, for its second, which differentiates them.

A graph holds for any number of atoms, and so for what is best for few of them: to keep every result. TorchScript can
look at the number of atoms of a call, and compute again, for many, what takes much memory and little time. And sums,
which the graph has as new arrays, can be written to an array that has served its purpose.
"""

import operator

import torch
from torch import Tensor, fx

from torchmdnet.nn.frozen_layers import MOST_PROJECTED
from torchmdnet.ops.vector_exchange import MOST_KEPT

__all__ = ["keep_less"]

_OPS = torch.ops.torchmdnet
_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default, torch.ops.aten.unsqueeze.default)


def keep_less(graph: fx.GraphModule) -> None:
    """Let a graph, which TorchScript is to take, keep less where a call has many atoms."""
    for node in graph.graph.nodes:
        if node.target == _OPS.vector_exchange.default:
            *inputs, keeps = node.args
            if keeps is True:
                node.args = (*inputs, _has_at_most(MOST_KEPT, node))
        if node.target == _OPS.table_attention_backward.default:
            _project_again(node)
        if node.target == torch.ops.aten.add.Tensor and not node.kwargs:
            _add_in_place(node)
    graph.recompile()


def _has_at_most(most: int, node: fx.Node) -> fx.Node:
    """Whether the first input of a node has at most so many rows, as a node before it."""
    with node.graph.inserting_before(node):
        rows = node.graph.call_function(torch.ops.aten.sym_size.int, (node.args[0], 0))
        return node.graph.call_function(operator.le, (rows, most))


def _project_again(backward: fx.Node) -> None:
    """Keep queries, keys and values of few atoms alone for the derivative of the attention, and x for those of many."""
    graph, (*grads, query, key, value) = backward.graph, backward.args[:7]
    projection = value.args[0] if isinstance(value, fx.Node) else None
    if not isinstance(value, fx.Node) or not isinstance(projection, fx.Node):
        return
    if projection.target != _OPS.atom_projection.default:
        return
    is_few = _has_at_most(MOST_PROJECTED, projection)
    with graph.inserting_before(value.next):
        kept = graph.call_function(kept_of_few, (is_few, query, key, value))
    with graph.inserting_before(backward):
        again = graph.call_function(projected_again, (is_few, kept, *projection.args))
        projected = tuple(graph.call_function(operator.getitem, (again, place)) for place in range(3))
    backward.args = (*grads, *projected, *backward.args[7:])


def _add_in_place(node: fx.Node) -> None:
    """Write a sum, as derivatives are full of, to one of its terms, where nothing else reads that."""
    for term, other in (node.args, node.args[::-1]):
        if isinstance(term, fx.Node) and _is_read_once(term) and _layout(term) == _layout(node):
            node.target, node.args = torch.ops.aten.add_.Tensor, (term, other)
            return


def _is_read_once(node: fx.Node) -> bool:
    """Whether a node has its result, which is a new array, from an op of this package, and has one reader."""
    if len(node.users) != 1:
        return False
    if node.target in (*_VIEWS, operator.getitem):
        source = node.args[0]
        is_part = node.target == operator.getitem
        return isinstance(source, fx.Node) and (_is_of_package(source) if is_part else _is_read_once(source))
    return _is_of_package(node) or node.target == torch.ops.aten.add_.Tensor


def _is_of_package(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target.namespace == "torchmdnet"


def _layout(node: fx.Node) -> tuple[str, ...]:
    """Shape and type; lengths that are not known are compared by their names."""
    value = node.meta["val"]
    return (*map(str, value.shape), str(value.dtype))


def kept_of_few(is_few: bool, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The arrays, or empty ones in their place."""
    if is_few:
        return query, key, value
    none = query.new_empty([0])
    return none, none, none


def projected_again(
    is_few: bool,
    kept: tuple[Tensor, Tensor, Tensor],
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    map: Tensor,
    transposed: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """What was kept, or the arrays anew, as of :func:`torchmdnet.ops.atom_projection.atom_projection`."""
    if is_few:
        return kept
    query, key, value = torch.ops.torchmdnet.atom_projection(x, scale, shift, map, transposed, bias, eps)
    return query, key, value
