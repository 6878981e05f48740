r"""Functions of the distance as a table: a polynomial of fifth degree on each of M even intervals.

A table has shape (M, 6, ...): for each interval the coefficients of 1, t, ... t⁵ of some functions, t from 0 to 1
across the interval. A distance comes as its coordinate s: 0 where the first interval begins, M where the last one ends.
Interpolation is linear in the table; its derivative by s is exact, so that forces are those of the interpolated energy.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "NUM_COEFFICIENTS",
    "gradients_of",
    "interpolate",
    "keep_inputs",
    "midpoint_table",
    "place_in_table",
    "through_reference",
]

NUM_COEFFICIENTS = 6


def midpoint_table(value: Tensor, slope: Tensor) -> Tensor:
    """The table with given values and slopes at the ends and middles of intervals; its derivative is continuous.

    Shapes: value, slope (an interval is the unit of length), ends and middles in turn: (2 M + 1, ...) -> (M, 6, ...).
    """
    a, m, b = value[:-1:2], value[1::2], value[2::2]
    to_middle, to_end = m - a, b - a
    p, q, r = slope[:-1:2], slope[1::2], slope[2::2]
    return torch.stack(
        [
            a,
            p,
            16 * to_middle + 7 * to_end - 6 * p - 8 * q - r,
            -32 * to_middle - 34 * to_end + 13 * p + 32 * q + 5 * r,
            16 * to_middle + 52 * to_end - 12 * p - 40 * q - 8 * r,
            -24 * to_end + 4 * p + 16 * q + 4 * r,
        ],
        dim=1,
    )


def interpolate(table: Tensor, s: Tensor, *, order: int = 0) -> Tensor:
    """The functions, or their derivative of some order by s, at coordinates s. Differentiable to any order.

    Shapes: table: (M, 6, ...), s: (P,) -> (P, ...).
    """
    interval, t = place_in_table(s, table.shape[0])
    t = t.reshape(-1, *[1] * (table.ndim - 2))
    rows = table.flatten(0, 1)
    result = s.new_zeros((s.shape[0], *table.shape[2:]))
    num_powers = table.shape[1]
    for power in reversed(range(order, num_powers)):
        coefficient = rows.index_select(0, num_powers * interval + power)
        result = result * t + math.perm(power, order) * coefficient
    return result


def place_in_table(s: Tensor, num_intervals: int) -> tuple[Tensor, Tensor]:
    """Interval of each coordinate, int64, and t, which outside the table is not between 0 and 1. (P,) -> (P,), (P,)"""
    interval = s.detach().nan_to_num(nan=0.0).clamp(0, num_intervals - 1).to(torch.int64)
    return interval, s - interval.to(s.dtype)


def gradients_of(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Sequence[Tensor],
    *,
    grads: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of a function made of PyTorch's own operations, differentiable where gradients are being recorded.

    For derivatives of a native op that no fast path asks for.

    Args:
        function: Of all inputs, to a tensor or several.
        inputs: What it is differentiated at.
        grads: Gradient of each of its results; None for zero.
        needed: Which inputs it is differentiated by; the others get None.
    """
    is_recording = torch.is_grad_enabled()
    with torch.enable_grad():
        if is_recording:
            # Views, for an input may be made of another one, and a gradient is to be the one at fixed other inputs.
            inputs = [x.view_as(x) for x in inputs]
        else:
            inputs = [x.detach().requires_grad_(need) for x, need in zip(inputs, needed, strict=True)]
        results = function(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None and r.requires_grad]
        wanted = [x for x, need in zip(inputs, needed, strict=True) if need]
        if not pairs or not wanted:
            return [None] * len(inputs)
        found = iter(
            torch.autograd.grad(
                [r for r, _ in pairs],
                wanted,
                [g for _, g in pairs],
                create_graph=is_recording,
                allow_unused=True,
            )
        )
    return [next(found) if need else None for need in needed]


def keep_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    """Keep all inputs of an op for its derivative; gradients that are zero come as None."""
    ctx.save_for_backward(*inputs)
    ctx.set_materialize_grads(False)


def through_reference(reference: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor | None, ...]]:
    """The derivative of an op as that of its reference; the op's last inputs are receiver, sender, row_ptr and pair."""

    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, receiver, sender, row_ptr, pair = ctx.saved_tensors
        results = gradients_of(
            lambda *values: reference(*values, receiver, sender, row_ptr, pair),
            inputs,
            grads=grads,
            needed=ctx.needs_input_grad[: len(inputs)],
        )
        return (*results, None, None, None, None)

    return backward
