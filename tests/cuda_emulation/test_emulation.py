"""The emulation of CUDA on the CPU does what CUDA does, and finds the mistakes that it claims to find."""

from types import ModuleType

import numpy as np
import pytest


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lanes_see_each_other(kernels: ModuleType, seed: int) -> None:
    out, total = kernels.use_collectives(seed)
    thread = np.arange(64)
    lane, warp = thread % 32, thread // 32 * 32
    np.testing.assert_array_equal(out[:, 0], lane)
    np.testing.assert_array_equal(out[:, 1], np.where(lane > 0, thread - 1, thread))
    np.testing.assert_array_equal(out[:, 2], thread ^ 1)
    np.testing.assert_array_equal(out[:, 3], warp + 5)
    assert (out[:, 4].astype(np.uint32) == 0xAAAAAAAA).all()
    assert total == 128


def test_a_barrier_that_a_thread_misses_is_an_error(kernels: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="not all threads reach a block's barrier: __syncthreads"):
        kernels.leave_before_barrier()


def test_a_collective_that_a_lane_misses_is_an_error(kernels: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="not all threads reach a warp's collective: __ballot_sync"):
        kernels.leave_before_collective()


def test_lanes_that_take_part_in_different_collectives_are_an_error(kernels: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"threads meet at __\w+ and at __\w+"):
        kernels.meet_at_different_places()


def test_a_load_of_several_numbers_from_between_them_is_an_error(kernels: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="a load from an address that is not aligned"):
        kernels.load_across_words()


def test_a_store_of_several_numbers_between_them_is_an_error(kernels: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="a store to an address that is not aligned"):
        kernels.store_across_words()


def test_a_forgotten_barrier_shows_in_another_order(kernels: ModuleType) -> None:
    results = {tuple(kernels.forget_barrier(seed).tolist()) for seed in range(4)}
    assert len(results) > 1


@pytest.mark.parametrize("num_threads", [32, 96])
@pytest.mark.parametrize("surplus", [-1, 0, 1])
def test_sums_are_those_of_numpy_across_tiles(kernels: ModuleType, num_threads: int, surplus: int) -> None:
    counts = np.random.default_rng(0).integers(0, 2**31, size=2 * kernels.tile + surplus).astype(np.int32)
    sums = kernels.scan(counts, num_threads)
    np.testing.assert_array_equal(sums, np.cumsum(counts, dtype=np.int64) - counts)
