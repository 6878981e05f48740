"""Energies of free atoms, taken from the labels in float64 rather than added to the prediction in the model's dtype.

A molecule of ten atoms has about -10^4 eV in total, of which float32 keeps 1 meV: less than the error of a good
potential. The sum of the reference energies is the same constant on both sides of the loss, so a training step
subtracts it from the float64 label and leaves it out of the prediction.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from torchmdnet.priors import Atomref

__all__ = ["LabelReference"]


class LabelReference:
    """The constants of a model's energy: the tables of its fixed :class:`Atomref` priors.

    The tables are those of the priors that are switched off (``remove_ref_energy``: the label has them, the
    prediction does not) and of those switched on and not trainable, which :meth:`left_out` switches off.

    Args:
        model: A :class:`torchmdnet.potential.TorchMD_Net`.
        reduce_op: How the model sums over atoms; the constants of a mean over atoms stay in the prediction.
    """

    def __init__(self, model: nn.Module, *, reduce_op: str) -> None:
        fixed = [
            prior
            for prior in getattr(model, "prior_model", None) or ()
            if isinstance(prior, Atomref) and not any(weight.requires_grad for weight in prior.parameters())
        ]
        self._switched = [prior for prior in fixed if prior.enable and reduce_op in {"add", "sum"}]
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

    @torch.no_grad()
    def energy(self, z: Tensor, batch: Tensor, *, num_systems: int) -> Tensor | None:
        """Sum of the constants over the atoms of each system, None if there are none. -> (B, 1) float64"""
        if not self._priors:
            return None
        total = torch.zeros(num_systems, 1, dtype=torch.float64, device=z.device)
        for prior in self._priors:
            total.index_add_(0, batch, prior.atomref.weight.double()[z])
        return total
