"""Graph network."""

import copy

import pytest
import torch
from small_models import small_model, two_molecules
from torch.nn.functional import silu

from torchmdnet.models.graph_network import TorchMD_GN

H, R = 8, 6


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes that checkpoints of TorchMD-NET have."""
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (10, H),
        "distance.box": (3, 3),
        "distance_expansion.means": (R,),
        "distance_expansion.betas": (R,),
        "neighbor_embedding.embedding.weight": (10, H),
        "neighbor_embedding.distance_proj.weight": (H, R),
        "neighbor_embedding.distance_proj.bias": (H,),
        "neighbor_embedding.combine.weight": (H, 2 * H),
        "neighbor_embedding.combine.bias": (H,),
    }
    for layer in range(2):
        for name, fan_in in (
            ("mlp.0", R),
            ("mlp.2", H),
            ("conv.net.0", R),
            ("conv.net.2", H),
            ("conv.lin2", H),
            ("lin", H),
        ):
            shapes[f"interactions.{layer}.{name}.weight"] = (H, fan_in)
            shapes[f"interactions.{layer}.{name}.bias"] = (H,)
        shapes[f"interactions.{layer}.conv.lin1.weight"] = (H, H)
    return shapes


def test_state_has_the_names_and_shapes_of_torchmd_net() -> None:
    model = TorchMD_GN(H, num_layers=2, num_rbf=R, max_z=10, trainable_rbf=False)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected_shapes()


def test_the_filter_network_is_one_under_two_names_and_stays_so_in_a_copy() -> None:
    model = TorchMD_GN(H, num_layers=1, num_rbf=R, max_z=10)
    for block in (model.interactions[0], copy.deepcopy(model).interactions[0]):
        assert block.conv.net[0].weight is block.mlp[0].weight
    names = [name for name, _ in model.named_parameters()]
    assert not any("conv.net" in name for name in names)


def test_starts_with_xavier_weights_and_no_bias() -> None:
    torch.manual_seed(0)
    model = TorchMD_GN(64, num_layers=1, num_rbf=32)
    model.reset_parameters()
    weight, bound = model.interactions[0].lin.weight, (6 / 128) ** 0.5
    assert 0.95 * bound < float(weight.detach().abs().max()) <= bound
    assert not model.interactions[0].lin.bias.detach().any()


@pytest.mark.parametrize("aggr", ["add", "mean", "max"])
def test_a_layer_sums_filtered_neighbours(aggr: str) -> None:
    z, pos, _ = two_molecules()
    z, pos = z[:4], pos[:4]
    torch.manual_seed(0)
    model = TorchMD_GN(
        H,
        num_layers=1,
        num_rbf=R,
        max_z=10,
        aggr=aggr,
        neighbor_embedding=False,
        cutoff_upper=50.0,
        dtype=torch.float64,
    )
    x, *_ = model(z, pos, torch.zeros_like(z))
    block, embedding = model.interactions[0], model.embedding(z)
    for i in range(4):
        others = [j for j in range(4) if j != i]
        distance = (pos[others] - pos[i]).norm(dim=1)
        cutoff = 0.5 * (torch.cos(torch.pi * distance / 50.0) + 1).unsqueeze(1)
        messages = block.mlp(model.distance_expansion(distance)) * cutoff * block.conv.lin1(embedding[others])
        total = {
            "add": messages.sum(0),
            "mean": messages.sum(0) / 4,
            "max": messages.max(0).values.clamp(min=0),
        }[aggr]
        torch.testing.assert_close(x[i], embedding[i] + block.lin(silu(block.conv.lin2(total))))


@pytest.mark.parametrize("aggr", ["mean", "max"])
def test_forces_of_every_aggregation_are_finite_differences(aggr: str) -> None:
    z, pos, batch = two_molecules()
    model = small_model("graph-network", aggr=aggr)
    _, forces = model(z, pos, batch)
    shift = torch.zeros_like(pos)
    shift[2, 1] = 1e-4
    change = (model(z, pos + shift, batch)[0] - model(z, pos - shift, batch)[0]).sum() / 2e-4
    torch.testing.assert_close(forces[2, 1], -change, rtol=1e-5, atol=1e-7)


def test_filters_may_have_channels_of_their_own() -> None:
    z, pos, batch = two_molecules()
    model = TorchMD_GN(H, num_filters=12, num_layers=1, num_rbf=R, max_z=10, dtype=torch.float64)
    assert model.interactions[0].conv.lin1.weight.shape == (12, H)
    assert model(z, pos, batch)[0].shape == (8, H)


def test_an_unknown_aggregation_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="aggr 'prod' is not known; choose one of add, mean, max"):
        TorchMD_GN(H, aggr="prod")
