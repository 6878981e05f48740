"""Fully connected networks."""

import torch
from torch import Tensor, nn

from torchmdnet.nn.activations import activation_class

__all__ = ["MLP", "reset_xavier"]


def reset_xavier(linear: nn.Linear) -> None:
    """Xavier-uniform weights and zero bias."""
    nn.init.xavier_uniform_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


class MLP(nn.Module):
    """Linear, activation, ``num_hidden_layers`` more of both, linear. (..., in) -> (..., out).

    ``activation`` is a name in ``act_class_mapping`` or a class.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        activation: str | type[nn.Module],
        num_hidden_layers: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        activation = activation_class(activation)
        self.layers = nn.Sequential(nn.Linear(in_channels, hidden_channels), activation())
        for _ in range(num_hidden_layers):
            self.layers.append(nn.Linear(hidden_channels, hidden_channels))
            self.layers.append(activation())
        self.layers.append(nn.Linear(hidden_channels, out_channels))
        self.reset_parameters()
        self.to(dtype=dtype)

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                reset_xavier(layer)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result
