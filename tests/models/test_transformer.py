"""Transformer."""

import pytest
import torch
from small_models import two_molecules
from torch.nn.functional import silu

from torchmdnet.models.transformer import TorchMD_T

H, R = 8, 6


@pytest.mark.parametrize("influence", ["keys", "values", "both", "none"])
def test_state_has_the_names_and_shapes_of_torchmd_net(influence: str) -> None:
    model = TorchMD_T(
        H,
        num_layers=1,
        num_rbf=R,
        num_heads=2,
        max_z=10,
        distance_influence=influence,
        neighbor_embedding=False,
        trainable_rbf=False,
    )
    layer = "attention_layers.0"
    expected: dict[str, tuple[int, ...]] = {
        "embedding.weight": (10, H),
        "distance.box": (3, 3),
        "distance_expansion.means": (R,),
        "distance_expansion.betas": (R,),
        f"{layer}.layernorm.weight": (H,),
        f"{layer}.layernorm.bias": (H,),
        "out_norm.weight": (H,),
        "out_norm.bias": (H,),
    }
    for name in "qkvo":
        expected |= {f"{layer}.{name}_proj.weight": (H, H), f"{layer}.{name}_proj.bias": (H,)}
    if influence in ("keys", "both"):
        expected |= {f"{layer}.dk_proj.weight": (H, R), f"{layer}.dk_proj.bias": (H,)}
    if influence in ("values", "both"):
        expected |= {f"{layer}.dv_proj.weight": (H, R), f"{layer}.dv_proj.bias": (H,)}
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected


def test_a_layer_attends_to_neighbours_and_the_atom_itself() -> None:
    z, pos, _ = two_molecules()
    z, pos = z[:4], pos[:4]
    torch.manual_seed(0)
    model = TorchMD_T(
        H,
        num_layers=1,
        num_rbf=R,
        num_heads=2,
        max_z=10,
        neighbor_embedding=False,
        cutoff_upper=50.0,
        dtype=torch.float64,
    )
    x, *_ = model(z, pos, torch.zeros_like(z))
    layer, embedding = model.attention_layers[0], model.embedding(z)
    y = layer.layernorm(embedding)
    for i in range(4):
        distance = (pos - pos[i]).norm(dim=1)
        rbf, cutoff = model.distance_expansion(distance), 0.5 * (torch.cos(torch.pi * distance / 50.0) + 1)
        product = layer.q_proj(y[i]) * layer.k_proj(y) * silu(layer.dk_proj(rbf))
        weight = silu(product.view(4, 2, 4).sum(-1)) * cutoff.unsqueeze(1)
        values = (layer.v_proj(y) * silu(layer.dv_proj(rbf))).view(4, 2, 4)
        total = (values * weight.unsqueeze(-1)).sum(0).flatten()
        torch.testing.assert_close(x[i], model.out_norm(embedding[i] + layer.o_proj(total)))


def test_heads_must_share_the_channels() -> None:
    with pytest.raises(ValueError, match="multiple of num_heads; got 8 channels and 3 heads"):
        TorchMD_T(H, num_heads=3)


def test_an_unknown_influence_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'key' is not known; choose one of keys, values, both, none"):
        TorchMD_T(H, num_heads=2, distance_influence="key")
