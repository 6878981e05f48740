"""TensorNet."""

import pytest
import torch
from small_models import small_model, two_molecules

from torchmdnet.models.tensornet import TensorNet

H, R = 8, 6


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes that checkpoints of TorchMD-NET have."""
    shapes: dict[str, tuple[int, ...]] = {
        "distance_expansion.means": (R,),
        "distance_expansion.betas": (R,),
        "tensor_embedding.emb.weight": (10, H),
        "tensor_embedding.emb2.weight": (H, 2 * H),
        "tensor_embedding.emb2.bias": (H,),
        "tensor_embedding.init_norm.weight": (H,),
        "tensor_embedding.init_norm.bias": (H,),
        "tensor_embedding.linears_scalar.0.weight": (2 * H, H),
        "tensor_embedding.linears_scalar.0.bias": (2 * H,),
        "tensor_embedding.linears_scalar.1.weight": (3 * H, 2 * H),
        "tensor_embedding.linears_scalar.1.bias": (3 * H,),
        "linear.weight": (H, 3 * H),
        "linear.bias": (H,),
        "out_norm.weight": (3 * H,),
        "out_norm.bias": (3 * H,),
        "distance.box": (3, 3),
    }
    for k in range(3):
        shapes[f"tensor_embedding.distance_proj{k + 1}.weight"] = (H, R)
        shapes[f"tensor_embedding.distance_proj{k + 1}.bias"] = (H,)
        shapes[f"tensor_embedding.linears_tensor.{k}.weight"] = (H, H)
    for layer in range(2):
        for k, (width, fan_in) in enumerate(((H, R), (2 * H, H), (3 * H, 2 * H))):
            shapes[f"layers.{layer}.linears_scalar.{k}.weight"] = (width, fan_in)
            shapes[f"layers.{layer}.linears_scalar.{k}.bias"] = (width,)
        for k in range(6):
            shapes[f"layers.{layer}.linears_tensor.{k}.weight"] = (H, H)
    return shapes


def test_state_has_the_names_and_shapes_of_torchmd_net() -> None:
    model = TensorNet(H, num_layers=2, num_rbf=R, max_z=10)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected_shapes()


def test_starts_with_pytorchs_defaults() -> None:
    torch.manual_seed(0)
    model = TensorNet(64, num_layers=1, num_rbf=32)
    model.reset_parameters()
    weight, bound = model.linear.weight, (1 / (3 * 64)) ** 0.5
    assert 0.95 * bound < float(weight.detach().abs().max()) <= bound
    assert abs(float(model.tensor_embedding.emb.weight.detach().std()) - 1) < 0.05


def test_rotation_group_tells_mirror_images_apart() -> None:
    z, pos, batch = two_molecules()
    for group, is_chiral in (("O(3)", False), ("SO(3)", True)):
        model = small_model("tensornet", equivariance_invariance_group=group)
        energy, mirrored = model(z, pos, batch)[0], model(z, -pos, batch)[0]
        assert torch.allclose(energy, mirrored, rtol=1e-10, atol=0) is not is_chiral


@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
def test_total_charge_changes_the_energy(group: str) -> None:
    z, pos, batch = two_molecules()
    model = small_model("tensornet", equivariance_invariance_group=group)
    neutral, _ = model(z, pos, batch)
    zero, _ = model(z, pos, batch, q=torch.tensor([0, 0]))
    charged, _ = model(z, pos, batch, q=torch.tensor([0, 1]))
    torch.testing.assert_close(zero, neutral)
    torch.testing.assert_close(charged[0], neutral[0])
    assert float((charged[1] - neutral[1]).abs()) > 1e-13


def test_an_unknown_group_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"equivariance_invariance_group 'O\(2\)' is not known; choose one of O\(3\)"):
        TensorNet(equivariance_invariance_group="O(2)")
