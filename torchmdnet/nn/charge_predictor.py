"""Charges of atoms that add up to the charge of their system."""

import math
import warnings

import torch
from torch import Tensor, nn

from torchmdnet.graph import System
from torchmdnet.nn.mlp import MLP
from torchmdnet.ops.scatter import scatter_sum

__all__ = ["ChargePredictor", "equilibrated_charges"]

_LEAST_FREEDOM = 1e-6
"""Keeps the share of a system whose atoms all hold on to their charges finite."""


def equilibrated_charges(charge: Tensor, freedom: Tensor, system: System) -> Tensor:
    r"""Spread what is missing to the total charge Q over a system's atoms.

    :math:`c_i + \frac{g_i^2}{\sum_j g_j^2 + 10^{-6}} (Q - \sum_j c_j)`: the sum is Q where the freedoms g are not
    tiny. Without ``system.q`` Q is 0. Shapes: charge c, freedom g: (N, K) -> (N, K), in e.
    """
    squared = freedom * freedom
    missing = -scatter_sum(charge, system.batch, system.num_systems)
    if system.q is not None:
        missing = missing + system.q.to(charge.dtype).unsqueeze(-1)
    ratio = missing / (scatter_sum(squared, system.batch, system.num_systems) + _LEAST_FREEDOM)
    return charge + squared * ratio.index_select(0, system.batch)


class ChargePredictor(nn.Module):
    r"""K charges of each atom, by a network of its tensor's :math:`[\mathrm{tr} X / 3, \|A\|^2, \|S\|^2]`."""

    def __init__(self, hidden_channels: int, q_dim: int, *, activation: type[nn.Module]) -> None:
        super().__init__()
        self.q_norm = nn.LayerNorm(3 * hidden_channels)
        with warnings.catch_warnings():
            # Models without a charge have a layer without rows, which PyTorch says needs no initial values.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors", UserWarning)
            self.q_mlp = MLP(
                3 * hidden_channels,
                2 * q_dim,
                hidden_channels=hidden_channels,
                activation=activation,
                num_hidden_layers=1,
            )

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        self.q_norm.reset_parameters()
        self.q_mlp.reset_parameters()

    def forward(self, x: Tensor, system: System, *, norms: Tensor) -> Tensor:
        """x: (9, N, C), its squared norms part by part, side by side: (N, 3 C) -> (N, K)"""
        trace = x[0] / math.sqrt(3)
        numbers = torch.cat([trace, norms[:, x.shape[-1] :]], dim=-1)
        charge, freedom = self.q_mlp(self.q_norm(numbers)).chunk(2, dim=-1)
        return equilibrated_charges(charge, freedom, system)
