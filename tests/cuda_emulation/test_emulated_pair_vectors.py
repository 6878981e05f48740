"""The kernels that turn positions into vectors of pairs, and back, run on the CPU."""

from types import ModuleType

import numpy as np
import pytest
import torch
from emulated_ops import Pairs, Scheduled, boxes_of, neighbor_pairs
from random_systems import make_system, random_system

from torchmdnet.graph import System

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@pytest.fixture(params=[0, 10**6], ids=["at large", "in one block"])
def scheduled(request: pytest.FixtureRequest, kernels: ModuleType) -> Scheduled:
    return Scheduled(kernels, request.param)


def example(scheduled: Scheduled, dtype: str, kind: str = "plain", capacity: int = 3000) -> tuple[System, Pairs]:
    """Some systems with their list, padded."""
    system = random_system(7, kind=kind, upper=2.5, spread=2.0, dtype=DTYPES[dtype])
    found = neighbor_pairs(scheduled, system, 2.5, loop=True, capacity=capacity)
    assert 0 < found.row_ptr[-1] < len(found.distance)
    return system, found


def vectors(scheduled: Scheduled, system: System, found: Pairs, poison: int = 0xFF) -> np.ndarray:
    pos = system.pos.numpy()
    module = getattr(scheduled, str(pos.dtype))
    arrays = (found.receiver, found.sender, found.shift, found.row_ptr)
    result: np.ndarray = module.pair_vectors(pos, boxes_of(system), system.batch.numpy(), *arrays, poison)
    return result


def transpose(
    scheduled: Scheduled, system: System, found: Pairs, grad: np.ndarray, *, num_warps: int = 6, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    module = getattr(scheduled, str(grad.dtype))
    with_box = system.box is not None
    arrays = (system.batch.numpy(), found.sender, found.shift, found.row_ptr)
    result: tuple[np.ndarray, np.ndarray] = module.pair_vectors_transpose(
        grad, *arrays, system.num_systems, with_box, num_warps, seed, 0xFF, scheduled.few
    )
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["open", "plain"])
def test_vectors_are_those_of_the_search_and_zero_for_padding(scheduled: Scheduled, dtype: str, kind: str) -> None:
    system, found = example(scheduled, dtype, kind)
    num = found.row_ptr[-1]
    result = vectors(scheduled, system, found)
    np.testing.assert_allclose(result[:num], found.vector[:num], rtol=0, atol=10 * TOLERANCE[dtype])
    assert not result[num:].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["open", "plain"])
def test_the_transpose_is_the_sum_over_edges(scheduled: Scheduled, dtype: str, kind: str) -> None:
    system, found = example(scheduled, dtype, kind)
    num = found.row_ptr[-1]
    grad = np.random.default_rng(1).normal(size=found.vector.shape).astype(dtype)
    pos, box = transpose(scheduled, system, found, grad)
    real = grad[:num].astype(float)
    expected = np.zeros(pos.shape)
    np.add.at(expected, found.receiver[:num], real)
    np.add.at(expected, found.sender[:num], -real)
    np.testing.assert_allclose(pos, expected, rtol=0, atol=30 * TOLERANCE[dtype])
    expected_box = np.zeros((system.num_systems, 3, 3))
    if system.box is None:
        assert box.shape == (0, 3, 3)
    else:
        terms = -found.shift[:num, :, None] * real[:, None, :]
        np.add.at(expected_box, system.batch.numpy()[found.receiver[:num]], terms)
        np.testing.assert_allclose(box, expected_box, rtol=0, atol=100 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_transpose_has_the_same_bits_in_any_order(scheduled: Scheduled, dtype: str) -> None:
    system, found = example(scheduled, dtype)
    rng = np.random.default_rng(2)
    grad = (rng.normal(size=found.vector.shape) * 10.0 ** rng.integers(-8, 8, (len(found.vector), 1))).astype(dtype)
    once = transpose(scheduled, system, found, grad)
    for seed in (1, 2):
        for ours, theirs in zip(once, transpose(scheduled, system, found, grad, seed=seed), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_stays_with_its_atoms(scheduled: Scheduled, value: float) -> None:
    system, found = example(scheduled, "float64")
    edge = int(np.flatnonzero(found.receiver != found.sender)[0])
    grad = np.ones_like(found.vector)
    grad[edge] = value
    pos, box = transpose(scheduled, system, found, grad)
    atoms = {int(found.receiver[edge]), int(found.sender[edge])}
    assert set(np.flatnonzero(~np.isfinite(pos).all(axis=1)).tolist()) == atoms
    others = np.arange(system.num_systems) != int(system.batch[min(atoms)])
    assert np.isfinite(box[others]).all()


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_gradients_of_any_size_are_added_up(scheduled: Scheduled, scale: float) -> None:
    system, found = example(scheduled, "float64")
    grad = np.random.default_rng(3).normal(size=found.vector.shape)
    for ours, usual in zip(
        transpose(scheduled, system, found, scale * grad), transpose(scheduled, system, found, grad), strict=True
    ):
        np.testing.assert_allclose(ours / scale, usual, rtol=0, atol=1e-11)


def test_an_index_that_is_no_atom_gives_nan(scheduled: Scheduled) -> None:
    system, found = example(scheduled, "float64")
    edge = int(found.row_ptr[1])
    sender = found.sender.copy()
    sender[edge] = 10**6
    result = vectors(scheduled, system, found._replace(sender=sender))
    assert np.flatnonzero(np.isnan(result).any(axis=1)).tolist() == [edge]
    pos, _ = transpose(scheduled, system, found._replace(sender=sender), np.ones_like(found.vector))
    assert np.flatnonzero(np.isnan(pos).any(axis=1)).tolist() == [found.receiver[edge]]


def test_takes_no_atoms(scheduled: Scheduled) -> None:
    system = make_system(torch.zeros((0, 3)), num=1)
    found = neighbor_pairs(scheduled, system, capacity=2)
    assert not vectors(scheduled, system, found).any()
    pos, box = transpose(scheduled, system, found, np.ones((2, 3), np.float32))
    assert pos.shape == (0, 3)
    assert box.shape == (0, 3, 3)
