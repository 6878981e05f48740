"""What every prior must do, whatever its physics. A new prior is added to CASES."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.neighbors import use_static_shapes
from torchmdnet.priors import D2, D3, PRIORS, ZBL, Atomref, BasePrior, Coulomb, Ewald, LearnableAtomref

CASES: dict[str, Callable[[], BasePrior]] = {
    "Atomref": lambda: Atomref(max_z=20, trainable=True),
    "LearnableAtomref": lambda: LearnableAtomref(max_z=20),
    "ZBL": lambda: ZBL(4.0, max_num_neighbors=50),
    "D2": lambda: D2(6.0, max_num_neighbors=50),
    "Coulomb": lambda: Coulomb(0.05, 0.3, box_vecs=None),
    "D3": lambda: D3("pbe", three_body=True, cutoff_distance=6.0, three_body_cutoff=4.5),
    "Ewald": lambda: Ewald(cutoff=6.0, tolerance=1e-12),
}
NEEDS = {"D3": "tad_dftd3", "Ewald": "torchpme"}
"""What a prior imports that others do not."""
STATE = {
    "Atomref": {"initial_atomref", "atomref.weight"},
    "LearnableAtomref": {"initial_atomref", "atomref.weight"},
    "ZBL": {"atomic_number", "distance.box"},
    "D2": {"Z_map", "C_6", "R_r", "distances.box"},
    "Coulomb": {"distance.box"},
    "D3": {"atomic_number", "distance.box"},
    "Ewald": set(),
}
ENERGIES = ["ZBL", "D2", "D3", "Coulomb", "Ewald"]
"""Sums over pairs and more, of which each atom has a share."""
ALL_IMAGES = ["ZBL", "D2", "D3", "Ewald"]
"""Energies that see every image of every atom."""

Fields = dict[str, Tensor]


def make_prior(name: str) -> BasePrior:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    prior = CASES[name]().double()
    generator = torch.Generator().manual_seed(1)
    for parameter in prior.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return prior


def make_atoms(num: int = 7, seed: int = 0) -> Fields:
    random = torch.Generator().manual_seed(seed)
    return {
        "z": torch.tensor([1, 6, 8, 7, 1, 16, 9])[:num],
        "pos": torch.rand((num, 3), generator=random, dtype=torch.float64) * 4,
        "charges": torch.randn(num, generator=random, dtype=torch.float64),
    }


def energy(
    prior: BasePrior,
    z: Tensor,
    pos: Tensor,
    charges: Tensor,
    *,
    batch: Tensor | None = None,
    num: int = 1,
    box: Tensor | None = None,
    pbc: Tensor | None = None,
) -> Tensor:
    """What the prior adds to each system: both hooks and the sum between them. (B,)"""
    batch = torch.zeros_like(z) if batch is None else batch
    extra = {"partial_charges": charges} | ({} if pbc is None else {"pbc": pbc})
    x = prior.pre_reduce(torch.zeros((len(z), 1), dtype=pos.dtype), z, pos, batch, extra)
    y = torch.zeros((num, 1), dtype=pos.dtype).index_add(0, batch, x)
    return prior.post_reduce(y, z, pos, batch, box, extra).squeeze(1)


def test_every_prior_has_a_case() -> None:
    assert set(CASES) == set(STATE) == set(PRIORS)


@pytest.fixture(params=sorted(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_its_arguments_make_the_same_prior_again(name: str) -> None:
    prior = make_prior(name)
    arguments = prior.get_init_args()
    twin = PRIORS[name](dataset=None, **arguments).double()
    twin.load_state_dict(prior.state_dict())
    assert twin.get_init_args() == arguments
    torch.testing.assert_close(energy(twin, **make_atoms()), energy(prior, **make_atoms()), rtol=0, atol=0)


def test_its_arguments_hold_nothing_but_plain_values(name: str) -> None:
    plain = (int, float, bool, str, list, type(None))
    assert all(isinstance(value, plain) for value in make_prior(name).get_init_args().values())


def test_its_state_has_the_contracts_names(name: str) -> None:
    assert set(make_prior(name).state_dict()) == STATE[name]


def test_forces_are_finite_differences_of_the_energy(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    pos = atoms.pop("pos").requires_grad_()
    assert torch.autograd.gradcheck(lambda p: energy(prior, pos=p, **atoms), pos)
    assert torch.autograd.gradgradcheck(lambda p: energy(prior, pos=p, **atoms), pos)


def test_stress_is_a_finite_difference_of_the_energy(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    pos = atoms.pop("pos")
    box = torch.tensor([[[5.0, 0, 0], [1.0, 5.5, 0], [0.3, -0.7, 6.0]]], dtype=torch.float64)
    strain = torch.zeros((3, 3), dtype=torch.float64, requires_grad=True)

    def strained(strain: Tensor) -> Tensor:
        deform = torch.eye(3, dtype=torch.float64) + strain
        return energy(prior, pos=pos @ deform, box=box @ deform, **atoms)

    assert torch.autograd.gradcheck(strained, strain)


def test_a_batch_gives_what_its_systems_give_alone(name: str) -> None:
    prior, one, two = make_prior(name), make_atoms(), make_atoms(1)
    batch = torch.tensor([0] * 7 + [2])
    order = torch.tensor([7, 3, 0, 1, 2, 6, 5, 4])
    both = {key: torch.cat([one[key], two[key]])[order] for key in one}
    together = energy(prior, **both, batch=batch[order], num=3)
    alone = torch.cat([energy(prior, **one), torch.zeros(1, dtype=torch.float64), energy(prior, **two)])
    torch.testing.assert_close(together, alone)


def test_moving_and_turning_everything_changes_nothing(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    rotation = torch.linalg.qr(torch.randn((3, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(4)))[0]
    moved = {**atoms, "pos": atoms["pos"] @ rotation + 3.0}
    torch.testing.assert_close(energy(prior, **moved), energy(prior, **atoms))


@pytest.mark.parametrize("name", ENERGIES)
def test_systems_of_a_batch_may_have_cells_of_their_own_or_none(name: str) -> None:
    prior, one, two, three = make_prior(name), make_atoms(), make_atoms(5, seed=1), make_atoms(1)
    box = torch.tensor([[[5.0, 0, 0], [1.0, 5.5, 0], [0.3, -0.7, 6.0]]], dtype=torch.float64)
    boxes = torch.cat([box, torch.zeros_like(box), 1.2 * box])
    all_atoms = {key: torch.cat([one[key], two[key], three[key]]) for key in one}
    together = energy(prior, **all_atoms, batch=torch.tensor([0] * 7 + [1] * 5 + [2]), num=3, box=boxes)
    alone = [energy(prior, **one, box=box), energy(prior, **two), energy(prior, **three, box=1.2 * box)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", ENERGIES)
def test_units_of_the_data_set_are_taken(name: str) -> None:
    """In nm and kJ/mol, said by the data set, the energy is that of Å and eV."""

    class InNanometres:
        distance_scale = 1e-9
        energy_scale = 1000 / 6.02214076e23

    arguments, atoms = make_prior(name).get_init_args(), make_atoms()
    per_nm = ("cutoff_distance", "coordination_cutoff", "three_body_cutoff", "cutoff", "smearing")
    arguments = {key: value / 10 if key in per_nm else value for key, value in arguments.items()}
    arguments = {key: value for key, value in arguments.items() if not key.endswith("_scale")}
    scaled = PRIORS[name](dataset=InNanometres(), **arguments).double()
    expected = energy(make_prior(name), **atoms) * 96.48533212331
    torch.testing.assert_close(energy(scaled, **atoms | {"pos": atoms["pos"] / 10}), expected, rtol=1e-7, atol=0)


def test_float32_is_as_good_as_its_digits(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    expected = energy(prior, **atoms)
    single = {key: value.float() if value.is_floating_point() else value for key, value in atoms.items()}
    found = energy(prior.float(), **single)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=2e-5, atol=1e-5)


def test_cells_may_be_turned_and_left_handed(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    box = torch.tensor([[[5.0, 0, 0], [1.0, 5.5, 0], [0.3, -0.7, 6.0]]], dtype=torch.float64)
    expected = energy(prior, **atoms, box=box)
    turn = torch.linalg.qr(torch.randn((3, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(4)))[0]
    turned = energy(prior, **atoms | {"pos": atoms["pos"] @ turn}, box=box @ turn)
    torch.testing.assert_close(turned, expected)
    torch.testing.assert_close(energy(prior, **atoms, box=box[:, [1, 0, 2]]), expected)


def test_atoms_may_lie_in_any_cell(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    box = torch.tensor([[[5.0, 0, 0], [1.0, 5.5, 0], [0.3, -0.7, 6.0]]], dtype=torch.float64)
    steps = torch.tensor([[0, 0, 0], [1, 0, 0], [0, -2, 0], [0, 0, 1], [3, 1, -1], [0, 0, 0], [-1, 0, 0]])
    moved = atoms | {"pos": atoms["pos"] + steps.double() @ box[0]}
    torch.testing.assert_close(energy(prior, **moved, box=box), energy(prior, **atoms, box=box))


@pytest.mark.parametrize("name", ["ZBL", "D2", "D3"])
def test_types_of_atoms_are_looked_up_in_the_data_sets_table(name: str) -> None:
    class WithTypes:
        atomic_number = (1, 6, 7, 8, 9, 16)

    prior, atoms = make_prior(name), make_atoms()
    arguments = {key: value for key, value in prior.get_init_args().items() if key != "atomic_number"}
    typed = PRIORS[name](dataset=WithTypes(), **arguments).double()
    types = torch.tensor([WithTypes.atomic_number.index(z) for z in atoms["z"].tolist()])
    torch.testing.assert_close(energy(typed, **atoms | {"z": types}), energy(prior, **atoms))
    with pytest.raises(ValueError, match=f"{name} knows the atom types 0 to 5, not 6; its option 'atomic_number'"):
        energy(typed, **atoms | {"z": types + 1})


@pytest.mark.parametrize("name", ["ZBL", "D2", "D3"])
def test_it_is_compiled_whole(name: str) -> None:
    torch.compiler.reset()
    arguments, atoms = make_prior(name).get_init_args(), make_atoms()
    prior = PRIORS[name](**{key: value for key, value in arguments.items() if key != "three_body"}).double()
    use_static_shapes(prior)
    batch = torch.zeros(7, dtype=torch.int64)

    def slopes(function: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        pos = atoms["pos"].clone().requires_grad_()
        total = function(pos)
        return total.detach(), torch.autograd.grad(total, pos)[0]

    def total(pos: Tensor) -> Tensor:
        shares = prior.atom_energies(System(atoms["z"], pos, batch, 1))
        assert shares is not None
        return shares.sum()

    plain = slopes(total)
    torch.testing.assert_close(slopes(torch.compile(total, fullgraph=True, backend="aot_eager")), plain)


@pytest.mark.parametrize("name", ["Coulomb", "D3", "Ewald"])
def test_what_is_not_compiled_says_so_and_runs_between_compiled_parts(name: str) -> None:
    torch.compiler.reset()
    prior, atoms = make_prior(name), make_atoms()

    def total(pos: Tensor) -> Tensor:
        return energy(prior, **atoms | {"pos": pos}).sum()

    with pytest.raises(Exception, match=f"the prior {name} "):
        torch.compile(total, fullgraph=True, backend="aot_eager")(atoms["pos"])
    compiled = torch.compile(total, backend="aot_eager")
    torch.testing.assert_close(compiled(atoms["pos"]), total(atoms["pos"]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coincident_atoms_have_finite_energies_and_forces(name: str, dtype: torch.dtype) -> None:
    prior, atoms = make_prior(name).to(dtype), make_atoms()
    pos, charges = atoms["pos"].to(dtype), atoms["charges"].to(dtype)
    pos[2] = pos[5]
    total = energy(prior, atoms["z"], pos.requires_grad_(), charges)
    (gradient,) = torch.autograd.grad(total.sum(), pos, materialize_grads=True, allow_unused=True)
    assert bool(total.isfinite().all())
    assert bool(gradient.isfinite().all())


def test_a_system_without_atoms_gets_nothing(name: str) -> None:
    assert energy(make_prior(name), **make_atoms(0)).tolist() == [0.0]


@pytest.mark.parametrize("name", ALL_IMAGES)
def test_a_supercell_has_the_energy_of_its_cells(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    box = torch.tensor([[[4.2, 0, 0], [1.0, -4.4, 0.2], [0.3, -0.7, 4.6]]], dtype=torch.float64)
    double = {key: torch.cat([value, value]) for key, value in atoms.items()}
    double["pos"][7:] += box[0, 1]
    twice = box * torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(energy(prior, **double, box=twice), 2 * energy(prior, **atoms, box=box))


@pytest.mark.parametrize("name", ENERGIES)
def test_open_axes_have_no_images(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    box = torch.eye(3, dtype=torch.float64)[None] * 4.5
    none = energy(prior, **atoms, box=box, pbc=torch.zeros((1, 3), dtype=torch.bool))
    torch.testing.assert_close(none, energy(prior, **atoms))
    zeros = energy(prior, **atoms, box=torch.zeros_like(box))
    torch.testing.assert_close(zeros, energy(prior, **atoms))


@pytest.mark.parametrize("name", ["ZBL", "D2", "D3", "Coulomb"])
def test_a_slab_is_a_crystal_of_slabs_far_apart(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    box = torch.eye(3, dtype=torch.float64)[None] * 4.5
    slab = energy(prior, **atoms, box=box, pbc=torch.tensor([[True, True, False]]))
    far = energy(prior, **atoms, box=box * torch.tensor([1.0, 1.0, 40.0], dtype=torch.float64)[:, None])
    torch.testing.assert_close(slab, far)


@pytest.mark.parametrize("name", ENERGIES)
def test_shares_of_the_atoms_add_up(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    total = energy(prior, **atoms)
    from_graph = prior.atom_energies(
        System(atoms["z"], atoms["pos"], torch.zeros_like(atoms["z"]), 1), {"partial_charges": atoms["charges"]}
    )
    assert from_graph is not None
    torch.testing.assert_close(from_graph.sum(), total.sum())
