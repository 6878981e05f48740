"""Reasons to end training before the last epoch."""

import time
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EarlyStopping

__all__ = ["Patience", "TimeLimit", "parse_duration"]


class Patience(EarlyStopping):
    """Stops after ``patience`` epochs without a lower ``monitor``; a resumed run goes on counting.

    Args:
        monitor: Metric, the lower the better.
        patience: Epochs.
    """

    def __init__(self, monitor: str, *, patience: int) -> None:
        super().__init__(monitor, patience=patience, mode="min", check_on_train_epoch_end=True, check_finite=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The counter goes on; the patience is that of this run."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that had stopped stays stopped, unless its patience was raised."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= max(1, self.patience)


def parse_duration(text: str) -> timedelta:
    """``"DD:HH:MM:SS"`` as a duration.

    Raises:
        ValueError: It is something else.
    """
    parts = text.split(":")
    if len(parts) != 4 or not all(part.isdigit() for part in parts):
        raise ValueError(f"max_time: got '{text}', expected DD:HH:MM:SS, such as 00:12:00:00 for twelve hours")
    days, hours, minutes, seconds = map(int, parts)
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


class TimeLimit(Callback):
    """Stops at the end of an epoch when the next one would not end in time.

    The time is that of this process, so that each job of a chain of resumed jobs has the limit for itself. A whole
    epoch is always finished: a checkpoint holds whole epochs.

    Args:
        limit: From the making of this object.
    """

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit.total_seconds()
        self._start = time.monotonic()
        self._epoch_start = self._start

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._epoch_start = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if the next epoch, as long as this one, would end too late."""
        now = time.monotonic()
        is_over = now + (now - self._epoch_start) > self._start + self.limit
        if trainer.strategy.reduce_boolean_decision(is_over, all=False):
            trainer.should_stop = True
            if trainer.is_global_zero:
                print(f"max_time: stopping after epoch {trainer.current_epoch + 1}, the next would end too late")
