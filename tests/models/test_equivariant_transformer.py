"""Equivariant transformer."""

import pytest
import torch
from small_models import small_model

from torchmdnet.models.equivariant_transformer import TorchMD_ET

H, R = 8, 6


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes that checkpoints of TorchMD-NET have."""
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (10, H),
        "distance.box": (3, 3),
        "distance_expansion.means": (R,),
        "distance_expansion.betas": (R,),
        "neighbor_embedding.embedding.weight": (10, H),
        "out_norm.weight": (H,),
        "out_norm.bias": (H,),
    }
    linears = {"neighbor_embedding.distance_proj": (H, R), "neighbor_embedding.combine": (H, 2 * H)}
    for layer in (f"attention_layers.{k}" for k in range(2)):
        shapes |= {f"{layer}.layernorm.weight": (H,), f"{layer}.layernorm.bias": (H,)}
        shapes[f"{layer}.vec_proj.weight"] = (3 * H, H)
        linears |= {f"{layer}.q_proj": (H, H), f"{layer}.k_proj": (H, H), f"{layer}.v_proj": (3 * H, H)}
        linears |= {f"{layer}.o_proj": (3 * H, H), f"{layer}.dk_proj": (H, R), f"{layer}.dv_proj": (3 * H, R)}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def test_state_has_the_names_and_shapes_of_torchmd_net() -> None:
    model = TorchMD_ET(H, num_layers=2, num_rbf=R, max_z=10, num_heads=2)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected_shapes()


@pytest.mark.parametrize(
    ("influence", "has_keys", "has_values"),
    [("keys", True, False), ("values", False, True), ("both", True, True), ("none", False, False)],
)
def test_distance_projections_follow_the_influence(influence: str, has_keys: bool, has_values: bool) -> None:
    names = TorchMD_ET(H, num_layers=1, num_rbf=R, num_heads=2, distance_influence=influence).state_dict()
    assert ("attention_layers.0.dk_proj.weight" in names) is has_keys
    assert ("attention_layers.0.dv_proj.weight" in names) is has_values


def test_starts_with_xavier_weights_and_zero_biases() -> None:
    torch.manual_seed(0)
    state = TorchMD_ET(64, num_layers=1, num_rbf=32).state_dict()
    bound = (6 / (64 + 3 * 64)) ** 0.5
    assert 0.95 * bound < float(state["attention_layers.0.v_proj.weight"].abs().max()) <= bound
    assert not any(bool(value.any()) for name, value in state.items() if name.endswith("proj.bias"))
    assert abs(float(state["embedding.weight"].std()) - 1) < 0.05


def jump_at_the_cutoff(*, vector_cutoff: bool) -> float:
    """Change of the energy when the third atom crosses the cutoff (4 Å) of both others."""
    model = small_model("equivariant-transformer", vector_cutoff=vector_cutoff, neighbor_embedding=False)
    for key, parameter in model.named_parameters():
        if key.endswith("dv_proj.bias"):
            torch.nn.init.ones_(parameter)
    z, energies = torch.tensor([6, 8, 1]), []
    for distance in (4 - 1e-6, 4 + 1e-6):
        pos = torch.tensor([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [0.0, 0.0, distance]], dtype=torch.float64)
        energies.append(float(model(z, pos)[0]))
    return abs(energies[1] - energies[0])


def test_vector_cutoff_makes_the_energy_continuous() -> None:
    assert jump_at_the_cutoff(vector_cutoff=True) < 1e-10


def test_without_vector_cutoff_the_energy_jumps() -> None:
    assert jump_at_the_cutoff(vector_cutoff=False) > 1e-6


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="multiple of num_heads; got 10 channels and 4 heads"):
        TorchMD_ET(10, num_heads=4)


def test_an_unknown_influence_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="distance_influence 'all' is not known; choose one of keys, values"):
        TorchMD_ET(8, num_heads=2, distance_influence="all")
