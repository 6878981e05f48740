"""The part of an interaction that TensorNet and its successors share: all but the message."""

from torch import Tensor, nn

from torchmdnet.nn.tensor_layers import RadialNetwork, fused_maps, part_linear, tensor_linears
from torchmdnet.ops.tensor_algebra import anticommutator, matrix_product, normalize
from torchmdnet.ops.tensor_mix import tensor_mix
from torchmdnet.ops.tensor_update import tensor_update

__all__ = ["GROUPS", "TensorInteraction", "check_group"]

GROUPS = ("O(3)", "SO(3)")
"""Symmetry of the model: with reflections or without."""


def check_group(group: str) -> None:
    """Refuse a name that is not in ``GROUPS``."""
    if group not in GROUPS:
        raise ValueError(f"equivariance_invariance_group {group!r} is not known; choose one of {', '.join(GROUPS)}")


class TensorInteraction(nn.Module):
    r"""One update of the tensors; a subclass forms the message M in between :meth:`mixed` and :meth:`updated`.

    With :math:`Y = \mathrm{linear}(X / (\|X\|^2 + 1))` the product is :math:`T = \kappa (Y M + M Y)` in O(3),
    :math:`T = 2 Y M` in SO(3); with :math:`D = \mathrm{linear}(T / (\|T\|^2 + 1))` the update is
    :math:`X + D + \kappa D^2`.
    """

    def __init__(self, hidden_channels: int, num_features: int, *, activation: type[nn.Module], group: str) -> None:
        super().__init__()
        self.group = group
        self.act = activation()
        self.linears_scalar = RadialNetwork(hidden_channels, num_features)
        self.linears_tensor = tensor_linears(hidden_channels, 6)

    def mixed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised X, and Y. (9, N, C) -> (9, N, C), (9, N, C)"""
        linears = list(self.linears_tensor)[:3]
        maps = fused_maps(x, linears)
        if maps is not None:
            return tensor_mix(x, maps)
        x = normalize(x)
        return x, part_linear(x, linears)

    def updated(self, x: Tensor, y: Tensor, *, message: Tensor, kappa: Tensor | None = None) -> Tensor:
        """New X. x, y, message: (9, N, C), kappa: (N, 1) or None for 1 -> (9, N, C)"""
        linears = list(self.linears_tensor)[3:]
        maps = fused_maps(x, linears)
        if maps is not None:
            both = self.group == "O(3)"
            return tensor_update(x, y, message=message, maps=maps, kappa=kappa, both=both)
        t = anticommutator(y, message) if self.group == "O(3)" else 2 * matrix_product(y, message)
        if kappa is not None and self.group == "O(3)":
            t = kappa * t
        delta = part_linear(normalize(t), linears)
        square = matrix_product(delta, delta)
        return x + delta + (square if kappa is None else kappa * square)
