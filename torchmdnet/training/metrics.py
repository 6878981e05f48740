"""Means of the losses over an epoch."""

import torch
from torch import Tensor

from torchmdnet.training.distributed import sum_over_ranks, world_size

__all__ = ["EpochMeans"]


class EpochMeans:
    """Means of named values over the batches of an epoch and over all processes, batches weighing alike.

    Values stay on their device until :meth:`collect`, so that adding one never waits for the device.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Take in the value of one batch. ()"""
        value = value.detach().double()
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + 1

    def collect(self) -> dict[str, float]:
        """Means by name, after which a new epoch begins. Every process must have the same names and counts."""
        names = sorted(self._sums)
        if not names:
            return {}
        sums = sum_over_ranks(torch.stack([self._sums[name] for name in names])).tolist()
        means = {name: total / (self._counts[name] * world_size()) for name, total in zip(names, sums, strict=True)}
        self._sums, self._counts = {}, {}
        return means
