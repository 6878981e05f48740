"""The training of one model as a Lightning module."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import AdamW, Optimizer

from torchmdnet.checkpoint import FORMAT_VERSION
from torchmdnet.config import Config
from torchmdnet.factory import create_model
from torchmdnet.potential.references import FixedReferences
from torchmdnet.priors import BasePrior
from torchmdnet.training.distributed import gather_objects, world_size
from torchmdnet.training.ema import WeightAverage
from torchmdnet.training.evaluation import Comparison, Evaluation, EvaluationResult
from torchmdnet.training.guard import FiniteGuard
from torchmdnet.training.loss import LossFunction, LossSmoother, loss_function
from torchmdnet.training.metrics import EpochMeans
from torchmdnet.training.schedules import LearningRate
from torchmdnet.training.step import global_counts, loss_terms, predict

__all__ = ["LNNP"]

_GUARD_INTERVAL = 50
"""Steps between two looks at the loss where a look is costly: on a GPU, or with several processes."""
_ENERGY_HEADS = frozenset({"Scalar", "EquivariantScalar", "ScalarPlusWeightedCoulomb"})


class LNNP(pl.LightningModule):
    """Loss, optimiser, schedule, averaged weights and metrics of a model.

    Attribute ``model`` is the :class:`torchmdnet.potential.TorchMD_Net` in training. A checkpoint's ``state_dict``
    holds the weights to use: with ``ema_decay`` the averaged ones, the raw ones then being under
    ``training_weights``.

    Args:
        hparams: Options by key, those of :class:`torchmdnet.config.Config` and ``prior_args``; absent ones take their
            defaults.
        prior_model: Priors; by default those that the options name.
        mean: Mean of the training energies. ()
        std: Their deviation. ()
    """

    def __init__(
        self,
        hparams: Mapping[str, Any],
        prior_model: Sequence[BasePrior] | None = None,
        mean: Tensor | None = None,
        std: Tensor | None = None,
    ) -> None:
        super().__init__()
        known = {key: value for key, value in hparams.items() if key in Config.option_names()}
        options = Config.from_dict(known).to_dict()
        options["prior_args"] = hparams.get("prior_args")
        options["format_version"] = FORMAT_VERSION
        self.save_hyperparameters(options)
        self._hparams_name = "hparams"  # the argument that Lightning's load_from_checkpoint gives them to
        self.options: dict[str, Any] = options
        self.model = create_model(options, prior_model, mean, std)
        self.references = FixedReferences(self.model)
        self.weights = {kind: options[f"{kind}_weight"] for kind in ("y", "neg_dy", "stress")}
        train_loss = loss_function(options["train_loss"], options["train_loss_arg"])
        self.losses: dict[str, dict[str, LossFunction]] = {
            "train": {options["train_loss"]: train_loss},
            "val": {"l1_loss": loss_function("l1_loss"), options["train_loss"]: train_loss},
            "test": {"l1_loss": loss_function("l1_loss")},
        }
        self.energy_unit, self.length_unit = "eV", "Å"
        self.means = EpochMeans()
        self.smoother = LossSmoother()
        self.guard = FiniteGuard()
        self.ema: WeightAverage | None = None
        self.schedule: LearningRate | None = None
        self.test_result: EvaluationResult | None = None
        self.test_losses: dict[str, float] = {}
        self._evaluation: Evaluation | None = None
        self._resumed: dict[str, Any] = {}
        self._stored_lr: float | None = None

    # ------------------------------------------------------------------------------------------------ one batch

    def forward(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None = None,
        box: Tensor | None = None,
        q: Tensor | None = None,
        s: Tensor | None = None,
        extra_args: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What ``model`` gives, see :class:`torchmdnet.potential.TorchMD_Net`."""
        result: tuple[Tensor, Tensor] = self.model(z, pos, batch, box, q, s, extra_args)
        return result

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        total = self._loss(self._predict(batch, stage="train"), stage="train")
        if world_size() > 1:  # processes wait for the gradient of every weight, also of a bias that forces do not have
            total = total + 0.0 * torch.stack([weight.sum() for weight in self.model.parameters()]).sum()
        self._last_loss, self._last_frames = total.detach(), batch.to_dict().get("frame")
        return total

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Losses of one batch of the validation set or, as the second loader, of the test set."""
        stage = "test" if dataloader_idx else "val"
        total = self._loss(self._predict(batch, stage=stage), stage=stage)
        name = "test" if dataloader_idx else "validation"
        self.guard.watch(f"{name} loss", total, frames=batch.to_dict().get("frame"))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Losses and errors of one batch."""
        comparison = self._predict(batch, stage="test")
        self._loss(comparison, stage="test")
        assert self._evaluation is not None
        self._evaluation.update(comparison)

    def _predict(self, batch: Any, *, stage: str) -> Comparison:
        derivative, is_test = self.options["derivative"], stage == "test"
        forces = derivative and (is_test or ("neg_dy" in batch and self.weights["neg_dy"] > 0))
        stress = derivative and "stress" in batch and (is_test or self.weights["stress"] > 0)
        with torch.set_grad_enabled(stage == "train" or derivative):
            return predict(
                self.model, batch, hparams=self.options, references=self.references, forces=forces, stress=stress
            )

    def _loss(self, batch: Comparison, *, stage: str) -> Tensor:
        """Total of the training loss, or of the first loss of another stage; all are noted for the epoch's means."""
        counts = global_counts(batch)
        totals = {}
        for name, loss in self.losses[stage].items():
            terms = loss_terms(batch, loss, weights=self.weights, counts=counts)
            if not terms:
                raise ValueError(
                    "the data have no label to train on: y_weight, neg_dy_weight and stress_weight above 0 need y, "
                    "neg_dy or stress in the data, and forces and stress also derivative: true"
                )
            for kind, value in terms.items():
                alpha = self.options.get(f"ema_alpha_{kind}", 1.0) if stage != "test" else 1.0
                terms[kind] = self.smoother(f"{stage}_{kind}_{name}", value, alpha=alpha)
                self.means.add(f"{stage}_{kind}_{name}", terms[kind])
            totals[name] = torch.stack([self.weights[kind] * value for kind, value in terms.items()]).sum()
            self.means.add(f"{stage}_total_{name}", totals[name])
        return totals[self.options["train_loss"]] if stage != "test" else totals["l1_loss"]

    # ------------------------------------------------------------------------------------------------ optimisation

    def configure_optimizers(self) -> Optimizer:
        """AdamW; the schedule is stepped here and not by Lightning, so that a checkpoint holds it after its step."""
        options = self.options
        optimizer = AdamW(
            self.model.parameters(),
            lr=options["lr"],
            weight_decay=options["weight_decay"],
            fused=options["precision"] not in {16, "16-mixed"},  # the gradient scaler cannot clip a fused step
        )
        num_steps = self.trainer.estimated_stepping_batches
        self.schedule = LearningRate(optimizer, options, num_steps=int(num_steps))
        return optimizer

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """One step at the scheduled rate."""
        assert self.schedule is not None
        self.schedule.before_step(self.trainer.global_step)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Look for NaN in loss and gradient, before the weights are touched."""
        self.guard.watch("training loss", self._last_loss, frames=self._last_frames)
        if self.options["precision"] not in {16, "16-mixed"}:  # there the gradient scaler skips infinite gradients
            gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
            self.guard.watch("gradient of the loss", get_total_norm(gradients), frames=self._last_frames)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Average the weights."""
        if self.ema is not None:
            self.ema.update()

    # ------------------------------------------------------------------------------------------------ epochs

    def on_fit_start(self) -> None:
        """Go on from a checkpoint, or start anew."""
        resumed, self._resumed = self._resumed, {}
        is_cheap = self.device.type == "cpu" and world_size() == 1
        dataset = getattr(getattr(self.trainer, "datamodule", None), "dataset", None)
        self.guard = FiniteGuard(getattr(dataset, "frame_name", None), interval=1 if is_cheap else _GUARD_INTERVAL)
        self.means = EpochMeans()
        self.smoother.load(resumed.get("smoother", []), rank=self.global_rank, num_processes=world_size())
        if self.options["ema_decay"] is not None:
            self.ema = WeightAverage(self.model, self.options["ema_decay"])
            if "averages" in resumed:
                self.ema.load(resumed["averages"], num_updates=resumed["num_updates"])
        if "schedule" in resumed:
            assert self.schedule is not None
            self.schedule.load_state_dict(resumed["schedule"])

    def on_train_start(self) -> None:
        """Options given anew win over those that the optimiser's state brought along."""
        assert self.schedule is not None
        for group in self.schedule.optimizer.param_groups:
            group["weight_decay"] = self.options["weight_decay"]
            if self._stored_lr is not None and self._stored_lr != self.options["lr"]:
                group["lr"] = self.options["lr"]

    def on_validation_start(self) -> None:
        """Validate the averaged weights."""
        if self.ema is not None and self.trainer.state.fn == "fit":
            self.ema.swap()

    def on_validation_end(self) -> None:
        """Put the training weights back."""
        if self.ema is not None and self.trainer.state.fn == "fit":
            self.ema.swap()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means and step the schedule, before the checkpoint is written."""
        assert self.schedule is not None
        self.guard.check()
        metrics = self.means.collect()
        self.log_dict(metrics, logger=False, batch_size=1)
        row = {"epoch": self.current_epoch, "lr": self.schedule.value, **metrics}
        for logger in self.trainer.loggers:
            logger.log_metrics(row, step=self.global_step)
        watched = f"{self.options['lr_metric']}_total_{self.options['train_loss']}"
        self.schedule.after_epoch(metrics.get(watched, metrics.get(f"train_total_{self.options['train_loss']}")))

    # ------------------------------------------------------------------------------------------------ evaluation

    def on_test_start(self) -> None:
        """Start to collect errors."""
        is_energy = self.options["output_model"] in _ENERGY_HEADS
        units = {"energy_unit": self.energy_unit, "length_unit": self.length_unit}
        self._evaluation = Evaluation(is_energy=is_energy, device=self.device, **units)
        self.means = EpochMeans()

    def on_test_epoch_end(self) -> None:
        """Errors and losses of all frames, in ``test_result`` and ``test_losses``."""
        assert self._evaluation is not None
        self.test_result, self.test_losses = self._evaluation.result(), self.means.collect()

    # ------------------------------------------------------------------------------------------------ checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store averaged weights as the model's, and the state that exact resumption needs."""
        if self.schedule is not None:
            checkpoint["schedule"] = self.schedule.state_dict()
        checkpoint["smoother"] = gather_objects({name: value.cpu() for name, value in self.smoother.previous.items()})
        if self.ema is not None:
            averages = {f"model.{name}": value for name, value in self.ema.averages().items()}
            checkpoint["training_weights"] = {name: checkpoint["state_dict"][name] for name in averages}
            checkpoint["state_dict"] = {**checkpoint["state_dict"], **averages}
            checkpoint["num_averaged"] = self.ema.num_updates

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Training goes on from the raw weights; all else uses the averaged ones."""
        if self._trainer is None or self._trainer.state.fn != "fit":
            return
        self._stored_lr = checkpoint["hyper_parameters"]["lr"]
        self._resumed = {key: checkpoint[key] for key in ("schedule", "smoother") if key in checkpoint}
        if "training_weights" in checkpoint:
            names = checkpoint["training_weights"]
            averages = {name.removeprefix("model."): checkpoint["state_dict"][name] for name in names}
            self._resumed |= {"averages": averages, "num_updates": checkpoint["num_averaged"]}
            checkpoint["state_dict"] = {**checkpoint["state_dict"], **checkpoint["training_weights"]}
