"""Scalar heads: a number for each atom, summed to an energy."""

from torch import Tensor, nn

from torchmdnet.nn.gated_block import GatedEquivariantBlock
from torchmdnet.nn.mlp import MLP
from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.outputs.network_head import NetworkHead

__all__ = ["EquivariantScalar", "Scalar", "gated_network", "through_gated_network"]


def gated_network(hidden_channels: int, activation: type[nn.Module]) -> nn.ModuleList:
    """Two gated blocks that end in one channel."""
    half = hidden_channels // 2
    return nn.ModuleList(
        [
            GatedEquivariantBlock(hidden_channels, half, activation=activation, scalar_activation=True),
            GatedEquivariantBlock(half, 1, activation=activation),
        ]
    )


def through_gated_network(network: nn.ModuleList, features: AtomFeatures) -> tuple[Tensor, Tensor]:
    """Scalar (N, 1) and vector (N, 3, 1) of each atom.

    Raises ValueError when the features have no vectors.
    """
    x, v = features.x, features.v
    if v is None:
        raise ValueError("this head reads vector features: use it with an equivariant model (equivariant-transformer)")
    for block in network:
        x, v = block(x, v)
    return x, v


class Scalar(NetworkHead):
    """A two-layer network on the invariant features, H -> H/2 -> 1."""

    def create_network(self, hidden_channels: int, activation: type[nn.Module]) -> None:
        self.output_network = MLP(hidden_channels, 1, hidden_channels=hidden_channels // 2, activation=activation)

    def reset_parameters(self) -> None:
        self.output_network.reset_parameters()

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        result: Tensor = self.output_network(features.x)
        return result


class EquivariantScalar(NetworkHead):
    """Two gated blocks on invariant and vector features; the last vectors are left unused."""

    needs_vectors = True

    def create_network(self, hidden_channels: int, activation: type[nn.Module]) -> None:
        self.output_network = gated_network(hidden_channels, activation)

    def reset_parameters(self) -> None:
        for block in self.output_network:
            if isinstance(block, GatedEquivariantBlock):
                block.reset_parameters()

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        x, v = through_gated_network(self.output_network, features)
        # Every weight takes part in training: when it is distributed, it waits for the gradient of each of them.
        is_trained = self.output_network[-1].get_submodule("vec2_proj").get_parameter("weight").requires_grad
        return x + v.sum() * 0 if is_trained else x
