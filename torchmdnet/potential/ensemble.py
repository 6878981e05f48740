"""Several potentials as one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchmdnet.potential.prediction import Prediction
from torchmdnet.potential.torchmd_net import TorchMD_Net

__all__ = ["Ensemble"]


class Ensemble(nn.ModuleList):
    """Several potentials as one: means over the members, and their spread.

    Args:
        modules: The members.
        return_std: Whether a call returns the standard deviations too.

    Raises:
        TypeError: A member is no :class:`TorchMD_Net`.
    """

    def __init__(self, modules: Sequence[nn.Module], return_std: bool = False) -> None:
        for module in modules:
            if not isinstance(module, TorchMD_Net):
                raise TypeError(f"an ensemble is made of TorchMD_Net models; got {type(module).__name__}")
        super().__init__(modules)
        self.return_std = return_std

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        """Arguments as of :class:`TorchMD_Net`. -> mean y, mean forces[, unbiased std of y, of forces]"""
        y, neg_dy = (torch.stack(values) for values in zip(*(model(*args, **kwargs) for model in self), strict=True))
        means = (y.mean(0), neg_dy.mean(0))
        return (*means, y.std(0), neg_dy.std(0)) if self.return_std else means

    def compute(self, *args: Any, **kwargs: Any) -> Prediction:
        """Mean of the members' predictions. Arguments as of :meth:`TorchMD_Net.compute`."""
        members = [model.compute(*args, **kwargs) for model in self if isinstance(model, TorchMD_Net)]
        return Prediction(*(_mean_of(values) for values in zip(*members, strict=True)))


def _mean_of(values: Sequence[Tensor | None]) -> Any:
    present = [value for value in values if value is not None]
    return torch.stack(present).mean(0) if present else None
