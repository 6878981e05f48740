"""CUDA graphs on a GPU: the numbers of an eager model, along a trajectory and where it cannot go on."""

import copy
from typing import Any

import pytest
import torch
from tiny import small_model
from torch import Tensor

from torchmdnet.calculators import External
from torchmdnet.calculators.cuda_recorder import CudaRecorder, cuda_recorder
from torchmdnet.models import MODELS
from torchmdnet.ops import native
from torchmdnet.potential import Ensemble

NUM_REPLICAS, NUM_ATOMS = 2, 64


def test_ops_that_are_not_built_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "CUDA_AVAILABLE", False)
    monkeypatch.setattr(native, "CUDA_STATUS", "not built: there is no nvcc")
    with pytest.raises(ValueError, match=r"needs the native ops for CUDA.*\(not built: there is no nvcc\): build them"):
        cuda_recorder(torch.device("cuda", 0))


def test_nothing_is_replayed_before_it_is_recorded() -> None:
    recorder = CudaRecorder(torch.device("cuda", 0))
    for one in (recorder, copy.deepcopy(recorder)):
        with pytest.raises(RuntimeError, match="no CUDA graph to replay: call record first"):
            one.replay()


def crystal() -> Tensor:
    """Atoms near the sites of a cubic lattice of 3 Å. (R, n, 3) float32"""
    torch.manual_seed(0)
    sites = torch.cartesian_prod(*[3.0 * torch.arange(4.0)] * 3)
    return (sites + 0.2 * torch.randn(NUM_REPLICAS, NUM_ATOMS, 3)).cuda()


def both(source: Any, **options: Any) -> tuple[External, External]:
    """Captured, and not."""
    torch.manual_seed(1)
    z = torch.randint(1, 9, (NUM_REPLICAS, NUM_ATOMS))
    return External(source, z, "cuda", use_cuda_graph=True, **options), External(source, z, "cuda", **options)


def num_captures(external: External) -> int:
    assert external._graph is not None
    return external._graph.num_recordings


def assert_same(captured: External, eager: External, *arguments: Tensor | None) -> None:
    for got, expected in zip(captured.calculate(*arguments), eager.calculate(*arguments), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("tables", [False, True])
def test_a_trajectory_is_that_of_an_eager_model(name: str, tables: bool) -> None:
    source = small_model(model=name, num_heads=2, precision=32).float()
    captured, eager = both(source, radial_tables=tables)
    box = 12.0 * torch.eye(3, device="cuda")
    pos, velocity = crystal(), 0.01 * torch.randn(NUM_REPLICAS, NUM_ATOMS, 3, device="cuda")
    for _ in range(300):
        assert_same(captured, eager, pos, box)
        pos = pos + velocity
    assert num_captures(captured) <= 3


@pytest.mark.gpu
def test_a_cell_may_change_appear_and_vanish() -> None:
    captured, eager = both(small_model(precision=32).float())
    for step in range(5):
        assert_same(captured, eager, crystal(), (12.0 + 0.1 * step) * torch.eye(3, device="cuda"))
    assert num_captures(captured) == 1
    assert_same(captured, eager, crystal())
    assert_same(captured, eager, crystal(), 13.0 * torch.eye(3))
    assert num_captures(captured) == 3


@pytest.mark.gpu
@pytest.mark.parametrize("name", MODELS)
def test_a_compression_is_captured_anew(name: str) -> None:
    captured, eager = both(small_model(model=name, num_heads=2, precision=32).float())
    assert_same(captured, eager, 3.0 * crystal())
    assert_same(captured, eager, 0.8 * crystal())
    assert_same(captured, eager, 0.81 * crystal())
    assert num_captures(captured) == 2


@pytest.mark.gpu
def test_an_ensemble_is_captured() -> None:
    captured, eager = both(Ensemble([small_model(seed, precision=32).float() for seed in range(3)]))
    for step in range(3):
        assert_same(captured, eager, crystal() + 0.1 * step)


@pytest.mark.gpu
def test_positions_that_are_not_finite_are_told_and_the_capture_stays() -> None:
    captured, eager = both(small_model(precision=32).float())
    assert_same(captured, eager, crystal())
    broken = crystal()
    broken[0, 5, 1] = torch.nan
    with pytest.raises(ValueError, match="position of atom 5 is NaN"):
        captured.calculate(broken)
    assert_same(captured, eager, crystal())
    assert num_captures(captured) == 1


@pytest.mark.gpu
def test_memory_does_not_grow_with_captures() -> None:
    captured, _ = both(small_model(precision=32).float())
    boxes = (None, 12.0 * torch.eye(3))
    for box in boxes * 2:
        captured.calculate(crystal(), box)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for box in boxes * 4:
        captured.calculate(crystal(), box)
    assert torch.cuda.memory_allocated() <= 1.1 * before
