"""Gated linear units: a linear map of the features gates another one."""

import torch
from torch import Tensor, nn

__all__ = ["GLU", "SwiGLU", "Swish"]


class Swish(nn.Module):
    r""":math:`x \, \sigma(\beta x)` (Ramachandran et al. 2017). Shape kept."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


class GLU(nn.Module):
    r""":math:`(W x + b) \odot \phi(V x + c)` (Dauphin et al. 2017). (..., in) -> (..., hidden)

    Args:
        in_channels: Channels of x.
        hidden_channels: Channels of the result; None for those of x.
        activation: :math:`\phi`; None for the logistic function.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int | None = None, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        hidden_channels = in_channels if hidden_channels is None else hidden_channels
        self.act = nn.Sigmoid() if activation is None else activation
        self.W = nn.Linear(in_channels, hidden_channels)
        self.V = nn.Linear(in_channels, hidden_channels)

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.W(x) * self.act(self.V(x))
        return gated


class SwiGLU(nn.Module):
    """:class:`GLU` with :class:`Swish` (Shazeer 2020). (..., in) -> (..., hidden)"""

    def __init__(self, in_features: int, hidden_features: int | None = None, beta: float = 1.0) -> None:
        super().__init__()
        self.glu = GLU(in_features, hidden_features, Swish(beta))

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.glu(x)
        return gated
