"""Weights & Biases, an optional package: looked for only when a run asks for it."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

__all__ = ["check_wandb", "create_wandb_logger"]


def check_wandb() -> None:
    """That the package is installed.

    Raises:
        ModuleNotFoundError: It is not.
    """
    if importlib.util.find_spec("wandb") is None:
        raise ModuleNotFoundError("wandb_use: true needs the package wandb: pip install 'torchmdnet[wandb]'")


def create_wandb_logger(options: Mapping[str, Any]) -> WandbLogger:
    """The run's logger; it connects when training starts.

    Args:
        options: log_dir, wandb_name, wandb_project and wandb_resume_from_id.
    """
    identity = options["wandb_resume_from_id"]
    return WandbLogger(
        name=options["wandb_name"],
        project=options["wandb_project"],
        id=identity,
        resume="must" if identity else None,
        save_dir=Path(options["log_dir"]),
    )
