"""Where metrics go: a CSV file always, TensorBoard and Weights & Biases if asked for."""

import csv
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from torchmdnet.training.distributed import is_rank_zero
from torchmdnet.training.wandb_run import check_wandb, create_wandb_logger

__all__ = ["MetricsCSV", "check_loggers", "create_loggers"]

Row = dict[str, str]


class MetricsCSV(Logger):
    """``metrics.csv``, a row an epoch, and ``hparams.yaml``.

    A row is on disk before the epoch's checkpoint is, and :meth:`keep_before` removes the rows that a resumed run will
    write again: an interrupted and resumed run leaves the file of an uninterrupted one.

    Args:
        folder: Where the files go.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.path = self.folder / "metrics.csv"
        self._columns: list[str] = []

    @property
    def name(self) -> str:
        """Lightning's name of the run."""
        return ""

    @property
    def version(self) -> str:
        """Lightning's number of the run."""
        return ""

    def set_aside(self) -> None:
        """Rename a file of an earlier run to ``metrics_YYYYMMDD-HHMMSS.csv``, the time of its last row."""
        if is_rank_zero() and self.path.exists():
            time = datetime.fromtimestamp(self.path.stat().st_mtime)
            os.replace(self.path, self.folder / f"metrics_{time:%Y%m%d-%H%M%S}.csv")

    def keep_before(self, epoch: int) -> None:
        """Remove the rows from ``epoch`` on, and one that a killed process left unfinished."""
        if is_rank_zero() and self.path.exists():
            rows = self._read()
            self._write([row for row in rows if (row.get("epoch") or "").isdigit() and int(row["epoch"]) < epoch])

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row; columns that are new are added to the file."""
        if not is_rank_zero():
            return
        row = {name: str(value) for name, value in metrics.items()} | {"step": str(step or 0)}
        if set(row) <= set(self._columns):
            with open(self.path, "a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(row)
        else:
            self._write([*(self._read() if self.path.exists() else []), row])

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Write ``hparams.yaml``."""
        if not is_rank_zero():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "hparams.yaml").write_text(yaml.safe_dump(dict(params), sort_keys=True))

    def _read(self) -> list[Row]:
        with open(self.path, newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[Row]) -> None:
        names = {name for row in rows for name in row if name} - {"epoch", "lr", "step"}
        self._columns = ["epoch", "lr", "step", *sorted(names)]
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, self.path)


def check_loggers(options: Mapping[str, Any]) -> None:
    """Whether the loggers that the options ask for are to be had, before anything costly is done.

    Raises:
        ModuleNotFoundError: A package is not installed.
    """
    if options["wandb_use"]:
        check_wandb()


def create_loggers(options: Mapping[str, Any], *, resumed_epoch: int | None = None) -> list[Logger]:
    """The loggers that the options ask for.

    Args:
        options: log_dir and the keys of TensorBoard and Weights & Biases.
        resumed_epoch: First epoch of a run that goes on in the folder of the run that it resumes; None for other runs,
            which set an existing ``metrics.csv`` aside.
    """
    folder = Path(options["log_dir"])
    metrics = MetricsCSV(folder)
    if resumed_epoch is None:
        metrics.set_aside()
    else:
        metrics.keep_before(resumed_epoch)
    loggers: list[Logger] = [metrics]
    if options["tensorboard_use"]:
        loggers.append(TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False))
    if options["wandb_use"]:
        loggers.append(create_wandb_logger(options))
    return loggers
