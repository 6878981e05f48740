"""Priors that are sums over pairs of atoms."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.priors.base import BasePrior, ExtraArgs
from torchmdnet.units import EV_IN_JOULE

__all__ = ["PairPrior", "atomic_number_table", "look_up_types", "setting"]

METRES_PER_ANGSTROM = 1e-10


class PairPrior(BasePrior):
    """A sum over pairs, periodic or not; half of each pair's energy belongs to either atom.

    Energies are in units of ``energy_scale`` Joules, lengths in units of ``distance_scale`` metres. Each is taken from
    the argument, else from the data set's attribute of that name, else it is eV or Å.
    """

    def __init__(self, *, distance_scale: float | None, energy_scale: float | None, dataset: Any) -> None:
        super().__init__(dataset=dataset)
        self.distance_scale = float(setting("distance_scale", distance_scale, dataset, METRES_PER_ANGSTROM))
        self.energy_scale = float(setting("energy_scale", energy_scale, dataset, EV_IN_JOULE))

    @abstractmethod
    def neighbors(self, system: System) -> Graph:
        """List the pairs; both directions, no self pairs."""

    @abstractmethod
    def pair_energies(self, graph: Graph, system: System, extra_args: ExtraArgs) -> Tensor:
        """Energy of the pair that each edge belongs to. (E,)"""

    def atom_energies(self, system: System, extra_args: ExtraArgs = None) -> Tensor:
        """Half the energy of each atom's pairs. (N, 1)"""
        graph = self.neighbors(system)
        energies = self.pair_energies(graph, system, extra_args)
        return 0.5 * scatter_sum(energies, graph.receiver, system.z.shape[0]).unsqueeze(1)

    def post_reduce(
        self,
        y: Tensor,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        box: Tensor | None = None,
        extra_args: ExtraArgs = None,
    ) -> Tensor:
        """Add the energy of the pairs. y: (B, 1) -> (B, 1)"""
        pbc = None if extra_args is None else extra_args.get("pbc")
        system = System(z=z, pos=pos, batch=batch, num_systems=y.shape[0], box=box, pbc=pbc)
        return y + scatter_sum(self.atom_energies(system, extra_args), batch, y.shape[0])


def setting(name: str, given: Any, dataset: Any, default: Any) -> Any:
    """Take a setting from the argument, else from the data set, else the default."""
    if given is not None:
        return given
    from_dataset = getattr(dataset, name, None)
    return default if from_dataset is None else from_dataset


def look_up_types(z: Tensor, atomic_number: Tensor, *, prior: str, lowest: int = 0) -> Tensor:
    """Turn atom types into atomic numbers. z: (N,), atomic_number: (T,) -> (N,)

    Raises:
        ValueError: a type that the table does not have, or an atomic number below ``lowest``.
    """
    reads_values = z.numel() > 0 and not torch.compiler.is_compiling()
    if reads_values and not 0 <= int(z.min()) <= int(z.max()) < len(atomic_number):
        bad = int(z.max()) if int(z.min()) >= 0 else int(z.min())
        raise ValueError(
            f"{prior} knows the atom types 0 to {len(atomic_number) - 1}, not {bad}; "
            "its option 'atomic_number' lists the atomic number of each type"
        )
    number = atomic_number[z]
    if reads_values and int(number.min()) < lowest:
        raise ValueError(f"{prior} has no parameters for the atomic number {int(number.min())}")
    return number


def atomic_number_table(given: Sequence[int] | Tensor | None, dataset: Any, *, highest: int, prior: str) -> Tensor:
    """Atomic number of each atom type; by default a type is an atomic number. (T,) int64

    Raises:
        ValueError: numbers beyond what the prior has parameters for.
    """
    table = torch.as_tensor(setting("atomic_number", given, dataset, range(highest + 1)), dtype=torch.int64)
    if table.ndim != 1 or table.numel() == 0 or int(table.min()) < 0 or int(table.max()) > highest:
        raise ValueError(f"{prior}: 'atomic_number' must list numbers from 0 to {highest}, not {table.tolist()}")
    return table
