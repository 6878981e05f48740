"""Keys of files that are no options here: left out where they say nothing new, explained where they do."""

from collections.abc import Mapping
from typing import Any

__all__ = ["ForeignKeyError", "without_foreign_keys"]

DROPPED_KEYS = frozenset({"check_errors", "format_version"})
"""Written by TorchMD-NET and into ``hparams.yaml``; they mean nothing to a run."""

FORMER_NAMES = {
    "energy_weight": "y_weight",
    "force_weight": "neg_dy_weight",
    "ema_alpha_dy": "ema_alpha_neg_dy",
    "distributed_backend": "accelerator",
    "early_stop_patience": "early_stopping_patience",
}
"""Options of TorchMD-NET before 1.0, and what took their place."""

SINGLE_PRECISION = frozenset({"float", "float32", "torch.float32"})


class ForeignKeyError(ValueError):
    """A key that is no option and cannot be left out."""


def without_foreign_keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without the keys that other files have beside them.

    - ``check_errors`` and ``format_version`` are left out, and so is ``dtype`` if it says what is the default.
    - ``prior_args``, the arguments of the priors in ``hparams.yaml``, join their names in ``prior_model``.

    Raises:
        ForeignKeyError: A key had another name once, or ``prior_args`` do not fit ``prior_model``.
    """
    kept = {key: value for key, value in options.items() if key not in DROPPED_KEYS}
    for key, name in FORMER_NAMES.items():
        if key in kept:
            raise ForeignKeyError(f"unknown option '{key}'; what it did is the option '{name}' now")
    if "dtype" in kept and str(kept.pop("dtype")) not in SINGLE_PRECISION:
        raise ForeignKeyError(
            f"unknown option 'dtype' (got {options['dtype']!r}); use precision: 64 for double precision"
        )
    if "prior_args" in kept:
        arguments = kept.pop("prior_args")
        if arguments:
            kept["prior_model"] = _priors_with(arguments, kept.get("prior_model"))
    return kept


def _priors_with(arguments: Any, prior_model: Any) -> list[dict[str, Any]]:
    """``[{name: arguments}, ...]``"""
    entries = prior_model if isinstance(prior_model, list) else [] if prior_model is None else [prior_model]
    names = [name for entry in entries for name in (entry if isinstance(entry, Mapping) else [entry])]
    each = [arguments] if isinstance(arguments, Mapping) else list(arguments)
    if len(each) != len(names):
        raise ForeignKeyError(f"prior_args: got {len(each)} entries for the {len(names)} priors of prior_model")
    return [{name: dict(own or {})} for name, own in zip(names, each, strict=True)]
