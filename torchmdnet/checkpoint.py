"""Read models from checkpoints. Only tensors and plain values are unpickled: no code in a file is run."""

import pickle
import re
import tempfile
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from torchmdnet.config import Config, nearest
from torchmdnet.factory import create_model
from torchmdnet.migrations import FORMAT_VERSION, is_of_this_package, migrate_options, migrate_weights
from torchmdnet.neighbors import use_static_shapes
from torchmdnet.potential import Ensemble, TorchMD_Net
from torchmdnet.priors import Atomref
from torchmdnet.tensor_layout import has_old_layout, layers_with_parts, to_new_layout

__all__ = ["FORMAT_VERSION", "load_checkpoint", "load_ensemble", "load_model", "load_weights"]

ModelFile = str | PathLike[str]

_EXTRA_ARGUMENTS = {"prior_args", "check_errors", "format_version"}


class _FormerKey:
    """What stands for a class that a file names and does not need."""


_FORMER_KEYS: list[Any] = [
    (_FormerKey, f"pytorch_lightning.callbacks.{name}")
    for name in ("model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping")
]
"""Lightning before 1.5 kept the state of a callback under its class, which is not imported here."""


def load_checkpoint(filepath: ModelFile, *, compatibility_load: bool | None = None) -> dict[str, Any]:
    """The content of a checkpoint file, with options under today's names; ``weights`` are those of its ``state_dict``
    under today's names and in today's order, as a :class:`torchmdnet.potential.TorchMD_Net` takes them.

    Args:
        filepath: The file.
        compatibility_load: Whether TensorNet's weights have the order of before 3.0; None finds out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no checkpoint, unpickling it would run code, or nothing tells the order of its weights.
    """
    content = _read(filepath)
    options = migrate_options(content["hyper_parameters"])
    weights = migrate_weights(content["state_dict"], options)
    layers = [] if is_of_this_package(options) else layers_with_parts(weights, options)
    if layers:
        is_old = compatibility_load
        if is_old is None:
            is_old = has_old_layout(weights, options, optimizer_states=content.get("optimizer_states") or ())
        if is_old:
            weights = to_new_layout(weights, layers)
        # Since 3.0 the kernels that every installation comes with have the other sign.
        options.setdefault("so3_convention", "2.x" if is_old else "3.x")
    return content | {"hyper_parameters": options, "weights": weights}


def _read(filepath: ModelFile) -> dict[str, Any]:
    """The content of a checkpoint file as stored."""
    path = Path(filepath).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint '{filepath}'")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)  # refused or read all the same
            with torch.serialization.safe_globals(_FORMER_KEYS):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise ValueError(f"'{filepath}' is not a checkpoint or is damaged") from error
        raise ValueError(
            f"'{filepath}' holds more than tensors and plain values ({named[1]}) and was not read, as it could run code"
        ) from error
    except (RuntimeError, EOFError, KeyError) as error:
        reason = (str(error) or "the file ends too early").splitlines()[0]
        raise ValueError(f"'{filepath}' is not a checkpoint or is damaged: {reason}") from error
    if not isinstance(content, dict) or not {"state_dict", "hyper_parameters"} <= content.keys():
        raise ValueError(f"'{filepath}' is not a checkpoint of a training run: no 'state_dict' and 'hyper_parameters'")
    return content


def load_model(
    filepath: ModelFile | Sequence[ModelFile],
    args: Mapping[str, Any] | None = None,
    device: str | torch.device = "cpu",
    return_std: bool = False,
    **kwargs: Any,
) -> TorchMD_Net | Ensemble:
    """A trained model from its checkpoint, in evaluation mode; several files, or a zip of files, make an ensemble.

    Args:
        filepath: Checkpoint, list of checkpoints, or ``.zip`` that holds ``.ckpt`` files.
        args: Options to build the model from; by default those in the file.
        device: Where the model goes.
        return_std: An ensemble returns standard deviations too.
        **kwargs: Options that replace those in the file, such as ``derivative=True`` or ``precision=64``;
            ``remove_ref_energy=False`` gives total energies from a model trained without the atoms' reference energies;
            ``static_shapes=True`` gives neighbour lists a size that depends on the number of atoms alone, for
            ``torch.compile`` and CUDA graphs; ``compatibility_load`` says whether TensorNet's weights have the order
            of before 3.0 (default: found out, or an error where nothing tells); ``so3_convention`` ('2.x' or '3.x')
            which of two mirror images an SO(3) model is (default: that of the release that wrote the file).

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is no checkpoint, would run code, or does not fit the options.
        TypeError: A keyword is no option.
    """
    if not isinstance(filepath, (str, PathLike)):
        return load_ensemble(filepath, args=args, device=device, return_std=return_std, **kwargs)
    if Path(filepath).suffix == ".zip":
        return _load_zip(filepath, args=args, device=device, return_std=return_std, **kwargs)
    old_layout: bool | None = kwargs.pop("compatibility_load", None)
    unknown = [key for key in kwargs if key not in {*Config.option_names(), *_EXTRA_ARGUMENTS}]
    if unknown:
        raise TypeError(f"load_model: '{unknown[0]}' is not an option{nearest(unknown[0], Config.option_names())}")

    content = load_checkpoint(filepath, compatibility_load=old_layout)
    stored = content["hyper_parameters"]
    overrides = {key: value for key, value in kwargs.items() if key not in {"check_errors", "format_version"}}
    handedness = {key: stored[key] for key in ("so3_convention",) if key in stored}
    options = (stored if args is None else handedness | migrate_options(args)) | overrides
    model = create_model(options)
    weights = _with_coulomb_box(content["weights"], model)
    _copy_weights(model, weights, source=str(filepath))
    if stored.get("remove_ref_energy"):
        _switch_reference_energies(model, on=kwargs.get("remove_ref_energy") is False)
    if kwargs.get("static_shapes"):
        use_static_shapes(model)
    return model.to(device).eval()


def load_ensemble(
    filepaths: Sequence[ModelFile],
    args: Mapping[str, Any] | None = None,
    device: str | torch.device = "cpu",
    return_std: bool = False,
    **kwargs: Any,
) -> Ensemble:
    """Models from several checkpoints as one that returns their mean; arguments as for :func:`load_model`."""
    if not filepaths:
        raise ValueError("an ensemble needs at least one checkpoint, got none")
    models = [load_model(path, args=args, device=device, **kwargs) for path in filepaths]
    return Ensemble(models, return_std=return_std).eval()


def _load_zip(filepath: ModelFile, **kwargs: Any) -> Ensemble:
    path = Path(filepath).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{filepath}'")
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        names = sorted(name for name in archive.namelist() if name.endswith(".ckpt"))
        if not names:
            raise ValueError(f"'{filepath}' holds no .ckpt file")
        return load_ensemble([archive.extract(name, folder) for name in names], **kwargs)


def load_weights(model: TorchMD_Net, filepath: ModelFile, *, compatibility_load: bool | None = None) -> None:
    """Copy the weights of a checkpoint into ``model``, which has the same architecture.

    Args:
        model: Where the weights go.
        filepath: The checkpoint.
        compatibility_load: As of :func:`load_model`.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: It is no checkpoint or the weights do not fit; the message names the first that differ.
    """
    content = load_checkpoint(filepath, compatibility_load=compatibility_load)
    _check_handedness(model, content["hyper_parameters"], source=str(filepath))
    _copy_weights(model, content["weights"], source=str(filepath))


def _check_handedness(model: TorchMD_Net, stored: Mapping[str, Any], *, source: str) -> None:
    """That weights of an SO(3) model do not become those of its mirror image."""
    own = getattr(model.representation_model, "so3_convention", "2.x")
    theirs = stored.get("so3_convention", "2.x")
    if stored.get("equivariance_invariance_group") == "SO(3)" and own != theirs:
        raise ValueError(
            f"the weights in '{source}' are those of an SO(3) model in the convention of TorchMD-NET {theirs}, the "
            f"model has that of {own}, its mirror image: use so3_convention: {theirs}"
        )


def _with_coulomb_box(weights: Mapping[str, torch.Tensor], model: TorchMD_Net) -> dict[str, torch.Tensor]:
    """The weights with the box of a head that has one: ``coulomb_cutoff`` may be given, or taken away, on loading."""
    key = "output_model.distance.box"
    others = {name: value for name, value in weights.items() if name != key}
    return others | {key: weights.get(key, torch.zeros(3, 3))} if key in model.state_dict() else others


def _copy_weights(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], *, source: str) -> None:
    own = model.state_dict()
    problems = [f"{key} is missing" for key in own if key not in weights]
    problems += [f"{key} has no place in the model" for key in weights if key not in own]
    if "representation_model.repulsion.z_pow" in weights.keys() - own.keys():
        problems = ["they were trained with a repulsion, which is part of their energy: use repulsion=True"]
    problems += [
        f"{key} has shape {tuple(weights[key].shape)}, the model {tuple(own[key].shape)}"
        for key in own
        if key in weights and weights[key].shape != own[key].shape and weights[key].numel() * own[key].numel() != 1
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(f"the weights in '{source}' do not fit the model: {'; '.join(problems[:3])}{more}")
    model.load_state_dict({key: value.reshape(own[key].shape) for key, value in weights.items()})


def _switch_reference_energies(model: TorchMD_Net, *, on: bool) -> None:
    """The prior that ``remove_ref_energy`` appended stands last."""
    last = model.prior_model[-1] if model.prior_model is not None else None
    if isinstance(last, Atomref):
        last.enable = on
