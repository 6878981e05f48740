"""Graph networks, transformers and TensorNet2 that read tables, with all options that decide what is read."""

from typing import Any

import pytest
import torch
from padded_graphs import pad_neighbor_lists
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.models import use_radial_tables

Z, POS, BATCH = two_molecules()
BOX = 5 * torch.eye(3, dtype=torch.float64)

INFLUENCES = ("keys", "values", "both", "none")
TRANSFORMERS = [
    {"model": "transformer", "distance_influence": influence, "attn_activation": act, "neighbor_embedding": near}
    for influence in INFLUENCES
    for act, near in (("silu", True), ("silu", False), ("sigmoid", False), ("tanh", True))
]
GRAPH_NETWORKS = [
    {"model": "graph-network", "aggr": aggr, "neighbor_embedding": near, "num_filters": num_filters, "activation": act}
    for aggr in ("add", "mean")
    for near, num_filters, act in ((True, None, "silu"), (False, 11, "silu"), (True, 5, "ssp"))
]
CHARGED = [
    {"model": "tensornet2", "equivariance_invariance_group": group, "q_dim": q_dim, "output_model": "Scalar"}
    for group in ("O(3)", "SO(3)")
    for q_dim in (0, 3)
]
OPTIONS = [*TRANSFORMERS, *GRAPH_NETWORKS, *CHARGED]
ONE_OF_EACH_KIND = [*TRANSFORMERS[8:10], TRANSFORMERS[-1], GRAPH_NETWORKS[0], GRAPH_NETWORKS[-1], CHARGED[-1]]


def name_of(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


def assert_near(values: tuple[Tensor, ...], exact: tuple[Tensor, ...], tolerance: float) -> None:
    """The tolerance is relative to the largest entry."""
    for value, expected in zip(values, exact, strict=True):
        largest = float(expected.detach().abs().max())
        torch.testing.assert_close(value, expected, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
@pytest.mark.parametrize(("precision", "tolerance"), [(64, 2e-6), (32, 1e-5)])
def test_every_option_gives_the_numbers_of_the_exact_model(
    options: dict[str, Any], precision: int, tolerance: float
) -> None:
    model = small_model(**options, precision=precision)
    pos, box = POS.to(model.mean.dtype), BOX.to(model.mean.dtype)
    exact = model(Z, pos, BATCH, box)
    assert use_radial_tables(model) > 0
    # The error of a table is 1e-6 of its largest weights, and forces nearly cancel in one of these models.
    nearly_cancels = options.get("distance_influence") == "keys" and options.get("attn_activation") == "sigmoid"
    assert_near(model(Z, pos, BATCH, box), exact, 2 * tolerance if nearly_cancels else tolerance)


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_padding_changes_nothing(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(**options)
    use_radial_tables(model)
    plain = model(Z, POS, BATCH, BOX)
    assert pad_neighbor_lists(model, monkeypatch) >= 1
    torch.testing.assert_close(model(Z, POS, BATCH, BOX), plain, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("options", ONE_OF_EACH_KIND, ids=name_of)
def test_second_derivatives_are_right(options: dict[str, Any]) -> None:
    model = small_model(**{**options, "embedding_dimension": 4, "num_layers": 1, "num_rbf": 3})
    use_radial_tables(model, tolerance=1e-3)
    pos = POS[:3].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda r: model.compute(Z[:3], r, forces=False).energy, pos)


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_atoms_without_neighbours_have_no_forces(options: dict[str, Any]) -> None:
    model = small_model(**options)
    far = 100.0 * torch.arange(9, dtype=torch.float64).view(3, 3)
    exact, _ = model(Z[:3], far)
    use_radial_tables(model)
    energy, forces = model(Z[:3], far)
    torch.testing.assert_close(energy, exact, rtol=2e-6, atol=2e-6)
    assert torch.equal(forces, torch.zeros_like(far))


@pytest.mark.parametrize("model", ["graph-network", "transformer", "tensornet2"])
def test_forces_are_continuous_at_the_cutoff(model: str) -> None:
    potential = small_model(model, cutoff_upper=2.0)
    use_radial_tables(potential)
    z, across = Z[:2], torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    near, far = (potential(z, (2.0 + step) * across) for step in (-1e-7, 1e-7))
    torch.testing.assert_close(near, far, rtol=1e-6, atol=1e-6)
