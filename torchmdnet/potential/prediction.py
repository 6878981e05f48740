"""What a potential says of a batch of systems."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Prediction"]


class Prediction(NamedTuple):
    """What a potential says of B systems with N atoms."""

    energy: Tensor
    """Energy, or the head's other quantity, of each system. (B, 1)"""
    forces: Tensor | None = None
    """Minus the gradient with respect to positions. (N, 3)"""
    stress: Tensor | None = None
    r"""Strain derivative over volume, :math:`\frac1V \partial E / \partial \epsilon` (sign as in ASE). (B, 3, 3)"""
    energies: Tensor | None = None
    """Share of each atom in the energy, which they add up to. (N, 1)"""

    def without_graph(self) -> "Prediction":
        """The same numbers, which nobody can differentiate."""
        energy, *others = self
        return Prediction(energy.detach(), *(None if value is None else value.detach() for value in others))
