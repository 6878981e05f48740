"""A whole training run: from the options to a tested model in files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch

from torchmdnet.checkpoint import load_checkpoint, load_weights
from torchmdnet.config import Config, ConfigError
from torchmdnet.factory import check_names, create_prior_models
from torchmdnet.training.checkpointing import EpochCheckpoint
from torchmdnet.training.data import DataModule
from torchmdnet.training.distributed import is_rank_zero
from torchmdnet.training.evaluation import EvaluationResult
from torchmdnet.training.loggers import check_loggers, create_loggers
from torchmdnet.training.loss import loss_function
from torchmdnet.training.module import LNNP
from torchmdnet.training.parity import plot_parity
from torchmdnet.training.progress import RunProgress
from torchmdnet.training.report import print_errors, write_errors
from torchmdnet.training.stopping import Patience, TimeLimit, parse_duration
from torchmdnet.training.trainer import choose_devices, create_trainer

__all__ = ["TrainingResult", "evaluate", "train"]

_REFERENCE_PRIOR = {"Atomref": {"enable": False}}


class TrainingResult(NamedTuple):
    """What a run leaves behind."""

    best: Path
    """Checkpoint with the lowest monitored loss."""
    last: Path
    """Checkpoint of the last epoch, to resume from."""
    module: LNNP
    """Holds the weights of ``best``."""
    errors: dict[str, EvaluationResult]
    """Of the best weights, by set of frames: "val" and "test", those that have frames."""


def train(config: Config) -> TrainingResult:
    """Train a model and test it; everything is written to ``log_dir``.

    Args:
        config: From :func:`torchmdnet.config.parse_arguments` or :meth:`torchmdnet.config.Config.from_dict`.

    Raises:
        ValueError: Options or data cannot be used; raised before training starts.
        FileNotFoundError: A file that the options name is missing.
        NonFiniteError: The loss became NaN or infinite; ``last.ckpt`` is of the epoch before.
    """
    options = config.to_dict()
    check_names(options)
    choose_devices(options)
    loss_function(options["train_loss"], options["train_loss_arg"])
    check_loggers(options)
    resumed_epoch = _check_resumption(options)
    folder = Path(options["log_dir"])
    if is_rank_zero():
        _make_folder(folder)
        config.save(folder / "input.yaml")
    pl.seed_everything(options["seed"], workers=True, verbose=False)
    data = DataModule(options)
    data.setup("fit")
    module = _create_module(options, data)
    has_validation = len(data.idx_val) > 0
    checkpoint, callbacks = _create_callbacks(config, has_validation=has_validation)
    is_same_folder = resumed_epoch is not None and Path(options["load_model"]).resolve().parent == folder.resolve()
    loggers = create_loggers(options, resumed_epoch=resumed_epoch if is_same_folder else None)
    trainer = create_trainer(options, callbacks=callbacks, loggers=loggers, has_validation=has_validation)
    trainer.fit(
        module,
        datamodule=data,
        ckpt_path=options["load_model"] if resumed_epoch is not None else None,
        weights_only=True,
    )
    best = checkpoint.best_path if checkpoint.best_path.exists() or resumed_epoch is None else options["load_model"]
    module.load_state_dict(trainer.strategy.broadcast(_weights(best) if trainer.is_global_zero else {}))
    errors = _test(trainer, module, data)
    if trainer.is_global_zero:
        write_errors(errors, folder / "test_errors.csv")
        plot_parity(errors, folder / "parity.png")
    return TrainingResult(Path(best), checkpoint.last_path, module, errors)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"log_dir: '{folder}' cannot be made: {error.strerror}") from error


def _weights(path: str | Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_checkpoint(path)["state_dict"]
    return weights


def _check_resumption(options: Mapping[str, Any]) -> int | None:
    """First epoch of a resumed run, None if the run starts anew."""
    if options["load_model"] is None:
        if options["reset_trainer"]:
            raise ConfigError("reset_trainer: true takes the weights of the checkpoint load_model, which is not given")
        return None
    if options["reset_trainer"] and options["load_weights"] is not None:
        raise ConfigError("load_weights and load_model with reset_trainer: true both name weights; give one of them")
    content = load_checkpoint(options["load_model"], compatibility_load=options["compatibility_load"])
    if options["reset_trainer"]:
        return None
    if "rng" not in content:
        raise ConfigError(
            f"load_model: '{options['load_model']}' does not hold the state of a run of this package, so the run "
            "cannot be resumed; reset_trainer: true trains on from its weights"
        )
    epoch = int(content["epoch"]) + 1
    if epoch > options["num_epochs"]:
        raise ConfigError(
            f"num_epochs: got {options['num_epochs']}, but '{options['load_model']}' has {epoch} epochs behind it"
        )
    return epoch


def _create_module(options: dict[str, Any], data: DataModule) -> LNNP:
    """The module, its priors made from the data, its weights from a checkpoint where one is named."""
    if options["remove_ref_energy"]:
        given = options["prior_model"] or []
        priors = list(given) if isinstance(given, list) else [given]
        if not priors or priors[-1] != _REFERENCE_PRIOR:
            priors.append(_REFERENCE_PRIOR)
        options["prior_model"] = priors
    prior_models = create_prior_models(options, data.dataset)
    options["prior_args"] = [prior.get_init_args() for prior in prior_models]
    mean, std = (data.mean, data.std) if options["standardize"] else (None, None)
    module = LNNP(options, prior_model=prior_models, mean=mean, std=std)
    module.energy_unit, module.length_unit = data.dataset.energy_unit, data.dataset.length_unit
    source = options["load_weights"] or (options["load_model"] if options["reset_trainer"] else None)
    if source is not None:
        load_weights(module.model, source, compatibility_load=options["compatibility_load"])
    return module


def _create_callbacks(config: Config, *, has_validation: bool) -> tuple[EpochCheckpoint, list[pl.Callback]]:
    fallback = f"{'val' if has_validation else 'train'}_total_{config.train_loss}"
    monitor = config.monitor("checkpoint_monitor", has_validation=has_validation) or fallback
    checkpoint = EpochCheckpoint(config.log_dir, monitor=monitor, save_interval=config.save_interval)
    callbacks: list[pl.Callback] = [RunProgress(monitor)]
    stopping = config.monitor("early_stopping_monitor", has_validation=has_validation)
    if stopping is not None:
        callbacks.append(Patience(stopping, patience=config.early_stopping_patience))
    if config.max_time is not None:
        callbacks.append(TimeLimit(parse_duration(config.max_time)))
    return checkpoint, [*callbacks, checkpoint]


def _test(trainer: pl.Trainer, module: LNNP, data: DataModule) -> dict[str, EvaluationResult]:
    """Errors on the validation and the test frames; the latter's losses are logged."""
    results = {}
    if len(data.idx_val):
        results["val"], _ = evaluate(trainer, module, data.val_dataloader()[0])
    if len(data.idx_test):
        results["test"], losses = evaluate(trainer, module, data.test_dataloader())
        for logger in trainer.loggers:
            logger.log_metrics({"epoch": trainer.current_epoch, **losses}, step=trainer.global_step)
    if trainer.is_global_zero:
        print_errors(results)
    return results


def evaluate(trainer: pl.Trainer, module: LNNP, loader: Any) -> tuple[EvaluationResult, dict[str, float]]:
    """Errors of the module's present weights on the frames of a loader, and the losses by name."""
    trainer.test(module, dataloaders=loader, verbose=False)
    assert module.test_result is not None
    return module.test_result, module.test_losses
