"""Progress of the whole run: a bar on a terminal, a line an epoch elsewhere."""

import sys
import time
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

__all__ = ["RunProgress"]

_REFRESH_SECONDS = 0.2


class RunProgress(ProgressBar):
    """Shows epoch, rate in steps a second, remaining time of the whole run and the last epoch's losses.

    Args:
        monitor: Metric shown beside the training loss.
    """

    def __init__(self, monitor: str) -> None:
        super().__init__()
        self.monitor = monitor
        self._enabled = True
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._first_step = self._first_epoch = 0
        self._start = self._last_refresh = 0.0
        self._losses = ""

    def disable(self) -> None:
        """Lightning calls this on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show again."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(*args)
        elif self._enabled:
            print(*args)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._first_step, self._first_epoch = trainer.global_step, trainer.current_epoch
        self._start = self._last_refresh = time.monotonic()
        if self._enabled and sys.stdout.isatty():
            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                TextColumn("{task.percentage:3.0f} %"),
                TextColumn("{task.fields[text]}"),
                console=Console(),
                refresh_per_second=1 / _REFRESH_SECONDS,
            )
            self._task = self._bar.add_task("", total=None, epoch="", text="")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, a few times a second."""
        now = time.monotonic()
        if self._bar is None or now - self._last_refresh < _REFRESH_SECONDS:
            return
        self._last_refresh = now
        num_steps = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
        self._bar.update(
            self._task,
            total=num_steps,
            completed=trainer.global_step,
            epoch=f"{trainer.current_epoch + 1}/{trainer.max_epochs}",
            text=f"{self._speed(trainer)}  {self._losses}",
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epoch before: its losses are known only after all hooks of its end."""
        self._report(trainer)

    def _report(self, trainer: pl.Trainer) -> None:
        if trainer.current_epoch == self._first_epoch:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        names = [name for name in metrics if name.startswith("train_total_")]
        names += [self.monitor] if self.monitor in metrics and self.monitor not in names else []
        self._losses = "  ".join(f"{name} {metrics[name]:.4g}" for name in names)
        if self._enabled and self._bar is None:
            epoch = f"epoch {trainer.current_epoch}/{trainer.max_epochs}"
            print(f"{epoch}  {self._losses}  {self._speed(trainer)}", flush=True)

    def _speed(self, trainer: pl.Trainer) -> str:
        """Rate and remaining time, validation and all else included."""
        elapsed = time.monotonic() - self._start
        num_done = trainer.global_step - self._first_step
        rate = num_done / elapsed if elapsed > 0 else 0.0
        num_left = int(trainer.num_training_batches) * (trainer.max_epochs or 1) - trainer.global_step
        left = timedelta(seconds=round(num_left / rate)) if rate > 0 else "?"
        return f"{rate:.2f} steps/s  remaining {left}"

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the last epoch and leave the terminal in order."""
        self._report(trainer)
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the terminal in order."""
        self._stop()
