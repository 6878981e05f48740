"""Linear maps of channels, one for each of the three parts of a tensor, and derivatives of ops that hold them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops.radial_table import gradients_of
from torchmdnet.ops.tensor_algebra import PART_SIZES

__all__ = ["check_part_maps", "keep_all", "map_parts", "of_reference"]

Reference = Callable[..., Tensor | tuple[Tensor, ...]]


def map_parts(x: Tensor, maps: Sequence[Tensor]) -> Tensor:
    """Apply each part's map to its components. x: (9, N, C), three maps W: (C, C) -> x Wᵀ (9, N, C)"""
    return torch.cat([part @ w.t() for part, w in zip(x.split(PART_SIZES), maps, strict=True)])


def check_part_maps(x: Tensor, maps: Sequence[Tensor]) -> None:
    """Refuse anything but three square maps of the channels of (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    channels = x.shape[-1]
    if x.ndim != 3 or x.shape[0] != sum(PART_SIZES) or [tuple(w.shape) for w in maps] != [(channels, channels)] * 3:
        shapes = ", ".join(str(tuple(w.shape)) for w in maps)
        raise ValueError(f"want x (9, N, C) and three maps (C, C), not {tuple(x.shape)} and {shapes}")


def keep_all(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """Keep an op's arguments, tensors first, for its derivative; gradients that are zero come as None."""
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    ctx.save_for_backward(*tensors)
    ctx.others = inputs[len(tensors) :]
    ctx.set_materialize_grads(False)


def of_reference(reference: Reference) -> Callable[..., tuple[Tensor | None, ...]]:
    """The derivative of an op that :func:`keep_all` set up, as that of its reference."""

    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors, others = ctx.saved_tensors, ctx.others
        needed = ctx.needs_input_grad[: len(tensors)]
        found = gradients_of(lambda *values: reference(*values, *others), tensors, grads=grads, needed=needed)
        return (*found, *(None for _ in others))

    return backward
