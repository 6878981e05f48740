"""Gated equivariant block."""

import torch
from torch import Tensor, nn

from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.mlp import MLP, reset_xavier
from torchmdnet.ops.vector_lengths import vector_lengths

__all__ = ["GatedEquivariantBlock"]


class GatedEquivariantBlock(nn.Module):
    r"""Scalars read the vectors' lengths and gate the vectors (Schütt et al. 2021, PaiNN).

    :math:`[x', g] = \mathrm{MLP}([x, \|W_1 V\|])`, :math:`V' = g \odot W_2 V`; with ``scalar_activation`` x' passes
    through the activation. The MLP has ``intermediate_channels`` hidden ones, by default as many as x.
    """

    def __init__(
        self,
        hidden_channels: int,
        out_channels: int,
        intermediate_channels: int | None = None,
        activation: str | type[nn.Module] = "silu",
        scalar_activation: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        activation = activation_class(activation)
        self.out_channels = out_channels
        self.vec1_proj = nn.Linear(hidden_channels, hidden_channels, bias=False)
        self.vec2_proj = nn.Linear(hidden_channels, out_channels, bias=False)
        self.update_net = MLP(
            2 * hidden_channels,
            2 * out_channels,
            hidden_channels=hidden_channels if intermediate_channels is None else intermediate_channels,
            activation=activation,
        )
        self.act = activation() if scalar_activation else nn.Identity()
        self.reset_parameters()
        self.to(dtype=dtype)

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        reset_xavier(self.vec1_proj)
        reset_xavier(self.vec2_proj)
        self.update_net.reset_parameters()

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """x: (N, C), v: (N, 3, C) -> (N, O), (N, 3, O)"""
        lengths = vector_lengths(self.vec1_proj(v))
        x, gate = self.update_net(torch.cat([x, lengths], dim=-1)).split(self.out_channels, dim=-1)
        return self.act(x), gate.unsqueeze(1) * self.vec2_proj(v)
