"""Progress of the whole run: a line an epoch, and on a terminal a bar below."""

import sys
import time
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, Progress, TaskID, TextColumn

__all__ = ["RunProgress"]

_REFRESH_SECONDS = 0.2


class RunProgress(ProgressBar):
    """Shows epoch, losses, rate in steps a second and the remaining time of the whole run.

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

    def disable(self) -> None:
        """Lightning calls this on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show again."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(*args, highlight=False)
        elif self._enabled:
            print(*args, flush=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._first_step, self._first_epoch = trainer.global_step, trainer.current_epoch
        self._start = self._last_refresh = time.monotonic()
        if self._enabled and sys.stdout.isatty():
            columns = ("epoch {task.fields[epoch]}", "{task.percentage:3.0f} %", "{task.fields[speed]}")
            self._bar = Progress(TextColumn(columns[0]), BarColumn(20), *(TextColumn(text) for text in columns[1:]))
            self._task = self._bar.add_task("", total=None, epoch="", speed="")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, a few times a second."""
        now = time.monotonic()
        if self._bar is None or now - self._last_refresh < _REFRESH_SECONDS:
            return
        self._last_refresh = now
        self._bar.update(
            self._task,
            total=_num_steps(trainer),
            completed=trainer.global_step,
            epoch=f"{trainer.current_epoch + 1}/{trainer.max_epochs}",
            speed=self._speed(trainer),
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epoch before: its losses are known only after all hooks of its end."""
        self._report(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the last epoch and leave the terminal in order."""
        self._report(trainer)
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the terminal in order."""
        self._stop()

    def _report(self, trainer: pl.Trainer) -> None:
        if trainer.current_epoch == self._first_epoch:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        names = [name for name in metrics if name.startswith("train_total_")]
        names += [self.monitor] if self.monitor in metrics and self.monitor not in names else []
        losses = "  ".join(f"{name} {metrics[name]:.4g}" for name in names)
        speed = f"  {self._speed(trainer)}" if self._bar is None else ""
        self.print(f"epoch {trainer.current_epoch}/{trainer.max_epochs}  {losses}{speed}")

    def _speed(self, trainer: pl.Trainer) -> str:
        """Rate and remaining time, validation and all else included."""
        elapsed = time.monotonic() - self._start
        num_done = trainer.global_step - self._first_step
        rate = num_done / elapsed if elapsed > 0 else 0.0
        left = timedelta(seconds=round((_num_steps(trainer) - trainer.global_step) / rate)) if rate > 0 else "?"
        return f"{rate:.2f} steps/s  remaining {left}"

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _num_steps(trainer: pl.Trainer) -> int:
    return int(trainer.num_training_batches) * (trainer.max_epochs or 1)
