"""The Lightning trainer that the options describe."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy

from torchmdnet.training.checkpoint_io import AtomicTorchCheckpointIO

__all__ = ["PEER_TIMEOUT", "choose_devices", "create_trainer"]

PEER_TIMEOUT = timedelta(minutes=10)
"""A process that waits longer than this for another takes it for lost."""

_PRECISIONS = {16: "16-mixed", 32: "32-true", 64: "64-true"}


def choose_devices(options: Mapping[str, Any]) -> tuple[str, int]:
    """Accelerator and number of processes on each machine.

    Raises:
        ValueError: There are not as many GPUs as asked for.
    """
    num_gpus = torch.cuda.device_count()
    accelerator = options["accelerator"]
    if accelerator == "gpu" and not num_gpus:
        raise ValueError("accelerator: got gpu, but there is no GPU that PyTorch can use; use accelerator: cpu")
    if accelerator == "auto":
        accelerator = "gpu" if num_gpus else "cpu"
    asked = options["ngpus"]
    if accelerator == "gpu" and asked > num_gpus:
        raise ValueError(f"ngpus: got {asked}, but this machine has {num_gpus} that PyTorch can use")
    if options["accelerator"] == "auto" and accelerator == "cpu" and asked > 1:
        raise ValueError(
            f"ngpus: got {asked}, but this machine has no GPU that PyTorch can use; accelerator: cpu runs {asked} "
            "processes on the CPU"
        )
    if asked == -1:
        asked = num_gpus if accelerator == "gpu" else 1
    return accelerator, max(1, asked)


def create_trainer(
    options: Mapping[str, Any],
    *,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    has_validation: bool = True,
) -> pl.Trainer:
    """A trainer for the machines, the precision and the length that the options name.

    The data module makes the batches of each process itself, so no sampler is put in. The number of seconds after
    which a lost process is noticed is :data:`PEER_TIMEOUT`.

    Args:
        options: By key.
        callbacks: Their order is kept.
        loggers: Where metrics go.
        has_validation: Whether there are validation frames.

    Raises:
        ValueError: The devices or the precision are not to be had.
    """
    accelerator, num_devices = choose_devices(options)
    precision = _PRECISIONS.get(options["precision"], options["precision"])
    if precision == "16-mixed" and accelerator == "cpu":
        raise ValueError(f"precision: got {options['precision']}, which needs a GPU; the CPU has bf16-mixed")
    is_parallel = num_devices * options["num_nodes"] > 1
    plugins: list[Any] = [AtomicTorchCheckpointIO()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))  # its checkpoints are of unfinished epochs
    return pl.Trainer(
        accelerator=accelerator,
        devices=num_devices,
        num_nodes=options["num_nodes"],
        strategy=DDPStrategy(timeout=PEER_TIMEOUT) if is_parallel else "auto",
        precision=precision,
        max_epochs=options["num_epochs"],
        gradient_clip_val=options["gradient_clipping"] or None,
        callbacks=list(callbacks),
        logger=list(loggers) or False,
        plugins=plugins,
        default_root_dir=options["log_dir"],
        enable_checkpointing=any(isinstance(callback, pl.callbacks.Checkpoint) for callback in callbacks),
        enable_model_summary=False,
        inference_mode=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        limit_val_batches=None if has_validation else 0,
        log_every_n_steps=1,
        reload_dataloaders_every_n_epochs=1 if options["test_interval"] > 0 else 0,
    )
