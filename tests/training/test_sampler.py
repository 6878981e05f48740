"""The order of frames: a function of seed and epoch, shared between processes without loss, restartable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchmdnet.training.sampler import EpochLoader, EpochSampler


class Numbers:
    """A data set whose batches are their frame numbers."""

    def __getitem__(self, frames: np.ndarray) -> list[int]:
        return frames.tolist()


def sampler(size: int, batch_size: int, *, seed: int | None = 3, rank: int = 0, world_size: int = 1) -> EpochSampler:
    return EpochSampler(np.arange(100, 100 + size), batch_size, seed=seed, rank=rank, world_size=world_size)


def epoch(order: EpochSampler, number: int) -> list[list[int]]:
    order.set_epoch(number)
    return [frames.tolist() for frames in order]


def test_order_depends_on_seed_and_epoch_only() -> None:
    first, second = sampler(20, 6), sampler(20, 6)
    epoch(second, 4)
    assert epoch(first, 1) == epoch(second, 1)
    assert epoch(first, 0) != epoch(first, 1)
    assert epoch(first, 0) != epoch(sampler(20, 6, seed=4), 0)


def test_without_seed_the_order_is_kept() -> None:
    assert epoch(sampler(5, 2, seed=None), 3) == [[100, 101], [102, 103], [104]]


@given(
    size=st.integers(1, 60),
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 5),
    number=st.integers(0, 3),
)
def test_processes_share_every_frame_once_in_as_many_steps(
    size: int, batch_size: int, world_size: int, number: int
) -> None:
    if size < world_size:
        with pytest.raises(ValueError, match=f"{size} frames cannot be shared between {world_size} processes"):
            sampler(size, batch_size, world_size=world_size)
        return
    parts = [sampler(size, batch_size, rank=rank, world_size=world_size) for rank in range(world_size)]
    batches = [epoch(part, number) for part in parts]
    assert {len(one) for one in batches} == {len(parts[0])}
    assert sorted(frame for one in batches for batch in one for frame in batch) == list(range(100, 100 + size))
    for step in zip(*batches, strict=True):
        sizes = [len(batch) for batch in step]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1


@given(size=st.integers(4, 60), batch_size=st.integers(1, 5), world_size=st.integers(2, 4))
def test_the_union_of_the_parts_is_the_batch_of_one_process(size: int, batch_size: int, world_size: int) -> None:
    whole = epoch(sampler(size, batch_size * world_size), 2)
    parts = [epoch(sampler(size, batch_size, rank=rank, world_size=world_size), 2) for rank in range(world_size)]
    joined = [[frame for batch in step for frame in batch] for step in zip(*parts, strict=True)]
    if len(whole[-1]) < world_size and len(whole) > 1:
        whole[-2:] = [whole[-2] + whole[-1]]
    assert joined == whole


def test_a_loader_goes_on_where_another_was() -> None:
    whole = EpochLoader(Numbers(), sampler(20, 3))
    expected = list(whole)
    loader = EpochLoader(Numbers(), sampler(20, 3))
    running = iter(loader)
    begun = [next(running) for _ in range(2)]
    state = loader.state_dict()
    assert state == {"epoch": 0, "batch": 2}
    resumed = EpochLoader(Numbers(), sampler(20, 3))
    resumed.load_state_dict(state)
    resumed.order.set_epoch(0)
    assert begun + list(resumed) == expected
    assert list(resumed) == expected


def test_after_the_last_batch_the_next_epoch_comes() -> None:
    loader = EpochLoader(Numbers(), sampler(20, 3))
    list(loader)
    assert loader.state_dict() == {"epoch": 1, "batch": 0}
    loader.order.set_epoch(1)
    assert loader.state_dict() == {"epoch": 1, "batch": 0}


def test_an_abandoned_epoch_starts_again() -> None:
    loader = EpochLoader(Numbers(), sampler(20, 3))
    next(iter(loader))
    assert len(list(loader)) == 7


def test_an_epoch_chosen_after_the_iterator_was_made_counts() -> None:
    loader = EpochLoader(Numbers(), sampler(20, 3), num_workers=1)
    batches = iter(loader)
    loader.order.set_epoch(5)
    assert list(batches) == epoch(sampler(20, 3), 5)
