"""Edges that fill a graph to a fixed length change nothing, in any model, head or prior that reads graphs.

They sit at the cutoff at the last atom; here the model's own neighbour list gives graphs with and without.
"""

from typing import Any

import pytest
import torch
from padded_graphs import pad_neighbor_lists
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.models import MODELS
from torchmdnet.potential import TorchMD_Net
from torchmdnet.priors import D2, PRIORS, ZBL
from torchmdnet.priors.pair_prior import PairPrior

Z, POS, BATCH = two_molecules()
BOX = 5.0 * torch.tensor([[1.0, 0.1, 0.05], [-0.2, 0.9, 0.1], [0.1, 0.2, 1.1]], dtype=torch.float64)

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "tensornet": [{}, {"equivariance_invariance_group": "SO(3)"}],
    "tensornet2": [{}, {"output_model": "ScalarPlusWeightedCoulomb", "coulomb_cutoff": 3.5}],
    "equivariant-transformer": [
        {"vector_cutoff": vector_cutoff, "distance_influence": influence, "neighbor_embedding": vector_cutoff}
        for vector_cutoff in (True, False)
        for influence in ("both", "keys", "values", "none")
    ],
    "transformer": [{"distance_influence": influence} for influence in ("both", "none")],
    "graph-network": [{"aggr": aggr} for aggr in ("add", "mean", "max")],
}
EVERYWHERE: list[dict[str, Any]] = [{}, {"rbf_type": "gauss", "activation": "tanh"}, {"cutoff_lower": 0.6}]
CASES = [
    pytest.param(name, variant | options, id="-".join([name, *map(str, (variant | options).values())]))
    for name, variants in VARIANTS.items()
    for variant in variants
    for options in EVERYWHERE
]


def test_every_model_has_a_case() -> None:
    assert set(VARIANTS) == set(MODELS)


def make_model(name: str, options: dict[str, Any]) -> TorchMD_Net:
    """A model in which no weight is zero: a bias would carry an edge of distance zero influence through."""
    model = small_model(name, **options)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.data = parameter.data + 0.3 * noise
    return model


def assert_same(padded: Any, plain: Any) -> None:
    """Equal to rounding: a matrix product of more rows may add in another order."""
    torch.testing.assert_close(padded, plain, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_energies_forces_and_stress_stay(name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(name, options)
    plain = model.compute(Z, POS, BATCH, box=BOX, stress=True)
    assert pad_neighbor_lists(model, monkeypatch) >= 1
    padded = model.compute(Z, POS, BATCH, box=BOX, stress=True)
    assert_same(padded[:3], plain[:3])


def gradients_of_a_loss_on_forces(model: TorchMD_Net, pos: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    energy, forces = model(Z, pos, BATCH)
    (energy.square().sum() + forces.square().sum()).backward()
    return {key: parameter.grad.clone() for key, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("tracked", [False, True], ids=["jets", "plain autograd"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradients_of_a_loss_on_forces_stay(
    name: str, options: dict[str, Any], tracked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, pos = make_model(name, options).train(), POS.clone().requires_grad_(tracked)
    plain = gradients_of_a_loss_on_forces(model, pos)
    pad_neighbor_lists(model, monkeypatch)
    assert_same(gradients_of_a_loss_on_forces(model, pos), plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("prior", [ZBL(2.7), D2(2.7)], ids=["ZBL", "D2"])
def test_priors_and_their_derivatives_stay(
    prior: PairPrior, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def derivatives() -> tuple[Tensor, ...]:
        pos, y = POS.to(dtype).requires_grad_(), torch.zeros((2, 1), dtype=dtype)
        energy = prior.post_reduce(y, Z, pos, BATCH, BOX.to(dtype)[None])
        (gradient,) = torch.autograd.grad(energy.sum(), pos, create_graph=True)
        return energy, gradient, *torch.autograd.grad(gradient.square().sum(), pos)

    plain = derivatives()
    assert pad_neighbor_lists(prior, monkeypatch) == 1
    for padded, expected in zip(derivatives(), plain, strict=True):
        torch.testing.assert_close(padded, expected)


def test_every_prior_with_a_list_of_fixed_cutoff_has_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"ZBL": (4.0,), "D2": (4.0,), "Coulomb": (0.05, 0.3)}
    priors = {name: cls(*arguments.get(name, ())) for name, cls in PRIORS.items() if name in arguments}
    assert set(priors) == {name for name, cls in PRIORS.items() if issubclass(cls, PairPrior)}
    assert {name for name, prior in priors.items() if pad_neighbor_lists(prior, monkeypatch)} == {"ZBL", "D2"}
