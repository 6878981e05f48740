"""A list that is kept for some steps holds, at each of them, what a new search finds."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from image_sums import Edges, assert_same_edges, sort_edges
from random_systems import CELLS, box_of, make_system, periodic_example, random_system
from small_models import small_model, two_molecules

from torchmdnet.calculators import TMDNETCalculator
from torchmdnet.graph import System
from torchmdnet.neighbors import NeighborList, NeighborPairs, VerletList, neighbor_pairs, use_skin

UPPER = 2.2
SKIN = 0.6
STEP = 0.04
"""No atom is SKIN / 2 away after fewer than eight steps."""


def walk(system: System, num_steps: int, seed: int = 0) -> Iterator[System]:
    """The atoms move at random, at most STEP at a time."""
    rng = np.random.default_rng(seed)
    for _ in range(num_steps):
        steps = torch.as_tensor(rng.uniform(-1, 1, system.pos.shape) * STEP / 3**0.5, dtype=system.pos.dtype)
        system = system._replace(pos=system.pos + steps)
        yield system


def verlet(*, lower: float = 0.0, skin: float = SKIN, loop: bool = True) -> VerletList:
    return VerletList(lower, UPPER, skin=skin, loop=loop)


def edges(pairs: NeighborPairs) -> Edges:
    shift = pairs.shift if len(pairs.shift) else pairs.shift.new_zeros((len(pairs.receiver), 3))
    key = torch.cat([pairs.receiver[:, None], pairs.sender[:, None], shift], 1).long()
    return sort_edges(Edges(key.numpy(), pairs.vector.detach().double().numpy(), pairs.distance.double().numpy()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["open", *CELLS])
def test_holds_the_neighbours_at_every_step(kind: str, dtype: torch.dtype) -> None:
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    for seed in range(3):
        lower, loop = 0.5 * (seed % 2), seed != 1
        neighbors = verlet(lower=lower, loop=loop)
        start = random_system(seed, kind=kind, upper=UPPER + SKIN, spread=2.0, is_partial=seed == 2, dtype=dtype)
        for system in walk(start, 25, seed):
            found = edges(neighbors(system))
            assert_same_edges(found, system, lower, UPPER, loop=loop, tolerance=tolerance)
        assert neighbors.calls == 25
        assert 1 <= neighbors.searches <= 4


def test_atoms_that_rush_about_lose_no_neighbour() -> None:
    neighbors, generator = verlet(), torch.Generator().manual_seed(3)
    system = periodic_example()
    for _ in range(40):
        system = system._replace(pos=system.pos + 0.2 * torch.randn((12, 3), generator=generator, dtype=torch.float64))
        assert_same_edges(edges(neighbors(system)), system, 0.0, UPPER, loop=True)
    assert neighbors.searches > 20


def test_atoms_at_rest_are_searched_once() -> None:
    neighbors = verlet()
    for _ in range(5):
        neighbors(periodic_example())
    assert (neighbors.calls, neighbors.searches) == (5, 1)


@pytest.mark.parametrize(("part", "searches"), [(0.49, 1), (0.51, 2)])
def test_an_atom_may_move_half_the_skin(part: float, searches: int) -> None:
    neighbors, system = verlet(), periodic_example()
    neighbors(system)
    pos = system.pos.clone()
    pos[7, 1] -= part * SKIN
    neighbors(system._replace(pos=pos))
    assert neighbors.searches == searches


@pytest.mark.parametrize("field", ["pos", "box", "batch"])
def test_what_is_changed_in_place_is_noticed(field: str) -> None:
    neighbors, system = verlet(), periodic_example()
    system = system._replace(num_systems=2, box=box_of(system).repeat(2, 1, 1))
    neighbors(system)
    getattr(system, field)[0] += 1
    assert_same_edges(edges(neighbors(system)), system, 0.0, UPPER, loop=True)
    assert neighbors.searches == 2


def without_an_atom(system: System) -> System:
    return system._replace(z=system.z[1:], pos=system.pos[1:], batch=system.batch[1:])


@pytest.mark.parametrize(
    "change",
    [
        lambda system: system._replace(box=system.box * 1.001),
        lambda system: system._replace(box=None),
        lambda system: system._replace(pbc=torch.tensor([[True, False, True]])),
        lambda system: system._replace(num_systems=2, box=system.box.repeat(2, 1, 1)),
        lambda system: system._replace(batch=torch.arange(12) // 6, num_systems=2, box=system.box.repeat(2, 1, 1)),
        without_an_atom,
        lambda system: system._replace(pos=system.pos + torch.eye(12, dtype=torch.float64)[:, :1] * system.box[0, 1]),
        lambda system: system._replace(pos=system.pos.float(), box=system.box.float()),
    ],
    ids=["cell", "no cell", "pbc", "systems", "batch", "atoms", "wrapped", "dtype"],
)
def test_another_system_is_searched_anew(change: Callable[[System], System]) -> None:
    neighbors, system = verlet(), periodic_example()
    neighbors(system)
    other = change(system)
    tolerance = 1e-9 if other.pos.dtype == torch.float64 else 1e-4
    assert_same_edges(edges(neighbors(other)), other, 0.0, UPPER, loop=True, tolerance=tolerance)
    assert neighbors.searches == 2


def test_the_derivatives_are_those_of_a_new_search() -> None:
    base, neighbors, slopes = periodic_example(), verlet(loop=False), []
    neighbors(base)
    moved = next(walk(base, 1))
    for search in (neighbors, lambda system: neighbor_pairs(system.pos, cutoff_upper=UPPER, box=system.box)):
        pos, box = moved.pos.clone().requires_grad_(), box_of(moved).clone().requires_grad_()
        pairs = search(moved._replace(pos=pos, box=box))
        energy = ((UPPER - pairs.distance) ** 3).sum() + pairs.vector[:, 0].square().sum()
        slopes.append(torch.autograd.grad(energy, (pos, box)))
    assert neighbors.searches == 1
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("name", "value"), [("nan", torch.nan), ("inf", torch.inf)])
def test_positions_that_are_none_are_refused_at_any_step(name: str, value: float) -> None:
    neighbors, system = verlet(), periodic_example()
    neighbors(system)
    pos = system.pos.clone()
    pos[3, 2] = value
    with pytest.raises(ValueError, match=f"the position of atom 3 is NaN or infinite: .*{name}"):
        neighbors(system._replace(pos=pos))
    assert_same_edges(edges(neighbors(system)), system, 0.0, UPPER, loop=True)


@pytest.mark.parametrize("skin", [-0.5, 0.0, float("inf"), float("nan")])
def test_refuses_a_skin_that_is_none(skin: float) -> None:
    with pytest.raises(ValueError, match=f"the skin must be positive and finite, not {skin}; 0.3 to 2 Å are usual"):
        verlet(skin=skin)


def test_refuses_cutoffs_that_no_distance_satisfies() -> None:
    with pytest.raises(ValueError, match=r"below the upper one, not lower 3\.0 and upper 2\.2"):
        verlet(lower=3.0)


# With rows of a fixed number


def test_rows_that_are_left_are_padding() -> None:
    plain, padded = verlet(), VerletList(0.0, UPPER, skin=SKIN, loop=True, capacity=700)
    for system in walk(periodic_example(), 10):
        ours, theirs = padded(system), plain(system)
        num = len(theirs.distance)
        assert len(ours.distance) == 700
        assert ours.status.tolist() == theirs.status.tolist() == [num, 0]
        for name in ("vector", "distance", "receiver", "sender", "shift"):
            assert torch.equal(getattr(ours, name)[:num], getattr(theirs, name)), name
        assert (ours.distance[num:] == UPPER).all()
    assert padded.searches == plain.searches


def test_more_pairs_than_rows_are_an_error() -> None:
    neighbors = VerletList(0.0, UPPER, skin=SKIN, loop=True, capacity=5)
    with pytest.raises(RuntimeError, match="neighbour pairs were found, more than the capacity of 5: give a larger"):
        neighbors(periodic_example())


@pytest.mark.parametrize(("capacity", "kind"), [(-1, ValueError), (3.5, TypeError)])
def test_refuses_a_capacity_that_is_none(capacity: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"the capacity .*not {capacity}"):
        VerletList(0.0, UPPER, skin=SKIN, loop=True, capacity=capacity)


@pytest.fixture
def capturing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, lists take it that they are captured: no search, and no look at numbers by the host."""

    def forbid(*_: object) -> None:
        raise AssertionError("the host looks at numbers")

    def start() -> None:
        monkeypatch.setattr("torchmdnet.ops.recording.is_captured", lambda _: True)
        monkeypatch.setattr(VerletList, "_still_holds", forbid)
        monkeypatch.setattr(VerletList, "_search", forbid)

    return start


def test_a_captured_list_has_the_pairs_of_one_that_is_not(capturing: Callable[[], None]) -> None:
    neighbors, system = VerletList(0.0, UPPER, skin=SKIN, loop=True, capacity=700), periodic_example()
    neighbors(system)
    capturing()
    for moved in walk(system, 5):
        found = neighbors(moved)
        num = int(found.row_ptr[-1])
        rows = found._replace(**{name: getattr(found, name)[:num] for name in found._fields[:5]})
        assert_same_edges(edges(rows), moved, 0.0, UPPER, loop=True)


@pytest.mark.parametrize(
    "change",
    [lambda system: system._replace(pos=system.pos + SKIN), lambda system: system._replace(box=system.box * 1.001)],
    ids=["atoms", "cell"],
)
def test_a_captured_list_that_no_longer_holds_is_told(
    change: Callable[[System], System], capturing: Callable[[], None]
) -> None:
    neighbors, system = VerletList(0.0, UPPER, skin=SKIN, loop=True, capacity=700), periodic_example()
    neighbors(system)
    capturing()
    with pytest.raises(RuntimeError, match="an atom has moved too far, or a cell has changed, since the longer list"):
        neighbors(change(system))


def test_a_captured_list_needs_a_capacity_and_a_call_before(capturing: Callable[[], None]) -> None:
    plain, system = verlet(), periodic_example()
    plain(system)
    fixed = VerletList(0.0, UPPER, skin=SKIN, loop=True, capacity=700)
    other = VerletList(0.0, UPPER, skin=SKIN, loop=True, capacity=700)
    other(without_an_atom(system))
    capturing()
    with pytest.raises(RuntimeError, match="the length of a list with a skin is not known in a CUDA graph: set skin"):
        plain(system)
    for neighbors in (fixed, other):
        with pytest.raises(RuntimeError, match="a CUDA graph cannot search: call the list with a skin once before"):
            neighbors(system)


# As the neighbour list of a model


def test_a_neighbour_list_tells_its_skin() -> None:
    neighbors = NeighborList(0.0, UPPER, loop=True)
    assert neighbors.skin == 0.0
    neighbors.skin = 1.5
    assert neighbors.skin == 1.5
    neighbors.skin = 0.0
    assert neighbors.skin == 0.0
    with pytest.raises(ValueError, match="the skin must be positive and finite, not -1"):
        neighbors.skin = -1


def test_a_neighbour_list_cannot_have_a_skin_and_static_shapes() -> None:
    with pytest.raises(ValueError, match="static_shapes makes a list at each call and skin reuses one: choose one"):
        NeighborList(0.0, UPPER, loop=True, static_shapes=True, skin=1.0)
    neighbors = NeighborList(0.0, UPPER, loop=True, skin=1.0)
    with pytest.raises(ValueError, match="choose one"):
        neighbors.static_shapes = True


@pytest.mark.parametrize("with_box", [False, True])
@pytest.mark.parametrize("name", ["tensornet", "equivariant-transformer"])
def test_energies_and_forces_are_those_without_a_skin(name: str, with_box: bool) -> None:
    plain, skinned = small_model(name), small_model(name)
    use_skin(skinned, skin=1.0)
    assert skinned.representation_model.distance.skin == 1.0
    z, pos, batch = two_molecules()
    box = 5 * torch.eye(3, dtype=torch.float64).repeat(2, 1, 1) if with_box else None
    for system in walk(make_system(pos, batch), 6):
        ours = skinned.compute(z, system.pos, batch, box=box, stress=with_box)
        theirs = plain.compute(z, system.pos, batch, box=box, stress=with_box)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def trajectory(skin: float) -> tuple[np.ndarray, TMDNETCalculator]:
    """Positions along 200 steps in the microcanonical ensemble."""
    atoms: Atoms = bulk("C", "diamond", a=3.6, cubic=True)
    atoms.calc = TMDNETCalculator(small_model("tensornet", num_layers=1, prior_model={"ZBL": {"cutoff_distance": 3.0}}))
    use_skin(atoms.calc.model, skin=skin)
    thermalize_momenta(atoms, temperature_K=2000, rng=np.random.default_rng(1))
    dynamics, frames = VelocityVerlet(atoms, 0.5 * units.fs), []
    dynamics.attach(lambda: frames.append(atoms.get_positions()))
    dynamics.run(200)
    return np.stack(frames), atoms.calc


def test_dynamics_takes_the_path_that_it_takes_without_a_skin() -> None:
    (plain, _), (skinned, calculator) = trajectory(0.0), trajectory(0.5)
    assert np.abs(plain[-1] - plain[0]).max() > 0.3
    np.testing.assert_allclose(skinned, plain, rtol=0, atol=1e-9)
    lists = [module._verlet for module in calculator.model.modules() if isinstance(module, NeighborList)]
    assert len(lists) == 2
    for neighbors in lists:
        assert neighbors is not None
        assert 1 < neighbors.searches < neighbors.calls / 4
