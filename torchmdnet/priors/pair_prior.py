"""Priors that are sums over pairs of atoms."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.ops import recording
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.priors.base import ExtraArgs
from torchmdnet.priors.energy_prior import EnergyPrior, setting

__all__ = ["PairPrior", "atomic_number_table", "look_up_types"]


CONTACT_METRE = 1e-14
"""Nearer atoms count as this far apart: those at one place have a huge energy and not an infinite one."""


class PairPrior(EnergyPrior):
    """A sum over pairs, periodic or not; half of each pair's energy belongs to either atom."""

    @abstractmethod
    def neighbors(self, system: System) -> Graph:
        """List the pairs; both directions, no self pairs."""

    @abstractmethod
    def pair_energies(self, graph: Graph, system: System, extra_args: ExtraArgs) -> Tensor:
        """Energy of the pair that each edge belongs to. (E,)"""

    def edge_lengths(self, graph: Graph) -> Tensor:
        """Length of each edge, none of them zero. (E,)"""
        return graph.distance.clamp(min=CONTACT_METRE / self.distance_scale)

    def atom_energies(self, system: System, extra_args: ExtraArgs = None) -> Tensor:
        """Half the energy of each atom's pairs. (N, 1)"""
        graph = self.neighbors(system)
        energies = self.pair_energies(graph, system, extra_args)
        return 0.5 * scatter_sum(energies, graph.receiver, system.z.shape[0]).unsqueeze(1)


def look_up_types(z: Tensor, atomic_number: Tensor, *, prior: str, lowest: int = 0) -> Tensor:
    """Turn atom types into atomic numbers. z: (N,), atomic_number: (T,) -> (N,)

    Raises:
        ValueError: a type that the table does not have, or an atomic number below ``lowest``.
    """
    reads_values = z.numel() > 0 and not recording.is_recorded(z)
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
