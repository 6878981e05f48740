"""Output heads."""

import pytest
import torch
from ase.data import atomic_masses_iupac2016
from small_models import rotation, small_model, two_molecules
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.outputs import OUTPUTS, DipoleMoment, ElectronicSpatialExtent, EquivariantVectorOutput, Scalar
from torchmdnet.outputs.output_model import reduce_atoms
from torchmdnet.potential import TorchMD_Net

X = torch.tensor([[-1.0], [-2.0], [3.0], [-4.0]])
BATCH = torch.tensor([0, 0, 2, 0])


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("add", [-7.0, 0.0, 3.0]),
        ("sum", [-7.0, 0.0, 3.0]),
        ("mean", [-7.0 / 4, 0.0, 3.0 / 2]),
        ("atom_mean", [-7.0 / 3, 0.0, 3.0]),
        ("max", [0.0, 0.0, 3.0]),
    ],
)
def test_reduces_atoms_to_systems(op: str, expected: list[float]) -> None:
    result = reduce_atoms(X, BATCH, num_systems=3, op=op)
    torch.testing.assert_close(result, torch.tensor(expected).unsqueeze(1))


def test_an_unknown_reduction_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="reduce_op 'prod' is not known; choose one of add, sum, mean"):
        Scalar(8, reduce_op="prod")


def features() -> AtomFeatures:
    z, pos, batch = two_molecules()
    torch.manual_seed(1)
    x = torch.randn(8, 6, dtype=torch.float64)
    return AtomFeatures(x, None, System(z=z, pos=pos, batch=batch, num_systems=2))


def centered(system: System) -> Tensor:
    mass = torch.tensor(atomic_masses_iupac2016)[system.z].unsqueeze(1)
    pos = system.pos.clone()
    for k in range(2):
        own = system.batch == k
        pos[own] -= (mass * system.pos)[own].sum(0) / mass[own].sum()
    return pos


def test_dipole_is_the_length_of_the_sum_of_charges_times_positions() -> None:
    head, atoms = DipoleMoment(6, dtype=torch.float64), features()
    charge = head.output_network(atoms.x)
    terms = charge * centered(atoms.system)
    expected = torch.stack([terms[:5].sum(0).norm(), terms[5:].sum(0).norm()]).unsqueeze(1)
    got = head.post_reduce(head.reduce(head.pre_reduce(atoms), atoms.system.batch, num_systems=2))
    torch.testing.assert_close(got, expected)


def test_spatial_extent_weighs_squared_distances_from_the_centre_of_mass() -> None:
    head, atoms = ElectronicSpatialExtent(6, dtype=torch.float64), features()
    expected = head.output_network(atoms.x) * centered(atoms.system).square().sum(1, keepdim=True)
    torch.testing.assert_close(head.pre_reduce(atoms), expected)


def test_hidden_layer_has_half_the_channels() -> None:
    shapes = {name: tuple(value.shape) for name, value in Scalar(8).state_dict().items()}
    assert shapes == {
        "output_network.layers.0.weight": (4, 8),
        "output_network.layers.0.bias": (4,),
        "output_network.layers.2.weight": (1, 4),
        "output_network.layers.2.bias": (1,),
    }


def test_a_vector_turns_with_the_molecule() -> None:
    model = small_model("equivariant-transformer", output_model="VectorOutput", derivative=False)
    z, pos, batch = two_molecules()
    vector, _ = model(z, pos, batch)
    turned, _ = model(z, pos @ rotation().t(), batch)
    assert vector.shape == (2, 3)
    torch.testing.assert_close(turned, vector @ rotation().t())


@pytest.mark.parametrize("model", ["tensornet", "equivariant-transformer"])
def test_a_dipole_is_a_vector_that_turns_with_the_molecule(model: str) -> None:
    potential = small_model(model, output_model="DipoleVector", derivative=False)
    z, pos, batch = two_molecules()
    vector, _ = potential(z, pos, batch)
    turned, _ = potential(z, (pos + 3.0) @ rotation().t(), batch)
    assert vector.shape == (2, 3)
    torch.testing.assert_close(turned, vector @ rotation().t())
    length, _ = small_model(model, output_model="DipoleMoment", derivative=False)(z, pos, batch)
    torch.testing.assert_close(vector.norm(dim=1, keepdim=True), length)


@pytest.mark.parametrize("name", ["DipoleVector", "VectorOutput"])
def test_a_vector_is_trained_on_the_dipole(name: str) -> None:
    assert OUTPUTS[name].labels == ("dp", "y")


def test_no_mean_is_added_to_a_vector() -> None:
    parts = small_model("equivariant-transformer", output_model="VectorOutput", derivative=False)
    with pytest.raises(ValueError, match="is a vector, to which no mean can be added: use standardize: false"):
        TorchMD_Net(parts.representation_model, parts.output_model, mean=1.0)


def test_a_vector_of_features_without_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="reads vector features: use it with an equivariant model"):
        EquivariantVectorOutput(6, dtype=torch.float64).pre_reduce(features())


@pytest.mark.parametrize("name", ["DipoleMoment", "ElectronicSpatialExtent"])
@pytest.mark.parametrize("model", ["tensornet", "equivariant-transformer"])
def test_geometric_heads_do_not_see_where_the_molecule_is(model: str, name: str) -> None:
    potential = small_model(model, output_model=name, derivative=False)
    z, pos, batch = two_molecules()
    value, _ = potential(z, pos, batch)
    moved, _ = potential(z, (pos + 3.0) @ rotation().t(), batch)
    torch.testing.assert_close(moved, value)


def test_each_equivariant_head_has_its_plain_name_registered() -> None:
    assert {name.removeprefix("Equivariant") for name in OUTPUTS} <= set(OUTPUTS)
