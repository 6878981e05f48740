"""A model made ready for fast inference gives the same numbers."""

import pytest
import torch
from small_models import small_model, two_molecules
from torch import nn

from torchmdnet.models.utils import CosineCutoff
from torchmdnet.nn.tabulated_layer import TabulatedRadial
from torchmdnet.optimize import optimize
from torchmdnet.potential import Ensemble

MODELS = ["tensornet", "tensornet2", "equivariant-transformer", "graph-network", "transformer"]


def tables(model: nn.Module) -> int:
    return sum(len(part.tabulated_layers()) for part in model.modules() if isinstance(part, TabulatedRadial))


@pytest.mark.parametrize(("precision", "tolerance"), [(64, 1e-5), (32, 1e-4)])
@pytest.mark.parametrize("name", MODELS)
def test_energies_and_forces_stay(name: str, precision: int, tolerance: float) -> None:
    model = small_model(name, precision=precision).train()
    z, pos, batch = two_molecules(model.mean.dtype)
    expected = model(z, pos, batch)
    assert optimize(model) is model
    assert not model.training
    for got, exact in zip(model(z, pos, batch), expected, strict=True):
        assert not got.requires_grad
        torch.testing.assert_close(got, exact.detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["tensornet", "equivariant-transformer"])
def test_radial_networks_are_read_from_tables(name: str) -> None:
    model = small_model(name)
    z, pos, batch = two_molecules()
    exact = model(z, pos, batch)[0]
    tabulated = optimize(model, tolerance=1e-3)(z, pos, batch)[0]
    assert tables(model) > 0
    assert 0 < float((tabulated - exact).abs().max()) < 1e-2


def test_an_ensemble_is_made_ready_in_all_its_members() -> None:
    members = [small_model("tensornet"), small_model("equivariant-transformer")]
    z, pos, batch = two_molecules()
    expected = Ensemble(members)(z, pos, batch)
    for got, exact in zip(optimize(Ensemble(members))(z, pos, batch), expected, strict=True):
        torch.testing.assert_close(got, exact, rtol=1e-5, atol=1e-5)
    assert not any(weight.requires_grad for member in members for weight in member.parameters())


def test_training_and_weights_that_are_trained_bring_the_model_back() -> None:
    model = small_model("tensornet")
    z, pos, batch = two_molecules()
    exact = model(z, pos, batch)[0]
    optimize(model).train().requires_grad_()
    torch.testing.assert_close(model(z, pos, batch)[0].detach(), exact, rtol=1e-12, atol=1e-12)
    model(z, pos, batch)[1].sum().backward()
    assert all(weight.grad is not None for weight in model.representation_model.tensor_embedding.parameters())


@pytest.mark.parametrize("thing", [None, CosineCutoff(), nn.Linear(2, 2)])
def test_what_is_no_model_is_refused(thing: object) -> None:
    with pytest.raises(TypeError, match=rf"optimize: got a {type(thing).__name__}, expected a model of torchmdnet"):
        optimize(thing)


def test_a_tolerance_that_no_table_keeps_is_refused_and_leaves_the_exact_networks() -> None:
    model = small_model("tensornet")
    z, pos, batch = two_molecules()
    exact = model(z, pos, batch)[0]
    with pytest.raises(ValueError, match="tolerance"):
        optimize(model, tolerance=1e-30)
    torch.testing.assert_close(model(z, pos, batch)[0], exact, rtol=1e-12, atol=1e-12)


def test_a_model_whose_radial_networks_fit_no_table_is_exact_and_says_so() -> None:
    model = small_model("tensornet")
    z, pos, batch = two_molecules()
    layer = next(part for part in model.modules() if isinstance(part, TabulatedRadial))
    with torch.no_grad():
        layer.distance_expansion.betas.mul_(1e9)
    exact = model(z, pos, batch)[0]
    with pytest.warns(UserWarning, match="optimize: the radial networks stay exact, as "):
        optimize(model)
    torch.testing.assert_close(model(z, pos, batch)[0], exact, rtol=1e-12, atol=1e-12)
