"""Stops training at the first batch whose loss or gradient is not a number."""

from collections.abc import Callable

import torch
from torch import Tensor

from torchmdnet.training.distributed import gather_objects

__all__ = ["FiniteGuard", "NonFiniteError"]

_MAX_NAMES = 8


class NonFiniteError(ArithmeticError):
    """A loss or gradient is NaN or infinite; the message names the frames of the batch."""


class FiniteGuard:
    """Collects values and looks at them every ``interval`` calls, since a look makes the host wait for the device.

    With several processes all of them must :meth:`watch` and :meth:`check` in step; every process then raises.

    Args:
        frame_name: Name of a frame, from its index in the data set.
        interval: Values between two looks.
    """

    def __init__(self, frame_name: Callable[[int], str] | None = None, *, interval: int = 1) -> None:
        self.frame_name = frame_name or "frame {}".format
        self.interval = interval
        self._watched: list[tuple[str, Tensor, Tensor | None]] = []

    def watch(self, what: str, value: Tensor, *, frames: Tensor | None) -> None:
        """Note ``value``, which came from the batch ``frames``.

        Args:
            what: Its name in the message, such as "training loss".
            value: Scalar.
            frames: Indices in the data set. (B,) int64, or None if they are not known.
        """
        self._watched.append((what, value.detach(), frames))
        if len(self._watched) >= self.interval:
            self.check()

    def check(self) -> None:
        """Look at all values noted since the last look.

        Raises:
            NonFiniteError: One is NaN or infinite.
        """
        watched, self._watched = self._watched, []
        finding = _first_bad(watched)
        for rank, (what, value, frames) in _known(gather_objects(finding)):
            where = f" on process {rank}" if rank else ""
            raise NonFiniteError(
                f"the {what} is {value}{where}, in the batch of {self._names(frames)}; look at these frames, or lower "
                "lr or set gradient_clipping"
            )

    def _names(self, frames: list[int]) -> str:
        if not frames:
            return "unknown frames"
        names = [self.frame_name(frame) for frame in frames[:_MAX_NAMES]]
        more = len(frames) - len(names)
        return "; ".join(names) + (f" and {more} more" if more else "")


Finding = tuple[str, float, list[int]]


def _first_bad(watched: list[tuple[str, Tensor, Tensor | None]]) -> Finding | None:
    if not watched:
        return None
    finite = torch.isfinite(torch.stack([value.float() for _, value, _ in watched])).tolist()
    for good, (what, value, frames) in zip(finite, watched, strict=True):
        if not good:
            return what, float(value), [] if frames is None else frames.tolist()
    return None


def _known(findings: list[Finding | None]) -> list[tuple[int, Finding]]:
    return [(rank, finding) for rank, finding in enumerate(findings) if finding is not None]
