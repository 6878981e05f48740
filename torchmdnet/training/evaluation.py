"""Errors and samples of a model's predictions on one set of frames."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmdnet.training.distributed import gather_objects
from torchmdnet.training.errors import ErrorRow, Errors, ErrorSums

__all__ = ["Comparison", "Evaluation", "EvaluationResult", "Samples"]

MAX_SAMPLES = 100_000
"""Pairs of numbers that each process keeps for a plot."""


class Comparison(NamedTuple):
    """Predictions and labels of one batch; labels are None where the data have none."""

    z: Tensor
    """(N,) int64"""
    num_atoms: Tensor
    """Atoms of each system. (B,)"""
    energy: Tensor
    """Without the constants that were taken from the label. (B, 1)"""
    energy_label: Tensor | None
    """(B, 1) float64"""
    forces: Tensor | None
    """(N, 3)"""
    forces_label: Tensor | None
    """(N, 3)"""
    stress: Tensor | None
    """(B, 3, 3)"""
    stress_label: Tensor | None
    """(B, 3, 3)"""


class Samples(NamedTuple):
    """Pairs for a parity plot."""

    label: NDArray[np.float64]
    """(n,)"""
    prediction: NDArray[np.float64]
    """(n,)"""


class EvaluationResult(NamedTuple):
    """What an evaluation of one set of frames found."""

    rows: list[ErrorRow]
    energy: Samples
    """Per atom; the raw prediction if the model predicts something else."""
    forces: Samples
    """Components."""
    energy_unit: str = "eV"
    """Unit of the energies; that of the forces is this per ``length_unit``."""
    length_unit: str = "Å"


class Evaluation:
    """Takes in predictions batch by batch.

    Args:
        is_energy: Whether the model's output is an energy.
        energy_unit, length_unit: Units of energies and positions.
        device: Where the predictions are.
    """

    def __init__(
        self, *, is_energy: bool, device: torch.device, energy_unit: str = "eV", length_unit: str = "Å"
    ) -> None:
        self.is_energy = is_energy
        self.energy_unit = energy_unit
        self.length_unit = length_unit
        self._sums = ErrorSums(is_energy=is_energy, energy_unit=energy_unit, length_unit=length_unit).to(device)
        self._energy: list[Tensor] = []
        self._forces: list[Tensor] = []

    def update(self, batch: Comparison) -> None:
        """Compare the predictions of one batch with its labels."""
        self._sums.update(
            Errors(
                z=batch.z,
                num_atoms=batch.num_atoms,
                energy=_difference(batch.energy, batch.energy_label),
                forces=_difference(batch.forces, batch.forces_label),
                stress=_difference(batch.stress, batch.stress_label),
            )
        )
        divisor = batch.num_atoms.unsqueeze(1) if self.is_energy else torch.ones_like(batch.energy)
        if batch.energy_label is not None:
            _keep(self._energy, batch.energy_label / divisor, batch.energy / divisor)
        if batch.forces is not None and batch.forces_label is not None:
            _keep(self._forces, batch.forces_label, batch.forces)

    def result(self) -> EvaluationResult:
        """Errors over all processes."""
        return EvaluationResult(
            self._sums.compute(),
            _gathered(self._energy),
            _gathered(self._forces),
            energy_unit=self.energy_unit,
            length_unit=self.length_unit,
        )


def _difference(prediction: Tensor | None, label: Tensor | None) -> Tensor | None:
    return None if prediction is None or label is None else prediction.detach().double() - label.double()


def _keep(samples: list[Tensor], label: Tensor, prediction: Tensor) -> None:
    if sum(len(pairs) for pairs in samples) < MAX_SAMPLES:
        samples.append(torch.stack([label.reshape(-1).double(), prediction.detach().reshape(-1).double()], dim=1).cpu())


def _gathered(samples: list[Tensor]) -> Samples:
    pairs = torch.cat(samples).numpy() if samples else np.zeros((0, 2))
    pairs = np.concatenate(gather_objects(pairs))
    return Samples(pairs[:, 0], pairs[:, 1])
