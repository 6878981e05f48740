"""What atoms do alone in the equivariant transformer, with copies of weights that do not change: by native ops."""

from typing import Any

import torch
from torch import Tensor, nn

from torchmdnet.nn.attention import Affine
from torchmdnet.ops.atom_projection import ProjectionMaps, atom_projection
from torchmdnet.ops.vector_exchange import ExchangeMaps, vector_exchange

__all__ = ["FrozenAttention"]

_PROJECTION = tuple(f"projection_{field}" for field in ProjectionMaps._fields)
_EXCHANGE = tuple(f"exchange_{field}" for field in ExchangeMaps._fields)
"""Names of the copies."""


class FrozenAttention(nn.Module):
    """Copies of an attention layer's maps, side by side and transposed; they are no part of a checkpoint.

    Args:
        norm: The layer norm before the projections.
        projections: Maps to queries, keys and values, the latter with all v^s before all v^1 before all v^2.
        received: The map of the scalars that an atom received.
        vectors: The map of its vectors, without bias.
    """

    def __init__(
        self, norm: nn.LayerNorm, *, projections: tuple[Affine, Affine, Affine], received: Affine, vectors: Tensor
    ) -> None:
        super().__init__()
        self.eps = norm.eps
        weight = torch.cat([projection.weight for projection in projections])
        bias = torch.cat([projection.bias for projection in projections])
        self._keep(_PROJECTION, ProjectionMaps(norm.weight, norm.bias, weight.t(), weight, bias))
        maps = ExchangeMaps(received.weight.t(), received.weight, received.bias, vectors.t(), vectors)
        self._keep(_EXCHANGE, maps)

    def _keep(self, names: tuple[str, ...], maps: ProjectionMaps | ExchangeMaps) -> None:
        for name, value in zip(names, maps, strict=True):
            copy = value.detach().clone(memory_format=torch.contiguous_format)
            self.register_buffer(name, copy, persistent=False)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values. (N, C) -> (N, C), (N, C), (N, 3 C)"""
        return atom_projection(x, self.projection_maps(), eps=self.eps)

    def exchanged(self, x: Tensor, v: Tensor, *, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """x and v with what came from the neighbours. x, scalars: (N, C), v, vectors: (N, 3, C)"""
        return vector_exchange(x, v, received=scalars, vectors=vectors, maps=self.exchange_maps())

    def projection_maps(self) -> ProjectionMaps:
        """Maps to queries, keys and values."""
        return ProjectionMaps(*self._kept(_PROJECTION))

    def exchange_maps(self) -> ExchangeMaps:
        """Maps of what an atom received."""
        return ExchangeMaps(*self._kept(_EXCHANGE))

    def _kept(self, names: tuple[str, ...]) -> list[Any]:
        """Copies by their names, without PyTorch's search for them."""
        return [self._buffers[name] for name in names]
