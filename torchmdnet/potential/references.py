"""Energies of free atoms as constants in float64, kept apart from what the model computes in its own dtype.

A molecule of ten atoms has about -10^4 eV in total, of which float32 keeps 1 meV: less than the error of a good
potential. The sum of the reference energies is a constant. A training step subtracts it from the float64 label and
leaves it out of the prediction; a calculator leaves it out and adds it in float64.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from torchmdnet.potential.torchmd_net import TorchMD_Net
from torchmdnet.priors import Atomref

__all__ = ["FixedReferences"]


class FixedReferences:
    """The constants of a model's energy: the tables of its fixed :class:`Atomref` priors.

    The tables are those of the priors that are switched off (``remove_ref_energy``: the label has them, the
    prediction does not) and of those switched on and not trainable, which :meth:`left_out` switches off. Where the
    model takes a mean over atoms, the latter stay in its value.

    Args:
        model: The model.
    """

    def __init__(self, model: TorchMD_Net) -> None:
        fixed = [
            prior
            for prior in model.prior_model or ()
            if isinstance(prior, Atomref) and not any(weight.requires_grad for weight in prior.parameters())
        ]
        is_sum = model.output_model.reduce_op in {"add", "sum"}
        self._switched = [prior for prior in fixed if prior.enable and is_sum]
        self._priors = [prior for prior in fixed if not prior.enable] + self._switched

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Inside this context the model predicts energies without the constants."""
        for prior in self._switched:
            prior.enable = False
        try:
            yield
        finally:
            for prior in self._switched:
                prior.enable = True

    def left_out_energies(self, z: Tensor) -> Tensor:
        """What :meth:`left_out` leaves out, for each atom. z: (N,) -> (N, 1) float64"""
        return _sum_of_tables(self._switched, z)

    def energy(self, z: Tensor, batch: Tensor, *, num_systems: int) -> Tensor | None:
        """Sum of all constants over the atoms of each system, None if there are none. -> (B, 1) float64"""
        if not self._priors:
            return None
        total = torch.zeros(num_systems, 1, dtype=torch.float64, device=z.device)
        return total.index_add_(0, batch, _sum_of_tables(self._priors, z))


@torch.no_grad()
def _sum_of_tables(priors: Sequence[Atomref], z: Tensor) -> Tensor:
    energies = torch.zeros(len(z), 1, dtype=torch.float64, device=z.device)
    for prior in priors:
        energies += prior.atomref.weight.double()[z]
    return energies
