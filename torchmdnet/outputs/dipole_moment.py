"""Dipole moment heads: a sum of vectors, or its length."""

import torch
from torch import Tensor, nn

from torchmdnet.elements import ATOMIC_MASSES
from torchmdnet.graph import System
from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.vector_lengths import safe_norm
from torchmdnet.outputs.network_head import PropertyHead
from torchmdnet.outputs.scalar import EquivariantScalar, Scalar, through_gated_network

__all__ = [
    "DipoleMoment",
    "DipoleVector",
    "EquivariantDipoleMoment",
    "EquivariantDipoleVector",
    "centered_positions",
]


def centered_positions(system: System, atomic_mass: Tensor) -> Tensor:
    """Positions from each system's centre of mass. masses: (119,) -> (N, 3)"""
    mass = atomic_mass[system.z].unsqueeze(-1)
    total = scatter_sum(mass, system.batch, system.num_systems).clamp(min=torch.finfo(mass.dtype).tiny)
    center = scatter_sum(mass * system.pos, system.batch, system.num_systems) / total
    return system.pos - center[system.batch]


class DipoleMoment(PropertyHead, Scalar):
    r""":math:`\| \sum_i x_i (r_i - r_\mathrm{com}) \|` for each system."""

    is_sum = False
    atomic_mass: Tensor

    def create_network(self, hidden_channels: int, activation: type[nn.Module]) -> None:
        super().create_network(hidden_channels, activation)
        self.register_buffer("atomic_mass", torch.tensor(ATOMIC_MASSES, dtype=torch.float64))

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        return super().pre_reduce(features) * centered_positions(features.system, self.atomic_mass)

    def post_reduce(self, x: Tensor) -> Tensor:
        return safe_norm(x, dim=-1).unsqueeze(-1)


class EquivariantDipoleMoment(PropertyHead, EquivariantScalar):
    r""":math:`\| \sum_i x_i (r_i - r_\mathrm{com}) + v_i \|` for each system (Schütt et al. 2021, PaiNN)."""

    is_sum = False
    atomic_mass: Tensor

    def create_network(self, hidden_channels: int, activation: type[nn.Module]) -> None:
        super().create_network(hidden_channels, activation)
        self.register_buffer("atomic_mass", torch.tensor(ATOMIC_MASSES, dtype=torch.float64))

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        x, v = through_gated_network(self.output_network, features)
        return x * centered_positions(features.system, self.atomic_mass) + v.squeeze(-1)

    def post_reduce(self, x: Tensor) -> Tensor:
        return safe_norm(x, dim=-1).unsqueeze(-1)


class DipoleVector(DipoleMoment):
    r""":math:`\sum_i x_i (r_i - r_\mathrm{com})` for each system, (B, 3): the vector whose length DipoleMoment gives.

    The dipole of a charged system is that about its centre of mass. Trained on ``dp``.
    """

    is_differentiable = False
    labels = ("dp", "y")

    def post_reduce(self, x: Tensor) -> Tensor:
        return x


class EquivariantDipoleVector(EquivariantDipoleMoment):
    r""":math:`\sum_i x_i (r_i - r_\mathrm{com}) + v_i` for each system, (B, 3), as :class:`DipoleVector`."""

    is_differentiable = False
    labels = ("dp", "y")

    def post_reduce(self, x: Tensor) -> Tensor:
        return x
