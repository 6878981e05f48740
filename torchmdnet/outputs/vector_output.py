"""A vector of each system."""

import torch
from torch import Tensor

from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.outputs.scalar import EquivariantScalar, through_gated_network

__all__ = ["EquivariantVectorOutput"]


class EquivariantVectorOutput(EquivariantScalar):
    """Sum of the atoms' vectors, (B, 3): always a sum, whatever ``reduce_op`` the configuration names."""

    allows_prior = False
    is_sum = False
    is_differentiable = False
    labels = ("dp", "y")

    def __init__(self, hidden_channels: int, activation: str = "silu", *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(hidden_channels, activation, dtype=dtype)

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        _, v = through_gated_network(self.output_network, features)
        return v.squeeze(-1)
