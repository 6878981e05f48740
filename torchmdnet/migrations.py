"""Old names of options and weights, one function a change. New files never pass through here.

The history is that of TorchMD-NET's releases; ``format_version`` in the options marks files written by this package.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["FORMAT_VERSION", "is_of_this_package", "migrate_options", "migrate_weights"]

FORMAT_VERSION = 1
"""Version of the checkpoints that this package writes."""

Weights = dict[str, Tensor]
Options = dict[str, Any]

_OLD_MODEL_NAMES = {"tensornetv2_alt": "tensornet2", "tensornet-nqe": "tensornet2"}


def migrate_options(options: Mapping[str, Any]) -> Options:
    """Options of any age under today's names.

    Raises:
        ValueError: The file was written by a newer version of this package.
    """
    version = options.get("format_version", 0)
    if version > FORMAT_VERSION:
        raise ValueError(
            f"the checkpoint has format {version}, this version reads up to {FORMAT_VERSION}: update torchmdnet"
        )
    migrated = dict(options)
    migrated["model"] = _OLD_MODEL_NAMES.get(migrated.get("model", ""), migrated.get("model"))
    migrated.setdefault("precision", 32)
    migrated.setdefault("vector_cutoff", False)
    return migrated


def is_of_this_package(options: Mapping[str, Any]) -> bool:
    """Whether this package wrote the checkpoint, not TorchMD-NET."""
    return bool(options.get("format_version", 0) >= 1)


def migrate_weights(weights: Mapping[str, Tensor], options: Mapping[str, Any]) -> Weights:
    """A state dict of any age under today's names; the order of its rows is another matter, see ``tensor_layout``.

    Args:
        weights: ``state_dict`` of the checkpoint.
        options: Its ``hyper_parameters``.
    """
    migrated = {key.removeprefix("model."): value for key, value in weights.items()}
    if is_of_this_package(options):
        return migrated
    for step in (_gated_block_names, _head_names, _unindexed_prior, _missing_boxes):
        migrated = step(migrated, options)
    return migrated


def _renamed(weights: Weights, rename: Callable[[str], str]) -> Weights:
    return {rename(key): value for key, value in weights.items()}


def _gated_block_names(weights: Weights, options: Mapping[str, Any]) -> Weights:
    """``update_net.0`` became ``update_net.layers.0``."""

    def rename(key: str) -> str:
        head, found, tail = key.partition(".update_net.")
        return key if not found or tail.startswith("layers.") else f"{head}.update_net.layers.{tail}"

    return _renamed(weights, rename)


def _head_names(weights: Weights, options: Mapping[str, Any]) -> Weights:
    """``output_network.0.weight`` of the scalar heads became ``output_network.layers.0.weight``."""
    prefix = "output_model.output_network."

    def rename(key: str) -> str:
        parts = key.removeprefix(prefix).split(".")
        is_old = key.startswith(prefix) and len(parts) == 2 and parts[0].isdigit()
        return f"{prefix}layers.{'.'.join(parts)}" if is_old else key

    return _renamed(weights, rename)


def _unindexed_prior(weights: Weights, options: Mapping[str, Any]) -> Weights:
    """A single prior had no number before November 2022."""

    def rename(key: str) -> str:
        tail = key.removeprefix("prior_model.")
        is_old = tail != key and not tail.split(".")[0].isdigit()
        return f"prior_model.0.{tail}" if is_old else key

    return _renamed(weights, rename)


def _missing_boxes(weights: Weights, options: Mapping[str, Any]) -> Weights:
    """``box`` became a buffer of the neighbour lists in 2.5.0; files from before hold no default box."""
    inner = "model." if options.get("atom_filter", -1) > -1 else ""
    expected = [f"representation_model.{inner}distance.box"]
    if options.get("coulomb_cutoff") is not None and "Coulomb" in options.get("output_model", ""):
        expected.append("output_model.distance.box")
    priors = {int(key.split(".")[1]) for key in weights if key.startswith("prior_model.")}
    for index in sorted(priors):
        names = {key.split(".", 2)[2] for key in weights if key.startswith(f"prior_model.{index}.")}
        if "C_6" in names:
            expected.append(f"prior_model.{index}.distances.box")
        elif "atomic_number" in names:
            expected.append(f"prior_model.{index}.distance.box")
    boxes = {key: torch.zeros(3, 3) for key in expected if key not in weights}
    return weights | boxes
