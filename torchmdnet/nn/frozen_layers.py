r"""All layers of the equivariant transformer as one node of a graph of derivatives, for weights that are not trained.

What every layer does is :class:`torchmdnet.nn.frozen_attention.FrozenAttention` and
:func:`torchmdnet.ops.table_attention.table_attention`. Between their ops PyTorch keeps a record for the derivatives,
which takes longer than the ops themselves where atoms are few; here the order of the ops is known beforehand.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.activations import SiLU
from torchmdnet.nn.frozen_attention import FrozenAttention
from torchmdnet.nn.radial_tables import RadialWeights, TableWeights
from torchmdnet.ops import vector_exchange
from torchmdnet.ops.atom_projection import ProjectionMaps
from torchmdnet.ops.eager import is_watched, without_records
from torchmdnet.ops.vector_exchange import ExchangeMaps

__all__ = ["are_one_node", "through_frozen_layers"]

MOST_PROJECTED = 2048
"""Atoms up to which queries, keys and values are kept for the derivative; for more they are computed again."""


class FrozenLayer(NamedTuple):
    """Constants of a layer."""

    projection: ProjectionMaps
    eps: float
    """Of the layer norm."""
    table: Tensor
    """Factors of the attention. (M, 6, 4, C)"""
    exchange: ExchangeMaps


class Kept(NamedTuple):
    """What a layer keeps for its derivative."""

    x: Tensor
    v: Tensor
    projected: Sequence[Tensor] | None
    """Queries, keys and values; None where they are computed again."""
    received: Tensor
    products: Sequence[Tensor]
    """What :mod:`torchmdnet.ops.vector_exchange` keeps."""


class Surroundings(NamedTuple):
    """What all layers read of the edges."""

    edges: tuple[Tensor, ...]
    """receiver, sender, row_ptr, pair"""
    num_heads: int


def are_one_node(activations: Iterable[nn.Module]) -> bool:
    """Whether layers with these activations of the attention can be one node, and nobody wants to see their ops."""
    return not is_watched() and all(isinstance(activation, SiLU) for activation in activations)


def through_frozen_layers(
    x: Tensor,
    layers: Sequence[tuple[FrozenAttention, RadialWeights]],
    *,
    direction: Tensor,
    graph: Graph,
    num_heads: int,
) -> tuple[Tensor, Tensor]:
    """Scalars and vectors after all layers, the vectors before them being zero.

    Differentiable once, by x, the direction and the coordinates in the tables, and in a single backward pass.

    Shapes: x: (N, C), direction: (E, 3) -> (N, C), (N, 3, C).

    Raises:
        RuntimeError: another backward pass is asked for.
    """
    tables = [weights for _, weights in layers if isinstance(weights, TableWeights)]
    constants = [
        FrozenLayer(maps.projection_maps(), maps.eps, weights.table, maps.exchange_maps())
        for (maps, _), weights in zip(layers, tables, strict=True)
    ]
    surroundings = Surroundings((graph.receiver, graph.sender, graph.row_ptr, graph.pair), num_heads)
    arrays = (x.contiguous(), tables[0].s.contiguous(), direction.contiguous())
    result: tuple[Tensor, Tensor] = _Layers.apply(*arrays, constants, surroundings)
    return result


class _Layers(torch.autograd.Function):
    """(x, s, direction) -> x, V."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        s: Tensor,
        direction: Tensor,
        layers: Sequence[FrozenLayer],
        surroundings: Surroundings,
    ) -> tuple[Tensor, Tensor]:
        edges, num_heads = surroundings
        num_atoms, channels = x.shape
        is_recorded = any(ctx.needs_input_grad)
        keeps = is_recorded and num_atoms <= vector_exchange.MOST_KEPT
        ctx.save_for_backward(s, direction, *edges)
        ctx.layers, ctx.num_heads, ctx.kept = layers, num_heads, []
        ops = torch.ops.torchmdnet
        v = x.new_zeros((num_atoms, 3, channels))
        with without_records():
            for layer in layers:
                projected = ops.atom_projection.default(x, *layer.projection, layer.eps)
                attention = (layer.table, s, *projected, v, direction, *edges, num_heads)
                received, vectors = ops.table_attention.default(*attention)
                exchange = (x, v, received, vectors, *layer.exchange, keeps)
                new_x, new_v, *products = ops.vector_exchange.default(*exchange)
                if is_recorded:
                    again = num_atoms > MOST_PROJECTED
                    ctx.kept.append(Kept(x, v, None if again else projected, received, products))
                x, v = new_x, new_v
        return x, v

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_x: Tensor, by_v: Tensor) -> tuple[Tensor | None, ...]:
        if len(ctx.kept) != len(ctx.layers):
            raise RuntimeError("these layers keep what a single backward pass needs, and that was done")
        s, direction, *edges = ctx.saved_tensors
        by_x, by_v = by_x.contiguous(), by_v.contiguous()
        by_s, by_direction = torch.zeros_like(s), torch.zeros_like(direction)
        ops = torch.ops.torchmdnet
        with without_records():
            for layer in reversed(ctx.layers):
                x, v, projected, received, products = ctx.kept.pop()  # memory is free as soon as a layer is done
                exchange = (by_x, by_v, v, received, *products, *layer.exchange)
                through_v, by_received = ops.vector_exchange_backward.default(*exchange)
                if projected is None:
                    projected = ops.atom_projection.default(x, *layer.projection, layer.eps)
                attention = (by_received, by_v, layer.table, s, *projected, v, direction, *edges, ctx.num_heads)
                of_s, *by_projected, of_v, of_direction = ops.table_attention_backward.default(*attention)
                of_x = ops.atom_projection_backward.default(*by_projected, x, *layer.projection, layer.eps)
                by_x, by_v = of_x.add_(by_x), through_v.add_(of_v)
                by_s.add_(of_s)
                by_direction.add_(of_direction)
        return by_x, by_s, by_direction, None, None
