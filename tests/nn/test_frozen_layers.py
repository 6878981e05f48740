"""All layers of the equivariant transformer as one node: the numbers of the layers one by one, in less time."""

import copy

import pytest
import torch
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.models import equivariant_transformer, use_radial_tables
from torchmdnet.models.equivariant_transformer import TorchMD_ET
from torchmdnet.nn import frozen_layers
from torchmdnet.ops import native, vector_exchange
from torchmdnet.potential import TorchMD_Net

Z, POS, BATCH = two_molecules()
pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


def frozen_model(precision: int = 64) -> TorchMD_Net:
    model = small_model("equivariant-transformer", output_model="EquivariantScalar", precision=precision)
    use_radial_tables(model.requires_grad_(False))
    return model


@pytest.fixture
def model() -> TorchMD_Net:
    return frozen_model()


def is_one_node(model: TorchMD_Net) -> bool:
    """Whether the layers of a model become one node."""
    representation = model.representation_model
    assert isinstance(representation, TorchMD_ET)
    pos = POS.to(model.mean.dtype).requires_grad_()
    features = representation.represent(System(Z, pos, BATCH, 2), second_derivatives=False)
    node = features.v.grad_fn if features.v is not None else None
    return node is not None and node.name() == "_LayersBackward"


def one_by_one(model: TorchMD_Net, *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """What the model gives when its layers are not one node."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equivariant_transformer, "are_one_node", lambda _: False)
        assert not is_one_node(model)
        energy, forces = model(*inputs)
    return energy, forces


@pytest.mark.parametrize("precision", [32, 64])
def test_energy_and_forces_are_those_of_the_layers_to_the_last_bit(precision: int) -> None:
    model = frozen_model(precision)
    assert is_one_node(model)
    for value, expected in zip(model(Z, POS, BATCH), one_by_one(model, Z, POS, BATCH), strict=True):
        assert torch.equal(value, expected)


def test_what_is_computed_again_is_the_same(model: TorchMD_Net, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = model(Z, POS, BATCH)
    monkeypatch.setattr(vector_exchange, "MOST_KEPT", 0)
    monkeypatch.setattr(frozen_layers, "MOST_PROJECTED", 0)
    for value, expected in zip(model(Z, POS, BATCH), kept, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


def test_forces_are_finite_differences_of_the_energy(model: TorchMD_Net) -> None:
    step = 1e-4
    move = torch.linspace(-1, 1, POS.numel(), dtype=torch.float64).view_as(POS)
    ahead, back = (model(Z, POS + sign * step * move, BATCH)[0].sum() for sign in (1, -1))
    torch.testing.assert_close((back - ahead) / (2 * step), (model(Z, POS, BATCH)[1] * move).sum(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("num_atoms", [0, 1, 3])
def test_atoms_without_neighbors_feel_nothing(model: TorchMD_Net, num_atoms: int) -> None:
    apart = 50 * torch.arange(num_atoms, dtype=torch.float64).unsqueeze(1).expand(-1, 3)
    inputs = (Z[:num_atoms], apart, torch.zeros(num_atoms, dtype=torch.long))
    energy, forces = model(*inputs)
    assert torch.equal(energy, one_by_one(model, *inputs)[0])
    assert torch.equal(forces, torch.zeros(num_atoms, 3, dtype=torch.float64))


def represented(model: TorchMD_Net) -> tuple[Tensor, Tensor]:
    """Positions, and the sum of the features that one node gives."""
    pos = POS.clone().requires_grad_()
    features = model.representation_model.represent(System(Z, pos, BATCH, 2), second_derivatives=False)
    assert features.v is not None
    return pos, features.v.sum() + features.x.square().sum()


def test_memory_is_free_after_the_backward_pass_which_can_be_done_once(model: TorchMD_Net) -> None:
    pos, value = represented(model)
    torch.autograd.grad(value, pos, retain_graph=True)
    with pytest.raises(RuntimeError, match="these layers keep what a single backward pass needs, and that was done"):
        torch.autograd.grad(value, pos)


def test_a_second_derivative_is_refused(model: TorchMD_Net) -> None:
    pos, value = represented(model)
    (slope,) = torch.autograd.grad(value, pos, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_weights_that_are_trained_again_are_no_constants(model: TorchMD_Net) -> None:
    exact = one_by_one(model, Z, POS, BATCH)
    model.requires_grad_(True)
    assert not is_one_node(model)
    energy = model.compute(Z, POS, BATCH, forces=False).energy
    energy.sum().backward()
    assert all(
        float(w.grad.abs().sum()) > 0 for name, w in model.named_parameters() if "o_proj" in name and w.grad is not None
    )
    torch.testing.assert_close(energy, exact[0], rtol=1e-12, atol=1e-12)


def test_constants_follow_the_model_to_another_type(model: TorchMD_Net) -> None:
    single = copy.deepcopy(model).float()
    assert is_one_node(single)
    torch.testing.assert_close(single(Z, POS, BATCH)[1].double(), model(Z, POS, BATCH)[1], rtol=1e-4, atol=1e-4)
