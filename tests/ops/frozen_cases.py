"""Weights and features for the ops on single atoms of the equivariant transformer."""

from table_cases import features
from torch import Tensor, float64
from torch import dtype as Type

from torchmdnet.ops.atom_projection import ProjectionMaps
from torchmdnet.ops.vector_exchange import ExchangeMaps

SIZES = [(7, 6), (1, 1), (29, 16), (60, 40), (26, 72), (2, 128)]
"""Atoms and channels: columns narrower than a tile, as wide, and with some left over; less than a block and more."""


def projection_case(num_atoms: int, channels: int, dtype: Type = float64) -> tuple[Tensor, ProjectionMaps]:
    """Features of some mean and width, and maps."""
    weight = 0.3 * features(5 * channels, channels, seed=1, dtype=dtype)
    scale, shift = features(2, channels, seed=2, dtype=dtype)
    bias = features(5 * channels, seed=3, dtype=dtype)
    x = 1 + 2 * features(num_atoms, channels, seed=4, dtype=dtype)
    return x, ProjectionMaps(scale, shift, weight.t().contiguous(), weight, bias)


def exchange_case(num_atoms: int, channels: int, dtype: Type = float64) -> tuple[list[Tensor], ExchangeMaps]:
    """Features x, v, received and vectors, and maps."""
    weight, vector_weight = 0.3 * features(2, 3 * channels, channels, seed=1, dtype=dtype)
    bias = features(3 * channels, seed=3, dtype=dtype)
    maps = ExchangeMaps(
        weight.t().contiguous(),
        weight.contiguous(),
        bias,
        vector_weight.t().contiguous(),
        vector_weight.contiguous(),
    )
    scalars, vectors = (num_atoms, channels), (num_atoms, 3, channels)
    shapes = (scalars, vectors, scalars, vectors)
    return [features(*shape, seed=5 + n, dtype=dtype) for n, shape in enumerate(shapes)], maps
