"""Loss functions, averaged over the global batch of all processes."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["LOSSES", "LossFunction", "LossSmoother", "loss_function", "mean_share"]

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Prediction and label of one shape -> sum of the loss over all components."""

LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse_loss": torch.nn.functional.mse_loss,
    "l1_loss": torch.nn.functional.l1_loss,
    "huber_loss": torch.nn.functional.huber_loss,
}


def loss_function(name: str, arguments: Mapping[str, Any] | None = None) -> LossFunction:
    """The loss called ``name``, summed over components.

    Args:
        name: A key of :data:`LOSSES`.
        arguments: Its own arguments, such as ``{"delta": 0.1}`` of ``huber_loss``.

    Raises:
        ValueError: No such loss, it has no such argument, or none of that value.
    """
    if name not in LOSSES:
        raise ValueError(f"train_loss: got '{name}', expected one of {', '.join(LOSSES)}")
    function = LOSSES[name]
    allowed = set(inspect.signature(function).parameters) - {"input", "target", "reduction", "reduce", "size_average"}
    for argument in arguments or {}:
        if argument not in allowed:
            raise ValueError(
                f"train_loss_arg: {name} has no argument '{argument}', expected {', '.join(sorted(allowed))}"
            )
    loss = functools.partial(function, reduction="sum", **(arguments or {}))
    try:
        loss(torch.zeros(1), torch.zeros(1))
    except (RuntimeError, TypeError, ValueError) as error:
        given = ", ".join(f"{key}: {value!r}" for key, value in (arguments or {}).items())
        raise ValueError(f"train_loss_arg: {name} does not take {given} ({error})") from error
    return loss


def mean_share(
    loss: LossFunction, prediction: Tensor, label: Tensor, *, count: Tensor | int, num_processes: int
) -> Tensor:
    r"""This process' share of the mean over the global batch.

    $L_r = W/n \sum_{k \in r} \ell(p_k, t_k)$, with n components in the global batch and W processes: the mean of
    $L_r$ and of its gradient over the processes, which is what data-parallel training takes, is then the mean over
    all components, however unevenly they are spread.

    Args:
        loss: Summed loss.
        prediction: Any shape.
        label: Same shape.
        count: n.
        num_processes: W.
    """
    return loss(prediction, label) * (num_processes / count)


class LossSmoother:
    r"""Running mean of a loss value over batches, $v \leftarrow \alpha v + (1 - \alpha) v_\mathrm{previous}$.

    The previous value is a constant to the gradient. The first value of each name is taken as it is, and
    $\alpha = 1$ changes nothing.
    """

    def __init__(self) -> None:
        self.previous: dict[str, Tensor] = {}

    def load(self, states: Sequence[Mapping[str, Tensor]], *, rank: int, num_processes: int) -> None:
        """Go on from ``previous`` of every process; other numbers of processes start from the mean."""
        if len(states) == num_processes:
            self.previous = dict(states[rank])
        elif states:
            self.previous = {name: torch.stack([state[name] for state in states]).mean() for name in states[0]}
        else:
            self.previous = {}

    def __call__(self, name: str, value: Tensor, *, alpha: float) -> Tensor:
        if not 0 < alpha < 1:
            return value
        if name in self.previous:
            value = alpha * value + (1 - alpha) * self.previous[name].to(value)
        self.previous[name] = value.detach()
        return value
