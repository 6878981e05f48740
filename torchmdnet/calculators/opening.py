"""Open the model that a calculator serves, from a file or from memory."""

import copy
import math
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from torchmdnet.checkpoint import load_model
from torchmdnet.models.radial_tables import use_radial_tables, use_radial_tables_if_exact
from torchmdnet.neighbors import use_skin
from torchmdnet.potential import Ensemble, TorchMD_Net

__all__ = ["ModelSource", "members_of", "open_model", "parse_device", "parse_dtype"]

ModelSource = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | TorchMD_Net | Ensemble
"""A checkpoint, a list of checkpoints (an ensemble), a zip of checkpoints, or a model."""

PRECISIONS = {torch.float32: 32, torch.float64: 64}


def parse_device(device: str | torch.device) -> torch.device:
    """A device that this machine has.

    Raises:
        ValueError: There is no such kind of device, or no CUDA device here.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device: got {device!r}, expected a device such as 'cpu', 'cuda' or 'cuda:1'") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device: got '{device}', but PyTorch finds {torch.cuda.device_count()} CUDA devices here; use device='cpu'"
        )
    return found


def parse_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """``torch.float32`` or ``torch.float64``, also by name.

    Raises:
        ValueError: It is neither.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found not in PRECISIONS:
        raise ValueError(f"dtype: got {dtype!r}, expected torch.float32 or torch.float64")
    return found


def open_model(
    source: ModelSource,
    *,
    device: str | torch.device,
    dtype: torch.dtype | str | None,
    radial_tables: bool | float | None = None,
    skin: float = 0.0,
    **options: Any,
) -> TorchMD_Net | Ensemble:
    """The model in evaluation mode, on ``device``, with weights in ``dtype`` and not subject to training.

    Args:
        source: Checkpoint(s) or a model. A model is copied, so that the caller's stays on its device and trainable.
        device: Where it runs.
        dtype: Of the weights and of the arithmetic; None: float32 for files, a given model's own.
        radial_tables: Whether radial networks are read from tables, or the tolerance of these, as in
            :func:`torchmdnet.models.use_radial_tables`; None: in float32, where it makes no difference to the accuracy.
        skin: Å; neighbour lists are reused until an atom has moved half of it, as in
            :func:`torchmdnet.neighbors.use_skin`. Saves time on a GPU alone.
        **options: Options that replace those in the file, as in :func:`torchmdnet.checkpoint.load_model`.
            ``max_num_neighbors`` is accepted for a model, too, and has no effect.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is no checkpoint, there is no such device, ``options`` are given for a model that is
            already built, no table keeps the tolerance, or the skin is negative.
        TypeError: ``source`` is none of these, or a keyword is no option.
    """
    device = parse_device(device)
    if not 0 <= skin < math.inf:
        raise ValueError(f"skin: got {skin}, expected a length in Å, 0 for none")
    if isinstance(source, (TorchMD_Net, Ensemble)):
        options.pop("max_num_neighbors", None)  # of no effect on a file either: neighbour lists have no limit
        if options:
            raise ValueError(f"'{next(iter(options))}' applies to checkpoints; a model that is built has its options")
        model: TorchMD_Net | Ensemble = copy.deepcopy(source).to(device)
        if dtype is not None:
            model = model.to(parse_dtype(dtype))
    elif isinstance(source, nn.Module) or not isinstance(source, (str, os.PathLike, Sequence)):
        raise TypeError(
            f"got a {type(source).__name__}, expected a checkpoint, a list of checkpoints, TorchMD_Net or Ensemble"
        )
    else:
        dtype = parse_dtype(torch.float32 if dtype is None else dtype)
        model = load_model(source, device=device, precision=PRECISIONS[dtype], **options).to(dtype)
    model = model.eval().requires_grad_(False)
    _use_tables(model, radial_tables)
    if skin:
        use_skin(model, skin=skin)
    return model


def _use_tables(model: TorchMD_Net | Ensemble, wanted: bool | float | None) -> None:
    if wanted is None:
        if members_of(model)[0].mean.dtype != torch.float32:
            return
        use_radial_tables_if_exact(model)
    elif isinstance(wanted, bool):
        use_radial_tables(model, enabled=wanted)
    else:
        use_radial_tables(model, tolerance=wanted)


def members_of(model: TorchMD_Net | Ensemble) -> list[TorchMD_Net]:
    """The models that an ensemble is made of, or the only one."""
    members = [model] if isinstance(model, TorchMD_Net) else list(model)
    return [member for member in members if isinstance(member, TorchMD_Net)]
