"""What every prior must do, whatever its physics. A new prior is added to CASES."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.priors import D2, PRIORS, ZBL, Atomref, BasePrior, Coulomb, LearnableAtomref

CASES: dict[str, Callable[[], BasePrior]] = {
    "Atomref": lambda: Atomref(max_z=20, trainable=True),
    "LearnableAtomref": lambda: LearnableAtomref(max_z=20),
    "ZBL": lambda: ZBL(4.0, max_num_neighbors=50),
    "D2": lambda: D2(6.0, max_num_neighbors=50),
    "Coulomb": lambda: Coulomb(0.05, 0.3, box_vecs=None),
}
STATE = {
    "Atomref": {"initial_atomref", "atomref.weight"},
    "LearnableAtomref": {"initial_atomref", "atomref.weight"},
    "ZBL": {"atomic_number", "distance.box"},
    "D2": {"Z_map", "C_6", "R_r", "distances.box"},
    "Coulomb": {"distance.box"},
}
SHORT_RANGED = ["ZBL", "D2"]

Fields = dict[str, Tensor]


def make_prior(name: str) -> BasePrior:
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


def test_a_system_without_atoms_gets_nothing(name: str) -> None:
    assert energy(make_prior(name), **make_atoms(0)).tolist() == [0.0]


@pytest.mark.parametrize("name", SHORT_RANGED)
def test_a_supercell_has_the_energy_of_its_cells(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    box = torch.tensor([[[4.2, 0, 0], [1.0, -4.4, 0.2], [0.3, -0.7, 4.6]]], dtype=torch.float64)
    double = {key: torch.cat([value, value]) for key, value in atoms.items()}
    double["pos"][7:] += box[0, 1]
    twice = box * torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(energy(prior, **double, box=twice), 2 * energy(prior, **atoms, box=box))


@pytest.mark.parametrize("name", ["ZBL", "D2", "Coulomb"])
def test_open_axes_have_no_images(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    box = torch.eye(3, dtype=torch.float64)[None] * 4.5
    none = energy(prior, **atoms, box=box, pbc=torch.zeros((1, 3), dtype=torch.bool))
    torch.testing.assert_close(none, energy(prior, **atoms))
    slab = energy(prior, **atoms, box=box, pbc=torch.tensor([[True, True, False]]))
    far = energy(prior, **atoms, box=box * torch.tensor([1.0, 1.0, 40.0], dtype=torch.float64)[:, None])
    torch.testing.assert_close(slab, far)


@pytest.mark.parametrize("name", ["ZBL", "D2", "Coulomb"])
def test_shares_of_the_atoms_add_up(name: str) -> None:
    prior, atoms = make_prior(name), make_atoms()
    total = energy(prior, **atoms)
    from_graph = prior.atom_energies(
        System(atoms["z"], atoms["pos"], torch.zeros_like(atoms["z"]), 1), {"partial_charges": atoms["charges"]}
    )
    assert from_graph is not None
    torch.testing.assert_close(from_graph.sum(), total.sum())
