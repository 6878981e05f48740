"""The learning rate over a run."""

import math
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

__all__ = ["LearningRate"]


class LearningRate:
    r"""Learning rate with warm-up, then one of three schedules.

    - plateau: times ``lr_factor`` after ``lr_patience`` epochs without a better metric, never below ``lr_min``
    - cosine: $\mathrm{lr}_\min + \frac{1}{2}(\mathrm{lr} - \mathrm{lr}_\min)(1 + \cos \pi t)$, t the share of all
      optimiser steps done
    - constant

    During the first W = ``lr_warmup_steps`` steps the rate is multiplied by (step + 1) / W.

    Args:
        optimizer: Its learning rate is set.
        hparams: Options, by key.
        num_steps: Optimiser steps of the whole run.
    """

    def __init__(self, optimizer: Optimizer, hparams: Mapping[str, Any], *, num_steps: int) -> None:
        self.optimizer = optimizer
        self.schedule = hparams["lr_scheduler"]
        self.lr, self.lr_min = hparams["lr"], min(hparams["lr_min"], hparams["lr"])
        self.num_warmup_steps = hparams["lr_warmup_steps"]
        self.num_steps = max(1, num_steps)
        self.plateau = ReduceLROnPlateau(
            optimizer, "min", factor=hparams["lr_factor"], patience=hparams["lr_patience"], min_lr=self.lr_min
        )

    @property
    def value(self) -> float:
        """Learning rate now in use."""
        return float(self.optimizer.param_groups[0]["lr"])

    def before_step(self, step: int) -> None:
        """Set the rate of optimiser step number ``step``, counted from 0."""
        warm = min(1.0, (step + 1) / self.num_warmup_steps) if self.num_warmup_steps else 1.0
        if self.schedule == "cosine":
            share = min(1.0, step / self.num_steps)
            self._set(warm * (self.lr_min + 0.5 * (self.lr - self.lr_min) * (1 + math.cos(math.pi * share))))
        elif step < self.num_warmup_steps:
            self._set(warm * self.lr)

    def after_epoch(self, metric: float | None) -> None:
        """Lower the rate if ``metric`` has not improved; without a metric nothing changes."""
        if self.schedule == "plateau" and metric is not None:
            self.plateau.step(metric)

    def _set(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, in plain types; the rate itself is kept by the optimiser."""
        return {"best": float(self.plateau.best), "num_bad_epochs": int(self.plateau.num_bad_epochs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; the options are those of this run."""
        self.plateau.best = state["best"]
        self.plateau.num_bad_epochs = state["num_bad_epochs"]
