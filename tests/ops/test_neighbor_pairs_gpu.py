"""The ops on lists of pairs give on a GPU what they give on the CPU."""

from typing import Any

import pytest
import torch
from random_systems import CELLS, box_of, dense_system, make_system, periodic_example, random_system
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.ops import native

pytestmark = pytest.mark.gpu

needs_kernels = pytest.mark.skipif(
    not native.CUDA_AVAILABLE, reason=f"what PyTorch's own functions stand in for cannot do it: {native.CUDA_STATUS}"
)
UPPER = 2.5
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}


def arguments(
    system: System, device: str, *, lower: float = 0.0, loop: bool = True, half: bool = False, capacity: int = -1
) -> list[Any]:
    """Those of neighbor_pairs."""
    num = system.num_systems
    box = torch.zeros((0, 3, 3), dtype=system.pos.dtype) if system.box is None else system.box
    pbc = torch.zeros((0, 3), dtype=torch.bool) if system.pbc is None else system.pbc
    tensors = [part.to(device) for part in (system.pos, system.batch, box.expand(-1, 3, 3).contiguous(), pbc)]
    return [*tensors, num, lower, UPPER, loop, half, capacity]


def run(system: System, device: str, **options: Any) -> list[Tensor]:
    """The op's results, on the CPU."""
    return [part.cpu() for part in torch.ops.torchmdnet.neighbor_pairs(*arguments(system, device, **options))]


def keys(pairs: list[Tensor]) -> Tensor:
    """Receiver, sender and shift of the edges that are no padding. (E, 5)"""
    receiver, sender, shift, row_ptr = pairs[2:6]
    num = int(row_ptr[-1])
    if not len(shift):
        shift = shift.new_zeros((len(receiver), 3))
    return torch.cat([receiver[:num, None], sender[:num, None], shift[:num]], 1)


def assert_same(ours: list[Tensor], theirs: list[Tensor], tolerance: float) -> None:
    """Edges may come in another order within a row; those as near to a cutoff as rounding may be in one list only."""
    names = [{tuple(key): row for row, key in enumerate(keys(pairs).tolist())} for pairs in (ours, theirs)]
    for one, other, pairs in ((names[0], names[1], ours), (names[1], names[0], theirs)):
        alone = [row for key, row in one.items() if key not in other]
        assert ((pairs[1][alone] - UPPER).abs() < tolerance).all(), f"{len(alone)} edges are in one list only"
    both = sorted(names[0].keys() & names[1].keys())
    for field in (0, 1):
        parts = [pairs[field][[name[key] for key in both]] for pairs, name in zip((ours, theirs), names, strict=True)]
        torch.testing.assert_close(*parts, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_finds_the_pairs_of_the_cpu(kind: str, half: bool, dtype: torch.dtype) -> None:
    for seed in range(5):
        system = random_system(seed, kind=kind, upper=UPPER, spread=2.0, is_partial=seed % 2 == 0, dtype=dtype)
        options = {"lower": 0.4 * (seed % 2), "loop": seed % 3 == 0, "half": half}
        assert_same(run(system, "cuda", **options), run(system, "cpu", **options), TOLERANCE[dtype])


@pytest.mark.parametrize("num_atoms", [100, 3000, 20_000, 200_000])
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_finds_the_pairs_of_the_cpu_in_systems_of_any_size(num_atoms: int, pbc: tuple[bool, bool, bool]) -> None:
    system = dense_system(1, num_atoms, density=0.1, pbc=pbc, dtype=torch.float32)
    assert_same(run(system, "cuda"), run(system, "cpu"), 2e-4)


def test_finds_the_pairs_of_the_cpu_in_many_systems() -> None:
    rng = torch.Generator().manual_seed(0)
    pos, batch = 4 * torch.rand((12_000, 3), generator=rng), torch.randint(0, 900, (12_000,), generator=rng)
    system = make_system(pos, batch, num=1000)
    assert_same(run(system, "cuda"), run(system, "cpu"), 2e-5)


@needs_kernels
@pytest.mark.parametrize("num_atoms", [100, 3000, 100_000])
def test_gives_the_same_bits_every_time(num_atoms: int) -> None:
    system = dense_system(2, num_atoms, density=0.1, pbc=(True, True, True), dtype=torch.float32)
    once = run(system, "cuda")
    for _ in range(5):
        for ours, theirs in zip(once, run(system, "cuda"), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("spare", [0, 100])
def test_fills_up_a_fixed_capacity(spare: int) -> None:
    num = len(run(periodic_example(), "cpu")[1])
    ours, theirs = (run(periodic_example(), device, capacity=num + spare) for device in ("cuda", "cpu"))
    assert_same(ours, theirs, 1e-11)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
    for one, other in zip(ours[:5], theirs[:5], strict=True):
        assert torch.equal(one[num:], other[num:])
    assert torch.equal(ours[5], theirs[5])
    assert torch.equal(ours[6], theirs[6])


@pytest.mark.parametrize("num_systems", [0, 2])
def test_takes_no_atoms(num_systems: int) -> None:
    ours = run(make_system(torch.zeros((0, 3)), num=num_systems), "cuda", capacity=4)
    assert ours[5].tolist() == [0]
    assert ours[1].tolist() == [UPPER] * 4


@needs_kernels
def test_more_pairs_than_the_capacity_are_told_and_nan() -> None:
    num = len(run(periodic_example(), "cpu")[1])
    ours = run(periodic_example(), "cuda", capacity=num - 1)
    assert ours[6].tolist() == [num, 64]
    assert ours[0].isnan().all()
    assert ours[1].isnan().all()
    assert not ours[5].any()


@needs_kernels
def test_positions_that_are_nan_are_told_without_waiting() -> None:
    system = periodic_example()
    system.pos[3, 1] = float("nan")
    ours = run(system, "cuda", capacity=500)
    assert ours[6][1] == 1
    assert ours[1].isnan().all()


def test_positions_that_are_nan_are_refused() -> None:
    system = periodic_example()
    system.pos[3, 1] = float("nan")
    with pytest.raises(RuntimeError, match="a position is NaN or infinite"):
        run(system, "cuda")


@needs_kernels
def test_tensors_on_two_devices_are_refused() -> None:
    given = arguments(periodic_example(), "cuda")
    given[1] = given[1].cpu()
    with pytest.raises(RuntimeError, match="all tensors must be on one CUDA device"):
        torch.ops.torchmdnet.neighbor_pairs(*given)


@needs_kernels
@pytest.mark.parametrize("num_atoms", [100, 3000, 20_000])
def test_a_captured_search_follows_the_positions(num_atoms: int) -> None:
    system = dense_system(3, num_atoms, density=0.1, pbc=(True, True, True), dtype=torch.float32)
    capacity = 2 * len(run(system, "cpu")[1])
    given = arguments(system, "cuda", capacity=capacity)
    torch.ops.torchmdnet.neighbor_pairs(*given)  # kernels are loaded by the first call
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = torch.ops.torchmdnet.neighbor_pairs(*given)
    rng = torch.Generator().manual_seed(0)
    for _ in range(3):
        moved = system._replace(pos=system.pos + 0.5 * torch.randn(system.pos.shape, generator=rng))
        given[0].copy_(moved.pos)
        graph.replay()
        assert_same([part.cpu() for part in captured], run(moved, "cpu", capacity=capacity), 2e-4)
    given[0].copy_(0.3 * system.pos)
    given[2].copy_(0.3 * box_of(system))
    graph.replay()
    assert captured[6].tolist()[1] == 64
    assert captured[1].isnan().all()
    given[0].copy_(system.pos)
    given[2].copy_(box_of(system))
    graph.replay()
    assert_same([part.cpu() for part in captured], run(system, "cpu", capacity=capacity), 2e-4)


@needs_kernels
def test_a_graph_cannot_be_captured_without_a_capacity() -> None:
    given = arguments(periodic_example(), "cuda")
    torch.ops.torchmdnet.neighbor_pairs(*given)
    torch.cuda.synchronize()
    with (
        pytest.raises(RuntimeError, match="not known while a CUDA graph is captured: give a capacity"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        torch.ops.torchmdnet.neighbor_pairs(*given)


@needs_kernels
def test_runs_on_the_current_stream() -> None:
    given = arguments(dense_system(3, 3000, density=0.1, pbc=(True, True, True), dtype=torch.float32), "cuda")
    there = given[0].clone()
    given[0].zero_()
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(100_000_000)
        given[0].copy_(there)
        found = torch.ops.torchmdnet.neighbor_pairs(*given)
    stream.synchronize()
    again = torch.ops.torchmdnet.neighbor_pairs(*given)
    assert torch.equal(found[0], again[0])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_vectors_sums_and_pairs_are_those_of_the_cpu(kind: str, dtype: torch.dtype) -> None:
    system = random_system(7, kind=kind, upper=UPPER, dtype=dtype)
    given = arguments(system, "cpu", capacity=60_000)
    vector, _, receiver, sender, shift, row_ptr, _ = torch.ops.torchmdnet.neighbor_pairs(*given)
    grad = torch.randn(vector.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    calls: dict[str, tuple[Any, ...]] = {
        "pair_vectors": (system.pos, given[2], system.batch, receiver, sender, shift, row_ptr),
        "pair_vectors_transpose": (
            grad, system.batch, sender, shift, row_ptr, system.num_systems, system.box is not None
        ),
        "distinct_pairs": (sender, shift, row_ptr, True, True),
    }  # fmt: skip
    for name, call in calls.items():
        op = getattr(torch.ops.torchmdnet, name)
        ours = op(*(part.cuda() if isinstance(part, Tensor) else part for part in call))
        ours = ours.cpu() if isinstance(ours, Tensor) else tuple(part.cpu() for part in ours)
        torch.testing.assert_close(ours, op(*call), rtol=1e-5, atol=1e-3 if dtype == torch.float32 else 1e-10)


@needs_kernels
def test_gradients_have_the_same_bits_every_time() -> None:
    system = dense_system(5, 20_000, density=0.1, pbc=(True, True, True), dtype=torch.float32)
    vector, _, _, sender, shift, row_ptr, _ = torch.ops.torchmdnet.neighbor_pairs(*arguments(system, "cuda"))
    call = (torch.sin(vector), system.batch.cuda(), sender, shift, row_ptr, 1, True)
    once = torch.ops.torchmdnet.pair_vectors_transpose(*call)
    for _ in range(5):
        for ours, theirs in zip(once, torch.ops.torchmdnet.pair_vectors_transpose(*call), strict=True):
            assert torch.equal(ours, theirs)


def test_second_derivatives_are_those_of_the_cpu() -> None:
    system = periodic_example()
    results = []
    for device in ("cuda", "cpu"):
        given = arguments(system, device, loop=False)
        given[0].requires_grad_(True)
        given[2].requires_grad_(True)
        vector, distance = torch.ops.torchmdnet.neighbor_pairs(*given)[:2]
        energy = (torch.exp(-distance) * (1 + vector[:, 0].square())).sum()
        first = torch.autograd.grad(energy, [given[0], given[2]], create_graph=True)
        second = torch.autograd.grad(sum(part.sin().sum() for part in first), [given[0], given[2]])
        results.append([part.detach().cpu() for part in (*first, *second)])
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)
