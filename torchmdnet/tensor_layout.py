r"""The two orders in which TorchMD-NET's files hold the triple outputs of TensorNet, and how to tell them apart.

Until 2.6.2 row :math:`3k + c` of such a layer belongs to channel k and part c (trace, antisymmetric, symmetric), since
3.0 row :math:`cH + k` does. The options of a file rarely say which, its numbers do: the parts are trained on gradients
of different size, channels of one part on similar ones. So sizes differ least within the true parts.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["UndecidedLayoutError", "has_old_layout", "layers_with_parts", "layout_evidence", "to_new_layout"]

MODELS_WITH_PARTS = frozenset({"tensornet", "tensornet2"})

ENOUGH_EVIDENCE = 10.0
"""Logarithm of the odds at which numbers decide; weights that nobody trained reach it once in some ten thousand."""

_TINY = 1e-30

_THIS = "this TensorNet checkpoint"


class UndecidedLayoutError(ValueError):
    """A checkpoint does not say how its weights are ordered, so that the user has to."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem}: load it with compatibility_load=True if TorchMD-NET 2.6.2 or earlier trained it, with "
            "compatibility_load=False if 3.0 or later did"
        )
        self.for_commands = (
            f"{problem}: give --compatibility-load true (compatibility_load: true in YAML) if TorchMD-NET 2.6.2 or "
            "earlier trained it, --compatibility-load false if 3.0 or later did"
        )
        """The same with the option as commands and YAML files spell it."""


def has_old_layout(
    weights: Mapping[str, Tensor], options: Mapping[str, Any], *, optimizer_states: Sequence[Any] = ()
) -> bool:
    """Whether weights have the order of 2.6.2 and before.

    Args:
        weights: State dict of a :class:`torchmdnet.potential.TorchMD_Net`.
        options: Options of the file, under today's names.
        optimizer_states: Those of the file, whose second moments tell more than the weights do.

    Raises:
        UndecidedLayoutError: There is no evidence, or it contradicts itself.
    """
    layers = layers_with_parts(weights, options)
    if not layers:
        return False
    # check_errors was an option from January 2024 to 2.6.1, distance.box came with 2.5.0.
    if "check_errors" in options or not any(key.endswith("distance.box") for key in weights):
        if layout_evidence(weights, layers) < -ENOUGH_EVIDENCE:
            raise UndecidedLayoutError(
                f"{_THIS} has options of TorchMD-NET before 3.0 and weights in the order of 3.0 and later"
            )
        return True
    if "repulsion" in options:  # came with 3.1.0
        return False
    evidence = layout_evidence(weights, layers, optimizer_states=optimizer_states)
    if abs(evidence) < ENOUGH_EVIDENCE:
        raise UndecidedLayoutError(
            f"{_THIS} does not say whether its weights have the order of before 3.0 or the later one"
        )
    return evidence > 0


def layers_with_parts(weights: Mapping[str, Tensor], options: Mapping[str, Any]) -> list[str]:
    """Prefixes of the layers whose order changed; the embedding's stands first."""
    if options.get("model") not in MODELS_WITH_PARTS:
        return []
    layers = [key.removesuffix(".bias") for key in weights if key.endswith(".bias")]
    embedding = [layer for layer in layers if layer.endswith("tensor_embedding.linears_scalar.1")]
    if options["model"] == "tensornet2":
        return embedding
    return embedding + [layer for layer in layers if layer.endswith("linears_scalar.2")]


def layout_evidence(
    weights: Mapping[str, Tensor], layers: Sequence[str], *, optimizer_states: Sequence[Any] = ()
) -> float:
    """Logarithm of the odds for the old order against the new one, from the sizes of the layers' rows."""
    sizes = [weights[f"{layer}.weight"].double().square().mean(1) for layer in layers]
    if layers:
        shape = weights[f"{layers[0]}.weight"].shape
        sizes += [moment.double().mean(1) for moment in _second_moments(optimizer_states, shape)[: len(layers)]]
    return sum(_log_odds(size.clamp(min=_TINY).log()) for size in sizes)


def _second_moments(optimizer_states: Sequence[Any], shape: torch.Size) -> list[Tensor]:
    """Those of Adam for the parameters of that shape, in the order of the parameters."""
    states = optimizer_states[0].get("state", {}) if len(optimizer_states) == 1 else {}
    moments = [states[index].get("exp_avg_sq") for index in sorted(states)]
    return [moment for moment in moments if isinstance(moment, Tensor) and moment.shape == shape]


def _log_odds(values: Tensor) -> float:
    """Of normal values that differ in mean from part to part, in the old order against the new. values: (3 H,)"""
    channels = len(values) // 3
    new, old = values.reshape(3, channels), values.reshape(channels, 3).T
    within = [float((order - order.mean(1, keepdim=True)).square().sum()) + _TINY for order in (new, old)]
    return 1.5 * channels * math.log(within[0] / within[1])


def to_new_layout(weights: Mapping[str, Tensor], layers: Sequence[str]) -> dict[str, Tensor]:
    """The same weights with row 3k + c of the layers at c H + k."""
    moved = dict(weights)
    for layer in layers:
        for part in ("weight", "bias"):
            rows = weights[f"{layer}.{part}"]
            channels = rows.shape[0] // 3
            moved[f"{layer}.{part}"] = rows.reshape(channels, 3, -1).transpose(0, 1).reshape(rows.shape).contiguous()
    return moved
