"""Priors that are energies in physical units."""

from abc import abstractmethod
from typing import Any

from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.priors.base import BasePrior, ExtraArgs
from torchmdnet.priors.option_checks import positive
from torchmdnet.units import EV_IN_JOULE

__all__ = ["EnergyPrior", "setting"]

METRES_PER_ANGSTROM = 1e-10


class EnergyPrior(BasePrior):
    """An energy, periodic or not, of which each atom has a share.

    Energies are in units of ``energy_scale`` Joules, lengths in units of ``distance_scale`` metres. Each is taken from
    the argument, else from the data set's attribute of that name, else it is eV or Å.

    Raises:
        ValueError: a scale that is no number above zero.
    """

    def __init__(self, *, distance_scale: float | None, energy_scale: float | None, dataset: Any) -> None:
        super().__init__(dataset=dataset)
        length = setting("distance_scale", distance_scale, dataset, METRES_PER_ANGSTROM)
        energy = setting("energy_scale", energy_scale, dataset, EV_IN_JOULE)
        self.distance_scale = positive(length, prior=type(self).__name__, option="distance_scale")
        self.energy_scale = positive(energy, prior=type(self).__name__, option="energy_scale")

    @abstractmethod
    def atom_energies(self, system: System, extra_args: ExtraArgs = None) -> Tensor:
        """Share of each atom. (N, 1)"""

    def post_reduce(
        self,
        y: Tensor,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        box: Tensor | None = None,
        extra_args: ExtraArgs = None,
    ) -> Tensor:
        """Add the energy. y: (B, 1) -> (B, 1)"""
        pbc = None if extra_args is None else extra_args.get("pbc")
        system = System(z=z, pos=pos, batch=batch, num_systems=y.shape[0], box=box, pbc=pbc)
        return y + scatter_sum(self.atom_energies(system, extra_args), batch, y.shape[0])


def setting(name: str, given: Any, dataset: Any, default: Any) -> Any:
    """Take a setting from the argument, else from the data set, else the default."""
    if given is not None:
        return given
    from_dataset = getattr(dataset, name, None)
    return default if from_dataset is None else from_dataset
