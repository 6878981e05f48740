"""Errors of a model in physical units, with the statistics that a table of errors needs."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from torchmdnet.elements import SYMBOLS

__all__ = ["ErrorRow", "ErrorSums", "Errors"]

_QUANTITIES = ("energy", "energy per atom", "forces", "stress", "prediction")
_PER = {"energy": "", "energy per atom": "/atom", "forces": "/{length}", "stress": "/{length}³"}
_NUM_ELEMENTS = len(SYMBOLS)


class ErrorRow(NamedTuple):
    """Error of one quantity."""

    quantity: str
    """Such as "energy per atom", or "forces on O"."""
    unit: str
    mae: float
    """Mean absolute error in ``unit``."""
    rmse: float
    """Root of the mean squared error in ``unit``."""
    num_values: int
    """Number of compared components."""


class Errors(NamedTuple):
    """Prediction less label of one batch; None where the data have no label."""

    z: Tensor
    """Atomic numbers. (N,) int64"""
    num_atoms: Tensor
    """Atoms of each system. (B,)"""
    energy: Tensor | None = None
    """(B, 1)"""
    forces: Tensor | None = None
    """(N, 3)"""
    stress: Tensor | None = None
    """(B, 3, 3)"""


class ErrorSums(Metric):
    r"""Sums of $|e|$, $e^2$ and 1 over the components of each quantity, over all batches and processes.

    Forces and stress are compared component by component; the energy of a system also divided by its atoms. Forces are
    kept apart by element too.

    Args:
        is_energy: Whether the model's output is an energy; another output is one row without unit.
        energy_unit: Unit of the energies; errors in eV are told in meV.
        length_unit: Unit of the positions.
    """

    full_state_update = False
    quantities: Tensor
    elements: Tensor

    def __init__(self, *, is_energy: bool = True, energy_unit: str = "eV", length_unit: str = "Å") -> None:
        super().__init__()
        self.length_unit = length_unit
        self.is_energy = is_energy
        self.energy_unit = energy_unit
        zeros = torch.zeros(len(_QUANTITIES), 3, dtype=torch.float64)
        self.add_state("quantities", zeros, dist_reduce_fx="sum")
        self.add_state("elements", torch.zeros(_NUM_ELEMENTS, 3, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, errors: Errors) -> None:
        """Take in the errors of one batch."""
        if errors.energy is not None and self.is_energy:
            self._add("energy", errors.energy)
            self._add("energy per atom", errors.energy / errors.num_atoms.unsqueeze(1))
        elif errors.energy is not None:
            self._add("prediction", errors.energy)
        if errors.forces is not None:
            self._add("forces", errors.forces)
            self.elements.index_add_(0, errors.z, _sums(errors.forces.double(), dim=1))
        if errors.stress is not None:
            self._add("stress", errors.stress)

    def compute(self) -> list[ErrorRow]:
        """One row for each quantity that was compared, then one for each element's forces."""
        rows = [_row(name, sums, *self._unit(name)) for name, sums in zip(_QUANTITIES, self.quantities, strict=True)]
        rows += [
            _row(f"forces on {symbol}", sums, *self._unit("forces"))
            for symbol, sums in zip(SYMBOLS, self.elements, strict=True)
        ]
        return [row for row in rows if row.num_values]

    def _unit(self, quantity: str) -> tuple[float, str]:
        """Factor and name of the unit that a quantity's errors are told in."""
        if quantity not in _PER:
            return 1.0, ""
        per = _PER[quantity].format(length=self.length_unit)
        return (1000.0, f"meV{per}") if self.energy_unit == "eV" else (1.0, self.energy_unit + per)

    def _add(self, quantity: str, error: Tensor) -> None:
        self.quantities[_QUANTITIES.index(quantity)] += _sums(error.double().reshape(-1), dim=0)


def _sums(error: Tensor, *, dim: int) -> Tensor:
    return torch.stack([error.abs().sum(dim), error.square().sum(dim), torch.ones_like(error).sum(dim)], dim=-1)


def _row(name: str, sums: Tensor, scale: float, unit: str) -> ErrorRow:
    absolute, squared, count = sums.tolist()
    divisor = max(count, 1.0)
    return ErrorRow(name, unit, scale * absolute / divisor, scale * math.sqrt(squared / divisor), int(count))
