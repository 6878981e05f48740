"""Neighbour lists inside compiled and exported functions give what they give outside, for any number of atoms."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from torchmdnet.graph import System
from torchmdnet.neighbors import NeighborList

UPPER = 3.0
BOX = 6 * torch.eye(3, dtype=torch.float64) + 0.3


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What other tests compiled is not counted here."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class PairEnergy(nn.Module):
    """Something smooth that reads all of a graph."""

    def __init__(self, neighbors: NeighborList) -> None:
        super().__init__()
        self.neighbors = neighbors

    def forward(self, pos: Tensor, batch: Tensor, box: Tensor | None) -> Tensor:
        graph = self.neighbors(System(batch, pos, batch, 1, None if box is None else box[None]))
        fade = (UPPER - graph.distance).clamp(min=0) ** 3 * (1 + graph.vector[:, 0].square())
        fade_once = (UPPER - graph.pair_distance).clamp(min=0) ** 2
        at_receiver = torch.zeros_like(pos[:, 0]).index_add(0, graph.receiver, fade * fade_once[graph.pair])
        return at_receiver.square().sum()


def module(*, static_shapes: bool) -> PairEnergy:
    return PairEnergy(NeighborList(0.0, UPPER, loop=True, static_shapes=static_shapes, dtype=torch.float64))


def atoms(num: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Positions, some of them outside the cell, and batch."""
    generator = torch.Generator().manual_seed(seed)
    pos = 8 * torch.rand((num, 3), generator=generator, dtype=torch.float64)
    return pos, torch.zeros(num, dtype=torch.int64)


def assert_same_energy_and_slopes(one: Callable[..., Tensor], other: Callable[..., Tensor], num: int) -> None:
    pos, batch = atoms(num, num)
    results = []
    for function in (one, other):
        leaves = (pos.clone().requires_grad_(), BOX.clone().requires_grad_())
        energy = function(leaves[0], batch, leaves[1])
        results.append((energy.detach(), *torch.autograd.grad(energy, leaves)))
    assert results[0][0] > 1
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("static_shapes", [True, False])
def test_is_compiled_whole(static_shapes: bool) -> None:
    energy = module(static_shapes=static_shapes)
    energy(*atoms(50), BOX)
    compiled = torch.compile(energy, fullgraph=True, backend="aot_eager")
    for num in (50, 50, 43, 30):
        assert_same_energy_and_slopes(compiled, energy, num)


@pytest.mark.parametrize("static_shapes", [True, False])
def test_is_compiled_whole_without_a_box(static_shapes: bool) -> None:
    energy = module(static_shapes=static_shapes)
    pos, batch = atoms(50)
    wanted = energy(pos, batch, None)
    got = torch.compile(energy, fullgraph=True, backend="aot_eager")(pos, batch, None)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def test_one_compilation_with_static_shapes_serves_all_positions() -> None:
    energy = module(static_shapes=True)
    energy(*atoms(50), BOX)
    num_compilations = 0

    def count(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        nonlocal num_compilations
        num_compilations += 1
        return graph.forward

    compiled = torch.compile(energy, fullgraph=True, backend=count)
    for seed in range(5):
        pos, batch = atoms(50, seed)
        torch.testing.assert_close(compiled(pos, batch, BOX), energy(pos, batch, BOX), rtol=1e-12, atol=1e-12)
    assert num_compilations == 1


def test_a_static_list_of_unknown_size_says_what_to_do_first() -> None:
    compiled = torch.compile(module(static_shapes=True), fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match="call the model once before, or set edges_per_atom"):
        compiled(*atoms(50), BOX)


def test_a_compiled_static_list_that_is_too_short_is_an_error() -> None:
    energy = module(static_shapes=True)
    energy.neighbors.edges_per_atom = 3
    compiled = torch.compile(energy, fullgraph=True, backend="aot_eager")
    with pytest.raises(RuntimeError, match="neighbour pairs were found, more than the capacity of 150"):
        compiled(*atoms(50), BOX)


@pytest.fixture
def exported() -> Callable[[PairEnergy], torch.export.ExportedProgram]:
    """Function that exports for any number of atoms."""

    def export(energy: PairEnergy) -> torch.export.ExportedProgram:
        num = torch.export.Dim("num", min=2, max=100_000)
        return torch.export.export(energy, (*atoms(50), BOX), dynamic_shapes=({0: num}, {0: num}, None))

    return export


@pytest.mark.parametrize("static_shapes", [True, False])
def test_is_exported_for_any_number_of_atoms(static_shapes: bool, exported: Callable) -> None:
    energy = module(static_shapes=static_shapes)
    energy(*atoms(50), BOX)
    program = exported(energy).module()
    for num in (50, 70, 3):
        pos, batch = atoms(num, num)
        torch.testing.assert_close(program(pos, batch, BOX), energy(pos, batch, BOX), rtol=1e-12, atol=1e-12)


def test_inductor_compiles_it() -> None:
    energy = module(static_shapes=True)
    energy(*atoms(50), BOX)
    assert_same_energy_and_slopes(torch.compile(energy, fullgraph=True), energy, 50)


def test_is_compiled_ahead_of_time(tmp_path: Path, exported: Callable) -> None:
    energy = module(static_shapes=True)
    energy(*atoms(50), BOX)
    with warnings.catch_warnings():
        # PyTorch's own use of its own old names while it writes and loads a package.
        warnings.simplefilter("ignore", FutureWarning)
        path = torch._inductor.aoti_compile_and_package(exported(energy), package_path=str(tmp_path / "energy.pt2"))
        program = torch._inductor.aoti_load_package(path)
    for num in (50, 70):
        pos, batch = atoms(num, num)
        torch.testing.assert_close(program(pos, batch, BOX), energy(pos, batch, BOX), rtol=1e-12, atol=1e-12)
