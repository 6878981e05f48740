"""Attention of scalars and vectors with what layers know of the distance: exact, or from a table."""

from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.activations import SiLU
from torchmdnet.nn.radial_tables import RadialWeights
from torchmdnet.ops.radial_table import interpolate
from torchmdnet.ops.table_attention import table_attention
from torchmdnet.ops.table_sum import edge_rows
from torchmdnet.ops.vector_attention import AttentionInput, edge_attention, split_factors, vector_attention

__all__ = ["radial_attention"]


def radial_attention(
    weights: RadialWeights, inputs: AttentionInput, *, graph: Graph, num_heads: int, activation: nn.Module
) -> tuple[Tensor, Tensor]:
    """Scalars and vectors that atoms receive; only of SiLU is there a native op. weights: (P, 4, C) or its table."""
    if isinstance(weights, Tensor):
        return vector_attention(weights, inputs, graph=graph, num_heads=num_heads, activation=activation)
    # Under autocast, linear maps give numbers of lower precision.
    dtype = weights.table.dtype
    inputs = AttentionInput(*[values.to(dtype) for values in inputs])
    if isinstance(activation, SiLU):
        return table_attention(weights.table, weights.s, inputs=inputs, graph=graph, num_heads=num_heads)
    return edge_attention(
        *split_factors(edge_rows(interpolate(weights.table, weights.s), graph.row_ptr, graph.pair)),
        inputs,
        receiver=graph.receiver,
        sender=graph.sender,
        num_heads=num_heads,
        activation=activation,
    )
