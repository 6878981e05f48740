"""Exponential moving average of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    r"""Running average of a module's parameters, $\bar w \leftarrow d_n \bar w + (1 - d_n) w$.

    The decay starts low, $d_n = \min(d, (1 + n) / (10 + n))$ after n updates, so that the random initial weights are
    forgotten at once. Buffers are not averaged.

    Args:
        module: Module whose parameters are averaged.
        decay: d, between 0 and 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self._weights = dict(module.named_parameters())
        self._averages = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the present weights, once after every optimiser step."""
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        averages, weights = self._lists()
        torch._foreach_lerp_(averages, weights, 1 - decay)
        self.num_updates += 1

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and averages in the module; a second call puts them back."""
        averages, weights = self._lists()
        kept = [weight.clone() for weight in weights]
        torch._foreach_copy_(weights, averages)
        torch._foreach_copy_(averages, kept)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The module holds the averages inside this context."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def averages(self) -> dict[str, Tensor]:
        """Averages by name of parameter."""
        return dict(self._averages)

    @torch.no_grad()
    def load(self, averages: Mapping[str, Tensor], *, num_updates: int) -> None:
        """Go on from stored averages.

        Raises:
            KeyError: They belong to another module.
        """
        if averages.keys() != self._averages.keys():
            wrong = sorted(averages.keys() ^ self._averages.keys())
            raise KeyError(f"averaged weights of another model: {', '.join(wrong)} in only one of the two")
        for name, average in self._averages.items():
            average.copy_(averages[name])
        self.num_updates = num_updates

    def _lists(self) -> tuple[list[Tensor], list[Tensor]]:
        """Averages and weights, both on the module's present device."""
        for name, weight in self._weights.items():
            if self._averages[name].device != weight.device:
                self._averages[name] = self._averages[name].to(weight.device)
        return list(self._averages.values()), [weight.detach() for weight in self._weights.values()]
