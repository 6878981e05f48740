"""Random atoms for the benchmark of neighbour lists, the same for every library."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

ATOMS_PER_CUBIC_ANGSTROM = 0.1
SHAPES = {
    "cubic": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "triclinic": ((1.0, 0.0, 0.0), (0.3, 1.0, 0.0), (-0.25, 0.4, 1.0)),
    "open": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}
"""Cells of volume 1, lower triangular and reduced, as TorchMD-NET wants them; "open" is a cube without periodicity."""


@dataclass(frozen=True)
class Case:
    """Random atoms whose pairs are to be listed."""

    num_atoms: int
    """Atoms in a system."""
    num_systems: int
    cell: str
    cutoff: float
    dtype: str
    """float32 or float64"""
    device: str = "cpu"
    fixed: bool = False
    """Whether the result has a size that does not depend on the number of pairs."""
    num_pairs: int = 0
    """Directed pairs; 0 where nobody knows yet."""
    most: int = 0
    """Most neighbours of an atom."""

    @property
    def periodic(self) -> bool:
        """Whether all axes are periodic."""
        return self.cell != "open"

    def box(self) -> NDArray[np.float64]:
        """Cell vectors as rows, of values that the dtype holds exactly. (3, 3)"""
        edge = np.cbrt(self.num_atoms / ATOMS_PER_CUBIC_ANGSTROM)
        return (np.array(SHAPES[self.cell]) * edge).astype(self.dtype).astype(np.float64)

    def positions(self) -> NDArray[np.float64]:
        """Atoms inside the cell, of values that the dtype holds exactly. (B, n, 3)"""
        fraction = np.random.default_rng(0).random((self.num_systems, self.num_atoms, 3)) * (1 - 1e-6)
        return (fraction @ self.box()).astype(self.dtype).astype(np.float64)

    def wrong(self, pairs: int) -> str:
        """Why a number of pairs is not that of the case; in float32, rounding at the cutoff may decide otherwise."""
        allowed = 0 if self.dtype == "float64" else 4 + 1e-5 * self.num_pairs
        return f"wrong: {pairs} pairs for {self.num_pairs}" if abs(pairs - self.num_pairs) > allowed else ""


class Tensors(NamedTuple):
    """A case as tensors in its dtype on its device."""

    pos: torch.Tensor
    batch: torch.Tensor
    box: torch.Tensor
    periodic: torch.Tensor


def tensors(case: Case) -> Tensors:
    """pos (N, 3), batch (N,) int64, box (3, 3), periodic (3,) bool."""
    dtype = getattr(torch, case.dtype)
    return Tensors(
        pos=torch.tensor(case.positions().reshape(-1, 3), dtype=dtype, device=case.device),
        batch=torch.arange(case.num_systems, device=case.device).repeat_interleave(case.num_atoms),
        box=torch.tensor(case.box(), dtype=dtype, device=case.device),
        periodic=torch.full((3,), case.periodic, device=case.device),
    )
