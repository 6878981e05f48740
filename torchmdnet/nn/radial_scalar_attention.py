"""Attention of scalars with what layers know of the distance: exact, or from a table."""

from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.activations import SiLU
from torchmdnet.nn.radial_tables import RadialWeights
from torchmdnet.ops.radial_table import interpolate
from torchmdnet.ops.scalar_attention import ScalarAttentionInput, scalar_attention
from torchmdnet.ops.table_scalar_attention import table_scalar_attention

__all__ = ["radial_scalar_attention"]


def radial_scalar_attention(
    weights: RadialWeights, inputs: ScalarAttentionInput, *, graph: Graph, num_heads: int, activation: nn.Module
) -> Tensor:
    """Scalars that atoms receive; only of SiLU is there a native op. weights: (P, 2, C) or its table -> (N, C)"""
    if isinstance(weights, Tensor):
        return scalar_attention(weights, inputs, graph=graph, num_heads=num_heads, activation=activation)
    # Under autocast, linear maps give numbers of lower precision.
    dtype = weights.table.dtype
    inputs = ScalarAttentionInput(*[values.to(dtype) for values in inputs])
    if isinstance(activation, SiLU):
        return table_scalar_attention(weights.table, weights.s, inputs=inputs, graph=graph, num_heads=num_heads)
    factors = interpolate(weights.table, weights.s)
    return scalar_attention(factors, inputs, graph=graph, num_heads=num_heads, activation=activation)
