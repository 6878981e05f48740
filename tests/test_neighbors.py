"""The neighbour graph is compared with explicit image sums, with ASE and with what space itself demands."""

import ase
import ase.neighborlist
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList, neighbor_graph

Edge = tuple[int, int, int, int, int]


def make_system(
    pos: Tensor,
    batch: Tensor | None = None,
    box: Tensor | None = None,
    pbc: Tensor | None = None,
    num: int | None = None,
) -> System:
    batch = torch.zeros(len(pos), dtype=torch.int64) if batch is None else batch
    num = (int(batch.max()) + 1 if len(batch) else 1) if num is None else num
    return System(z=torch.ones(len(pos), dtype=torch.int64), pos=pos, batch=batch, num_systems=num, box=box, pbc=pbc)


def graph_of(system: System, upper: float = 3.0, lower: float = 0.0, loop: bool = False) -> Graph:
    return neighbor_graph(system, cutoff_lower=lower, cutoff_upper=upper, loop=loop)


def edges_of(graph: Graph) -> list[Edge]:
    table = torch.cat([graph.receiver[:, None], graph.sender[:, None], graph.shift], dim=1)
    return sorted(tuple(row) for row in table.tolist())


def image_range(pos: np.ndarray, cell: np.ndarray, periodic: np.ndarray, cutoff: float) -> list[int]:
    """How many cells along each axis can hold an image within the cutoff of any atom."""
    axes = np.flatnonzero(periodic)
    dual = np.linalg.pinv(cell[axes])
    reach = [0, 0, 0]
    for column, axis in enumerate(axes):
        extent = np.ptp(pos @ dual[:, column])
        reach[axis] = int(np.ceil(cutoff * np.linalg.norm(dual[:, column]) + extent)) + 1
    return reach


def explicit_edges(system: System, lower: float, upper: float, loop: bool) -> list[Edge]:
    """Try every image of every atom that could possibly be near, one by one."""
    pos, batch = system.pos.double().numpy(), system.batch.numpy()
    found = []
    for b in range(system.num_systems):
        atoms = np.flatnonzero(batch == b)
        if not len(atoms):
            continue
        cell = np.zeros((3, 3)) if system.box is None else system.box[b].double().numpy()
        periodic = np.full(3, bool(cell.any())) if system.pbc is None else system.pbc[b].numpy()
        reach = image_range(pos[atoms], cell, periodic, upper)
        shifts = np.stack(np.meshgrid(*(range(-r, r + 1) for r in reach), indexing="ij"), -1).reshape(-1, 3)
        separation = pos[atoms][:, None, None] - pos[atoms][None, :, None] - shifts @ cell
        distance = np.linalg.norm(separation, axis=-1)
        is_self = np.eye(len(atoms), dtype=bool)[:, :, None] & ~shifts.any(axis=1)
        kept = np.where(is_self, loop, (distance >= lower) & (distance < upper))
        i, j, k = np.nonzero(kept)
        found += np.column_stack([atoms[i], atoms[j], shifts[k]]).tolist()
    return sorted(tuple(edge) for edge in found)


def random_cell(rng: np.random.Generator, size: float, flatness: float) -> np.ndarray:
    """A cell of any handedness, whose volume is at least ``flatness`` of that of a brick with its edges."""
    while True:
        cell = rng.normal(size=(3, 3)) * size * rng.uniform(0.4, 2.0, size=(3, 1))
        if abs(np.linalg.det(cell)) > flatness * np.prod(np.linalg.norm(cell, axis=1)):
            return cell


def random_system(seed: int, kind: str, spread: float) -> System:
    """Atoms anywhere, also far outside the cell; the batch unsorted and with gaps."""
    rng = np.random.default_rng(seed)
    num = int(rng.integers(1, 4))
    num_atoms = int(rng.integers(0, 16))
    batch = torch.as_tensor(rng.integers(0, num, num_atoms))
    pos = torch.as_tensor(rng.normal(size=(num_atoms, 3)) * spread)
    box = pbc = None
    if kind != "open":
        box = torch.as_tensor(np.stack([random_cell(rng, 2.5, 0.08) for _ in range(num)]))
    if kind in ("partial", "zero rows"):
        pbc = torch.as_tensor(rng.random((num, 3)) < 0.6)
    if kind == "zero rows":
        box = box * pbc[:, :, None]
    return make_system(pos, batch, box, pbc, num)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["open", "full", "partial", "zero rows"]),
    spread=st.sampled_from([0.5, 2.0, 12.0]),
    lower=st.sampled_from([0.0, 0.9]),
    upper=st.sampled_from([1.2, 2.5, 4.0]),
    loop=st.booleans(),
)
def test_finds_what_trying_every_image_finds(
    seed: int, kind: str, spread: float, lower: float, upper: float, loop: bool
) -> None:
    system = random_system(seed, kind, spread)
    assert edges_of(graph_of(system, upper, lower, loop)) == explicit_edges(system, lower, upper, loop)


@pytest.mark.parametrize("num_atoms", [90, 400])
@pytest.mark.parametrize("pbc", [(False, False, False), (True, True, True), (True, False, True), (False, False, True)])
def test_finds_what_ase_finds_where_there_are_many_bins(num_atoms: int, pbc: tuple[bool, bool, bool]) -> None:
    rng = np.random.default_rng(num_atoms)
    cell = np.array([[12.0, 1.0, 0.0], [-2.0, 14.0, 3.0], [1.0, 0.0, -18.0]])
    pos = rng.uniform(-1, 2, size=(num_atoms, 3)) @ cell
    atoms = ase.Atoms(numbers=[1] * num_atoms, positions=pos, cell=cell, pbc=pbc)
    i, j, shift = ase.neighborlist.neighbor_list("ijS", atoms, 4.0)
    system = make_system(torch.as_tensor(pos), box=torch.as_tensor(cell)[None], pbc=torch.tensor([pbc]))
    # ASE's vectors point from i to j + S, ours from j + shift to i: the shift is the same.
    expected = sorted((int(a), int(b), *map(int, s)) for a, b, s in zip(i, j, shift, strict=True))
    assert edges_of(graph_of(system, 4.0)) == expected


def test_a_chain_of_many_atoms_needs_no_more_bins_than_atoms() -> None:
    pos = torch.zeros((3000, 3), dtype=torch.float64)
    pos[:, 1] = torch.arange(3000) * 1e3
    pos[1:, 1] -= 999.0
    assert edges_of(graph_of(make_system(pos), 1.5)) == [(0, 1, 0, 0, 0), (1, 0, 0, 0, 0)]


def test_counts_each_image_of_an_atom_in_a_cell_thinner_than_the_cutoff() -> None:
    system = make_system(torch.zeros((1, 3)), box=torch.eye(3)[None] * torch.tensor([1.0, 50.0, 50.0]))
    graph = graph_of(system, 3.5, loop=True)
    assert sorted(graph.shift[:, 0].tolist()) == [-3, -2, -1, 0, 1, 2, 3]


def periodic_example(dtype: torch.dtype = torch.float64) -> System:
    rng = np.random.default_rng(5)
    box = torch.tensor([[4.0, 0.3, 0.0], [1.0, -3.5, 0.2], [0.5, 0.4, 5.0]], dtype=dtype)
    return make_system(torch.as_tensor(rng.uniform(0, 4, (12, 3)), dtype=dtype), box=box[None])


@pytest.mark.parametrize("loop", [True, False])
def test_the_parts_of_a_graph_fit_together(loop: bool) -> None:
    system = periodic_example()
    graph = graph_of(system, loop=loop)
    assert graph.receiver.tolist() == sorted(graph.receiver.tolist())
    rows = torch.repeat_interleave(torch.arange(len(system.z)), graph.row_ptr.diff())
    assert torch.equal(rows, graph.receiver)
    assert system.box is not None
    vector = system.pos[graph.receiver] - system.pos[graph.sender] - graph.shift.double() @ system.box[0]
    torch.testing.assert_close(graph.vector, vector)
    torch.testing.assert_close(graph.distance, vector.norm(dim=1))
    assert torch.equal(graph.distance, graph.pair_distance[graph.pair])


def test_both_directions_share_a_distance_and_no_others_do() -> None:
    graph = graph_of(periodic_example())
    rows: dict[int, list[tuple[int, ...]]] = {}
    for edge, row in zip(
        torch.cat([graph.receiver[:, None], graph.sender[:, None], graph.shift], 1).tolist(),
        graph.pair.tolist(),
        strict=True,
    ):
        rows.setdefault(row, []).append(tuple(edge))
    assert sorted(rows) == list(range(len(graph.pair_distance)))
    for (i, j, *shift), other in rows.values():
        assert other == (j, i, *(-s for s in shift))


def test_self_pairs_share_one_row_of_distance_zero() -> None:
    graph = graph_of(periodic_example(), lower=1.0, loop=True)
    own = (graph.receiver == graph.sender) & (graph.shift == 0).all(1)
    assert int(own.sum()) == 12
    assert graph.pair[own].unique().numel() == 1
    assert not graph.vector[own].any()
    assert graph.pair_distance[graph.pair[own][0]] == 0
    assert graph.distance[~own].min() >= 1.0


def test_the_lower_cutoff_is_in_and_the_upper_is_out() -> None:
    pos = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [3.0, 0, 0]])
    graph = graph_of(make_system(pos), upper=2.0, lower=1.0)
    assert edges_of(graph) == [(0, 1, 0, 0, 0), (1, 0, 0, 0, 0)]


@pytest.mark.parametrize("loop", [True, False])
def test_no_atoms_have_no_neighbours(loop: bool) -> None:
    for box in (None, torch.eye(3)[None].repeat(2, 1, 1)):
        graph = graph_of(make_system(torch.zeros((0, 3)), box=box, num=2), loop=loop)
        assert graph.receiver.shape == (0,)
        assert graph.vector.shape == (0, 3)
        assert graph.row_ptr.tolist() == [0]


def test_no_systems_have_no_neighbours() -> None:
    assert graph_of(make_system(torch.zeros((0, 3)), num=0)).receiver.numel() == 0


def test_one_atom_has_no_neighbour_but_itself() -> None:
    assert edges_of(graph_of(make_system(torch.ones((1, 3))))) == []
    assert edges_of(graph_of(make_system(torch.ones((1, 3))), loop=True)) == [(0, 0, 0, 0, 0)]


def test_a_batch_is_its_systems_side_by_side() -> None:
    first, second = periodic_example(), periodic_example()
    assert first.box is not None
    second = second._replace(pos=second.pos * 0.7, box=first.box * 1.3)
    both = make_system(
        torch.cat([first.pos, second.pos]),
        torch.tensor([0] * 12 + [2] * 12),
        torch.cat([first.box, torch.zeros_like(first.box), second.box]),
    )
    shifted = [(i + 12, j + 12, *s) for i, j, *s in edges_of(graph_of(second))]
    assert edges_of(graph_of(both)) == edges_of(graph_of(first)) + shifted


def test_crystals_and_molecules_share_a_batch() -> None:
    box = torch.stack([torch.zeros(3, 3), torch.eye(3) * 2])
    system = make_system(torch.zeros((2, 3)), torch.tensor([0, 1]), box)
    graph = graph_of(system, 2.5)
    assert graph.receiver.unique().tolist() == [1]
    assert len(graph.receiver) == 6


def test_distances_do_not_change_when_everything_is_rotated() -> None:
    system = periodic_example()
    assert system.box is not None
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    turned = system._replace(pos=system.pos @ rotation, box=system.box @ rotation)
    a, b = graph_of(system), graph_of(turned)
    torch.testing.assert_close(a.pair_distance.sort()[0], b.pair_distance.sort()[0])


def test_vectors_do_not_change_when_atoms_are_wrapped() -> None:
    system = periodic_example()
    assert system.box is not None
    shift = torch.randint(-3, 4, (12, 3), generator=torch.Generator().manual_seed(2)).double()
    moved = system._replace(pos=system.pos + shift @ system.box[0])
    a, b = graph_of(system).vector, graph_of(moved).vector
    assert a.shape == b.shape
    nearest = (a[:, None] - b).norm(dim=2).min(dim=1)[0]
    assert nearest.max() < 1e-12


def test_a_supercell_has_the_same_neighbours_for_each_copy() -> None:
    system = periodic_example()
    assert system.box is not None
    pos = torch.cat([system.pos + system.box[0, 0] * n for n in range(3)])
    big = make_system(pos, box=system.box * torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64)[:, None])
    one, three = graph_of(system), graph_of(big)
    assert len(three.receiver) == 3 * len(one.receiver)
    torch.testing.assert_close(
        three.distance.sort()[0], one.distance.repeat_interleave(3).sort()[0], atol=1e-12, rtol=0
    )


def test_permuting_atoms_permutes_the_edges() -> None:
    system = periodic_example()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    permuted = edges_of(graph_of(system._replace(pos=system.pos[order])))
    assert sorted((int(order[i]), int(order[j]), *s) for i, j, *s in permuted) == edges_of(graph_of(system))


def test_the_same_input_gives_the_same_bits() -> None:
    system = periodic_example(torch.float32)
    for a, b in zip(graph_of(system), graph_of(system), strict=True):
        assert torch.equal(a, b)


def test_a_list_of_chunks_is_the_whole_list(monkeypatch: pytest.MonkeyPatch) -> None:
    system = periodic_example()
    whole = edges_of(graph_of(system, 5.0))
    monkeypatch.setattr("torchmdnet.ops.half_pairs.MAX_AT_ONCE", 50)
    assert edges_of(graph_of(system, 5.0)) == whole


def test_positions_and_cells_have_first_and_second_derivatives() -> None:
    base = periodic_example()
    assert base.box is not None
    base = base._replace(pos=base.pos[:4], z=base.z[:4], batch=base.batch[:4])
    count = len(graph_of(base, 2.8, loop=True).receiver)
    assert count > 10

    def geometry(pos: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        graph = graph_of(base._replace(pos=pos, box=box), 2.8, loop=True)
        assert len(graph.receiver) == count
        return graph.vector, graph.distance, graph.pair_distance

    pos, box = base.pos.clone().requires_grad_(), base.box.clone().requires_grad_()
    assert torch.autograd.gradcheck(geometry, (pos, box))
    assert torch.autograd.gradgradcheck(geometry, (pos, box))


def test_coincident_atoms_have_finite_derivatives() -> None:
    pos = torch.zeros((2, 3), dtype=torch.float64, requires_grad=True)
    graph = graph_of(make_system(pos), loop=True)
    assert len(graph.receiver) == 4
    (first,) = torch.autograd.grad(graph.distance.square().sum() + graph.distance.sum(), pos, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), pos, allow_unused=True, materialize_grads=True)
    assert torch.isfinite(first).all()
    assert torch.isfinite(second).all()


def test_a_float64_cell_serves_float32_positions() -> None:
    system = periodic_example(torch.float32)
    assert system.box is not None
    graph = graph_of(system._replace(box=system.box.double()))
    assert graph.vector.dtype == graph.distance.dtype == torch.float32


def test_one_cell_serves_all_systems_of_a_batch() -> None:
    pos, batch = torch.zeros((2, 3)), torch.tensor([0, 1])
    box = torch.eye(3) * 2
    for shape in (box, box[None], box.expand(2, 3, 3)):
        assert len(graph_of(make_system(pos, batch, shape), 2.5).receiver) == 12


def test_the_default_box_serves_systems_without_one() -> None:
    neighbors = NeighborList(0.0, 2.5, loop=False, box=torch.eye(3) * 2)
    assert list(neighbors.state_dict()) == ["box"]
    assert len(neighbors(make_system(torch.zeros((1, 3)))).receiver) == 6
    assert len(neighbors(make_system(torch.zeros((1, 3)), box=torch.eye(3)[None] * 9)).receiver) == 0


def test_a_default_box_of_zeros_is_none() -> None:
    assert len(NeighborList(0.0, 2.5, loop=False)(make_system(torch.zeros((1, 3)))).receiver) == 0


FLAT = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [1, 1, 0]]])
EYE = torch.eye(3)[None]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"box": FLAT}, ValueError, "the box of system 0 is singular on its periodic axes"),
        ({"box": EYE * torch.tensor([1.0, 1, 0])}, ValueError, "mark the axes without one as open with pbc"),
        ({"box": EYE * torch.nan}, ValueError, "the box of system 0 holds NaN or infinite numbers"),
        ({"box": EYE * torch.inf}, ValueError, "the box of system 0 holds NaN or infinite numbers"),
        (
            {"box": torch.eye(2)},
            ValueError,
            r"the box must have shape \(3, 3\), or \(B, 3, 3\) for B = 1 systems, not \(2, 2\)",
        ),
        ({"box": EYE.repeat(2, 1, 1)}, ValueError, r"for B = 1 systems, not \(2, 3, 3\)"),
        ({"box": EYE.long()}, TypeError, "the box must be floating point, not torch.int64"),
        ({"pbc": torch.tensor([[True] * 3])}, ValueError, "no box was given"),
        (
            {"box": EYE * 0, "pbc": torch.tensor([[True] * 3])},
            ValueError,
            "system 0 is periodic, but its box is all zeros",
        ),
        ({"box": EYE, "pbc": torch.ones(2, 3)}, ValueError, r"pbc must have shape \(3,\), or \(B, 3\)"),
        ({"pos": torch.tensor([[0.0, 0, 0], [0, torch.nan, 0]])}, ValueError, "the position of atom 1 is NaN"),
        ({"pos": torch.zeros((2, 3), dtype=torch.int64)}, TypeError, "positions must be floating point"),
        ({"pos": torch.zeros((2, 2))}, ValueError, r"want pos \(N, 3\) and batch \(N,\), not \(2, 2\) and \(2,\)"),
        ({"batch": torch.tensor([0, 1])}, ValueError, "system numbers 0 to 1, but there are 1 systems"),
        ({"batch": torch.tensor([-1, 0])}, ValueError, "system numbers -1 to 0"),
    ],
)
def test_says_what_is_wrong_with_a_system(change: dict[str, Tensor], error: type[Exception], text: str) -> None:
    system = make_system(torch.zeros((2, 3)))._replace(**change)
    with pytest.raises(error, match=text):
        graph_of(system)


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [
        (0.0, 0.0, "upper > 0, not lower 0.0 and upper 0.0"),
        (-1.0, 2.0, "lower >= 0"),
        (0.0, float("nan"), "must be finite"),
        (2.0, 2.0, "the lower cutoff must be below the upper one, not lower 2.0 and upper 2.0"),
    ],
)
def test_says_what_is_wrong_with_cutoffs(lower: float, upper: float, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        NeighborList(lower, upper, loop=False)
    with pytest.raises(ValueError, match=text):
        graph_of(make_system(torch.zeros((1, 3))), upper, lower)


def test_refuses_a_default_box_of_another_shape() -> None:
    with pytest.raises(ValueError, match="the default box must be a 3 x 3 matrix"):
        NeighborList(0.0, 1.0, loop=False, box=torch.ones(3))
