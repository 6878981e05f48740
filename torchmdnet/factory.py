"""From options to a model: looks names up in the registries and hands each class the options it takes."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.config import ConfigError, nearest
from torchmdnet.models import MODELS
from torchmdnet.models.atom_filter import AtomFilter
from torchmdnet.nn.representation import Representation
from torchmdnet.outputs import OUTPUTS
from torchmdnet.outputs.output_model import OutputModel
from torchmdnet.potential import TorchMD_Net
from torchmdnet.priors import BasePrior, resolve_prior

__all__ = ["check_names", "create_model", "create_prior_models", "model_dtype"]

_OPEN_KINDS = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})

_RENAMED = {"hidden_channels": "embedding_dimension"}


def model_dtype(precision: int | str) -> torch.dtype:
    """Type of the weights; mixed precisions keep them in float32."""
    return torch.float64 if precision == 64 else torch.float32


def check_names(options: Mapping[str, Any]) -> None:
    """That model, head and priors exist, before anything costly is done.

    Raises:
        ConfigError: One does not; the message lists those that do.
    """
    _check_repulsion(options)
    head = _look_up("output_model", options["output_model"], OUTPUTS)
    ignored = _ignored_layers(options, head)
    if ignored is not None:
        raise ConfigError(ignored)
    for name, arguments in _prior_options(options.get("prior_model"), None):
        _check_prior_arguments(name, arguments)


def _check_repulsion(options: Mapping[str, Any]) -> None:
    """Refuse a term of the energy that the model does not have."""
    model = _look_up("model", options["model"], MODELS)
    if options.get("repulsion") and not _takes(model, "repulsion"):
        users = [name for name, kind in MODELS.items() if _takes(kind, "repulsion")]
        raise ConfigError(f"repulsion: got true, but {options['model']} has none; models that have: {', '.join(users)}")


def _ignored_layers(options: Mapping[str, Any], head: type) -> str | None:
    """What to say of further layers that a head does not have."""
    count = options.get("output_mlp_num_layers")
    if not count or _takes(head, "output_mlp_num_layers"):
        return None
    users = [name for name, kind in OUTPUTS.items() if _takes(kind, "output_mlp_num_layers")]
    return (
        f"output_mlp_num_layers: got {count}, but {options['output_model']} has no further layers; those that have: "
        f"{', '.join(users)}"
    )


def create_prior_models(args: Mapping[str, Any], dataset: Any = None) -> list[BasePrior]:
    """The priors that ``prior_model`` names: a name, ``{name: arguments}`` or a list of these.

    Args:
        args: Options; ``prior_args``, where present, replaces the arguments.
        dataset: The data set, from which priors take reference energies, units and the like.

    Raises:
        ConfigError: A prior is unknown or an argument is none of its own.
    """
    priors = []
    for name, arguments in _prior_options(args.get("prior_model"), args.get("prior_args")):
        _check_prior_arguments(name, arguments)
        priors.append(resolve_prior(name)(dataset=dataset, **arguments))
    return priors


def _prior_options(prior_model: Any, prior_args: Any) -> list[tuple[str, dict[str, Any]]]:
    """(name, arguments) of each prior."""
    if not prior_model:
        return []
    priors: list[tuple[str, dict[str, Any]]] = []
    for entry in (
        prior_model if isinstance(prior_model, Sequence) and not isinstance(prior_model, str) else [prior_model]
    ):
        if isinstance(entry, str):
            priors.append((entry, {}))
        elif isinstance(entry, Mapping):
            priors.extend((name, dict(arguments or {})) for name, arguments in entry.items())
        else:
            raise ConfigError(f"prior_model: got {entry!r}, expected a name or {{name: arguments}}")
    if prior_args:
        replaced = [prior_args] if isinstance(prior_args, Mapping) else list(prior_args)
        if len(replaced) != len(priors):
            raise ConfigError(f"prior_args: got {len(replaced)} entries for {len(priors)} priors")
        priors = [(name, dict(arguments or {})) for (name, _), arguments in zip(priors, replaced, strict=True)]
    return priors


def _check_prior_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    try:
        parameters = inspect.signature(resolve_prior(name)).parameters
    except (TypeError, ValueError) as error:
        raise ConfigError(f"prior_model: {error}") from error
    known = [key for key in parameters if key != "dataset"]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in arguments:
        if key not in known and not takes_any:
            raise ConfigError(f"'{key}' is not an option of {name}{nearest(key, known)}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and parameter.kind not in _OPEN_KINDS and key not in arguments:
            raise ConfigError(f"{name} needs '{key}': prior_model: {{{name}: {{{key}: ...}}}}")


def create_model(
    args: Mapping[str, Any],
    prior_model: Sequence[BasePrior] | None = None,
    mean: Tensor | None = None,
    std: Tensor | None = None,
) -> TorchMD_Net:
    """A new model.

    Args:
        args: Options by key, as in :class:`torchmdnet.config.Config`.
        prior_model: Priors; by default those that the options name.
        mean: Mean of the energies, added to each system's sum. ()
        std: Deviation of the energies, a factor of each atom's term. ()

    Raises:
        ConfigError: A name is unknown or an option is missing.
    """
    options = dict(args)
    missing = [key for key in ("model", "output_model", "embedding_dimension", "precision") if key not in options]
    if missing:
        raise ConfigError(f"create_model: the option '{missing[0]}' is missing")
    dtype = model_dtype(options["precision"])
    representation = _create_representation(options, dtype)
    if prior_model is None:
        prior_model = create_prior_models(options)
    head = _create_head(options, dtype, is_equivariant=representation.is_equivariant)
    if options.get("atom_filter", -1) > -1:
        representation = AtomFilter(representation, options["atom_filter"])
    return TorchMD_Net(
        representation,
        head,
        prior_model=list(prior_model) or None,
        mean=mean,
        std=std,
        derivative=bool(options.get("derivative", False)),
        dtype=dtype,
    )


def _create_representation(options: Mapping[str, Any], dtype: torch.dtype) -> Representation:
    _check_repulsion(options)
    model = _look_up("model", options["model"], MODELS)
    given = {"vector_cutoff": False, "q_dim": 0} | dict(options)
    if given["vector_cutoff"] is None:
        given["vector_cutoff"] = True
    representation: Representation = model(**_taken(model, given), dtype=dtype)
    return representation


def _create_head(options: Mapping[str, Any], dtype: torch.dtype, *, is_equivariant: bool) -> OutputModel:
    name = options["output_model"]
    _look_up("output_model", name, OUTPUTS)
    full_name = f"Equivariant{name}" if is_equivariant and not name.startswith("Equivariant") else name
    head = _look_up("output_model", full_name, OUTPUTS)
    ignored = _ignored_layers(options, head)
    if ignored is not None:  # old files have the option and weights without the layers
        warnings.warn(ignored, stacklevel=4)
    model: OutputModel = head(**_taken(head, options), dtype=dtype)
    return model


def _takes(module: type, option: str) -> bool:
    return option in inspect.signature(module).parameters


def _taken(module: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are parameters of the class's constructor, under its names for them."""
    names = [name for name in inspect.signature(module).parameters if name != "dtype"]
    return {name: options[_RENAMED.get(name, name)] for name in names if _RENAMED.get(name, name) in options}


def _look_up(key: str, name: str, registry: Mapping[str, type]) -> type:
    if name not in registry:
        raise ConfigError(f"{key}: got '{name}', expected one of {', '.join(registry)}{nearest(name, registry)}")
    return registry[name]
