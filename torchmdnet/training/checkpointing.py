"""Checkpoints at the end of every epoch: the last, the best, and the ten best of every so many epochs."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from torchmdnet.training.checkpoint_io import copy_atomically
from torchmdnet.training.distributed import gather_objects, world_size
from torchmdnet.training.rng import collect_rng_state, restore_rng_state

__all__ = ["EpochCheckpoint"]

BEST, LAST = "best.ckpt", "last.ckpt"


class EpochCheckpoint(Checkpoint):
    """Writes one file an epoch, after optimiser, schedule, averages and logs have done their part.

    - ``last.ckpt``: after every epoch, to resume from
    - ``best.ckpt``: the epoch with the lowest ``monitor``
    - ``epoch=9-val_loss=0.1234[-test_loss=0.1234].ckpt``: every ``save_interval`` epochs and after the last epoch, the
      ``top_k`` best of them; the test loss only where the test set was evaluated in that epoch

    ``last.ckpt`` is renamed into place after all others, so that whatever a resumed run repeats it writes again.

    Args:
        folder: Where the files go.
        monitor: Metric, the lower the better.
        save_interval: Epochs between the named files.
        top_k: Number of named files kept.
    """

    def __init__(self, folder: str | Path, *, monitor: str, save_interval: int, top_k: int = 10) -> None:
        self.folder = Path(folder)
        self.monitor = monitor
        self.save_interval = save_interval
        self.top_k = top_k
        self.best_score = float("inf")
        self.scores: dict[str, float] = {}
        self._resumed_rng: list[dict[str, Any]] = []

    @property
    def best_path(self) -> Path:
        """File of the best epoch."""
        return self.folder / BEST

    @property
    def last_path(self) -> Path:
        """File of the last finished epoch."""
        return self.folder / LAST

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove what a killed run left half-written."""
        if trainer.is_global_zero:
            for leftover in self.folder.glob(".*.ckpt*.tmp"):
                leftover.unlink(missing_ok=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write this epoch's file under all its names."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.monitor not in metrics:
            raise ValueError(
                f"checkpoint_monitor: there is no metric '{self.monitor}', only {', '.join(sorted(metrics))}"
            )
        score, epoch = metrics[self.monitor], trainer.current_epoch
        is_best = score < self.best_score
        self.best_score = min(score, self.best_score)
        names = [BEST] if is_best else []
        dropped: list[str] = []
        is_final = trainer.should_stop or epoch + 1 == trainer.max_epochs
        if is_final or (epoch + 1) % self.save_interval == 0:
            name = self._name(epoch, metrics)
            self.scores[name] = score
            dropped = sorted(self.scores, key=lambda name: self.scores[name])[self.top_k :]
            for worst in dropped:
                del self.scores[worst]
            names += [name] if name not in dropped else []
        self._write(trainer, names, dropped)

    def _name(self, epoch: int, metrics: dict[str, float]) -> str:
        stage = self.monitor.split("_")[0]
        name = f"epoch={epoch}-{stage}_loss={metrics[self.monitor]:.4f}"
        if "test_total_l1_loss" in metrics:
            name += f"-test_loss={metrics['test_total_l1_loss']:.4f}"
        return f"{name}.ckpt"

    def _write(self, trainer: pl.Trainer, names: list[str], dropped: list[str]) -> None:
        written = self.folder / f".{LAST}.new"
        trainer.save_checkpoint(written)
        if trainer.is_global_zero:
            for name in names:
                copy_atomically(written, self.folder / name)
            written.replace(self.last_path)
            for name in dropped:
                (self.folder / name).unlink(missing_ok=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the random generators' state of every process."""
        checkpoint["rng"] = gather_objects(collect_rng_state())

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the generators' state until training starts; other numbers of processes have no use for it."""
        states = checkpoint.get("rng", [])
        self._resumed_rng = states if len(states) == world_size() else []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the generators to the checkpoint's state."""
        if self._resumed_rng:
            restore_rng_state(self._resumed_rng[trainer.global_rank])
            self._resumed_rng = []

    def state_dict(self) -> dict[str, Any]:
        """Scores of the files."""
        return {"monitor": self.monitor, "best_score": self.best_score, "scores": dict(self.scores)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the scores of a checkpoint, unless it followed another metric or its files lie elsewhere."""
        if state_dict["monitor"] == self.monitor and self.best_path.exists():
            self.best_score = state_dict["best_score"]
            self.scores = {name: score for name, score in state_dict["scores"].items() if (self.folder / name).exists()}
