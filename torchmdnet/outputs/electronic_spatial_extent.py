"""Electronic spatial extent heads."""

import torch
from torch import Tensor

from torchmdnet.elements import ATOMIC_MASSES
from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.outputs.dipole_moment import centered_positions
from torchmdnet.outputs.scalar import Scalar

__all__ = ["ElectronicSpatialExtent", "EquivariantElectronicSpatialExtent"]


class ElectronicSpatialExtent(Scalar):
    r""":math:`\sum_i x_i \, |r_i - r_\mathrm{com}|^2` for each system."""

    allows_prior = False
    atomic_mass: Tensor

    def __init__(
        self,
        hidden_channels: int,
        activation: str = "silu",
        *,
        reduce_op: str = "add",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(hidden_channels, activation, reduce_op=reduce_op, dtype=dtype)
        self.register_buffer("atomic_mass", torch.tensor(ATOMIC_MASSES, dtype=dtype))

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        centered = centered_positions(features.system, self.atomic_mass)
        return super().pre_reduce(features) * (centered * centered).sum(-1, keepdim=True)


class EquivariantElectronicSpatialExtent(ElectronicSpatialExtent):
    """The same head under the name that equivariant models look for; it reads the invariant features alone."""
