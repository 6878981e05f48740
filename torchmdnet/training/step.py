"""One batch: predictions of a model beside their labels, and the loss between them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.potential import TorchMD_Net
from torchmdnet.potential.references import FixedReferences
from torchmdnet.training.distributed import sum_over_ranks, world_size
from torchmdnet.training.evaluation import Comparison
from torchmdnet.training.loss import LossFunction, mean_share

__all__ = ["global_counts", "loss_terms", "predict"]

_NOT_EXTRA = frozenset({"z", "pos", "batch", "box", "pbc", "q", "s", "y", "neg_dy", "stress", "frame", "ptr"})
"""Fields that the model takes by name or must not see."""


def predict(
    model: TorchMD_Net,
    batch: Any,
    *,
    hparams: Mapping[str, Any],
    references: FixedReferences,
    forces: bool,
    stress: bool,
) -> Comparison:
    """Predictions and labels of a batch, both without the constants of the energy.

    Args:
        model: Its dtype is that of the predictions.
        batch: Fields z, pos, batch and any of box, pbc, q, s, y, neg_dy, stress, and others that priors or the head
            read.
        hparams: Options ``charge`` and ``spin`` say whether the model sees q and s.
        references: Constants of the energy.
        forces: Whether forces are predicted.
        stress: Whether the stress is predicted.
    """
    dtype = model.mean.dtype
    fields = {name: _cast(name, value, dtype) for name, value in batch.to_dict().items()}
    num_systems = int(batch.num_graphs)
    with references.left_out():
        prediction = model.compute(
            fields["z"],
            fields["pos"],
            fields["batch"],
            box=fields.get("box"),
            pbc=fields.get("pbc"),
            q=fields.get("q") if hparams["charge"] else None,
            s=fields.get("s") if hparams["spin"] else None,
            extra_args={name: value for name, value in fields.items() if name not in _NOT_EXTRA},
            num_systems=num_systems,
            forces=forces,
            stress=stress,
        )
    return Comparison(
        z=fields["z"],
        num_atoms=torch.bincount(fields["batch"], minlength=num_systems),
        energy=prediction.energy.to(dtype),
        energy_label=_energy_label(fields, references, num_systems=num_systems, names=model.output_model.labels),
        forces=prediction.forces.to(dtype) if prediction.forces is not None else None,
        forces_label=fields.get("neg_dy"),
        stress=prediction.stress.to(dtype) if prediction.stress is not None else None,
        stress_label=fields.get("stress"),
    )


def _cast(name: str, value: Any, dtype: torch.dtype) -> Any:
    """Floating fields in the model's dtype; only the energy waits until its constants are subtracted."""
    return value.to(dtype) if name != "y" and isinstance(value, Tensor) and value.is_floating_point() else value


def _energy_label(
    fields: Mapping[str, Any], references: FixedReferences, *, num_systems: int, names: Sequence[str]
) -> Tensor | None:
    """The label of the model's value, which is an energy unless its head says otherwise. (B, K)"""
    name = next((name for name in names if name in fields), None)
    if name is None:
        return None
    label = fields[name].double().reshape(num_systems, -1)
    constants = references.energy(fields["z"], fields["batch"], num_systems=num_systems)
    return label if constants is None else label - constants


def loss_terms(
    batch: Comparison, loss: LossFunction, *, weights: Mapping[str, float], counts: Mapping[str, Tensor | int]
) -> dict[str, Tensor]:
    """Loss of each kind with a weight above 0 that has a label and a prediction; see :func:`mean_share`.

    Args:
        batch: Predictions and labels.
        loss: Summed loss.
        weights: By kind: y, neg_dy, stress.
        counts: From :func:`global_counts`.
    """
    return {
        kind: mean_share(loss, prediction, label.to(prediction.dtype), count=counts[kind], num_processes=world_size())
        for kind, (prediction, label) in _pairs(batch).items()
        if weights[kind] > 0
    }


def global_counts(batch: Comparison) -> dict[str, Tensor | int]:
    """Compared components of each kind in the global batch."""
    local: dict[str, Tensor | int] = {kind: label.numel() for kind, (_, label) in _pairs(batch).items()}
    if world_size() == 1 or not local:
        return local
    total = sum_over_ranks(torch.tensor(list(local.values()), device=batch.energy.device))
    return dict(zip(local, total.unbind(), strict=True))


def _pairs(batch: Comparison) -> dict[str, tuple[Tensor, Tensor]]:
    """Prediction and label by kind, for the kinds that have both."""
    pairs = {
        "y": (batch.energy, batch.energy_label),
        "neg_dy": (batch.forces, batch.forces_label),
        "stress": (batch.stress, batch.stress_label),
    }
    return {
        kind: (prediction, label)
        for kind, (prediction, label) in pairs.items()
        if prediction is not None and label is not None
    }
