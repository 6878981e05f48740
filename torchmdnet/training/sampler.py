"""The order in which frames are visited: a pure function of seed and epoch, shared between processes, restartable."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch

__all__ = ["EpochLoader", "EpochSampler"]


class EpochSampler(Sampler[NDArray[np.int64]]):
    """Batches of frame numbers for one process.

    An epoch is a sequence of global batches of ``world_size * batch_size`` frames, the same sequence on every process;
    each process takes its part of every global batch, parts differing by one frame at most. So the union of the parts
    is what one process with the whole batch size would take, every frame is visited exactly once, and all processes do
    the same number of steps. A last global batch of fewer frames than processes joins the one before it.

    Args:
        frames: numbers of the frames in the data set.
        batch_size: frames of a batch, per process.
        seed: of the order; None keeps the order of ``frames``.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ValueError: there are fewer frames than processes.
    """

    def __init__(
        self,
        frames: NDArray[np.int64],
        batch_size: int,
        *,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(frames) < world_size:
            raise ValueError(
                f"{len(frames)} frames cannot be shared between {world_size} processes; "
                "use fewer processes or a larger set (train_size, val_size, test_size)"
            )
        self.frames = np.asarray(frames, dtype=np.int64)
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0
        self.done = 0
        self._global_size = batch_size * world_size

    def __len__(self) -> int:
        whole, left = divmod(len(self.frames), self._global_size)
        return whole + (left >= self.world_size or (left > 0 and whole == 0))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; a new one starts at its first batch."""
        if epoch != self.epoch:
            self.epoch, self.start, self.done = epoch, 0, 0

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        order = self.frames
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        first, size = self.start, len(self)
        self.start = 0
        for number in range(first, size):
            start = number * self._global_size
            end = len(order) if number == size - 1 else start + self._global_size
            yield np.array_split(order[start:end], self.world_size)[self.rank]


class EpochLoader(DataLoader[Batch]):
    """Loads the batches of an ``EpochSampler`` and remembers how far it came.

    The state goes into Lightning's checkpoints: a resumed run goes on with the next batch of the same epoch.

    Args:
        dataset: indexed with an array of frame numbers, gives a batch.
        sampler: the order.
        options: of ``DataLoader``: workers, memory pinning.
    """

    def __init__(self, dataset: Any, sampler: EpochSampler, **options: Any) -> None:
        super().__init__(dataset, batch_size=None, sampler=sampler, **options)
        self.order = sampler

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        # A generator: workers start fetching at the first batch asked for, when the epoch has been chosen
        self.order.done = self.order.start
        for batch in super().__iter__():
            self.order.done += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The next batch to come."""
        more_epochs, batch = divmod(self.order.done, len(self))
        return {"epoch": self.order.epoch + more_epochs, "batch": batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another loader of the same frames was."""
        self.order.set_epoch(state["epoch"])
        self.order.start = self.order.done = state["batch"]
