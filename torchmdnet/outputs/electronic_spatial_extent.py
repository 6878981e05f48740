"""Electronic spatial extent heads."""

import torch
from torch import Tensor, nn

from torchmdnet.elements import ATOMIC_MASSES
from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.outputs.dipole_moment import centered_positions
from torchmdnet.outputs.network_head import PropertyHead
from torchmdnet.outputs.scalar import Scalar

__all__ = ["ElectronicSpatialExtent", "EquivariantElectronicSpatialExtent"]


class ElectronicSpatialExtent(PropertyHead, Scalar):
    r""":math:`\sum_i x_i \, |r_i - r_\mathrm{com}|^2` for each system."""

    atomic_mass: Tensor

    def create_network(self, hidden_channels: int, activation: type[nn.Module]) -> None:
        super().create_network(hidden_channels, activation)
        self.register_buffer("atomic_mass", torch.tensor(ATOMIC_MASSES, dtype=torch.float64))

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        centered = centered_positions(features.system, self.atomic_mass)
        return super().pre_reduce(features) * (centered * centered).sum(-1, keepdim=True)


class EquivariantElectronicSpatialExtent(ElectronicSpatialExtent):
    """The same head under the name that equivariant models look for; it reads the invariant features alone."""
