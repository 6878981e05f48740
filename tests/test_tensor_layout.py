"""The order of the rows of TensorNet's triple outputs in files that do not say it."""

import pytest
import torch
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.tensor_layout import has_old_layout, layers_with_parts, layout_evidence, to_new_layout

Weights = dict[str, Tensor]

OPTIONS = {"model": "tensornet"}


def numbered_weights() -> Weights:
    prefix = "representation_model."
    return {
        f"{prefix}tensor_embedding.linears_scalar.1.weight": torch.arange(12.0).reshape(6, 2),
        f"{prefix}tensor_embedding.linears_scalar.1.bias": torch.arange(6.0),
        f"{prefix}layers.0.linears_scalar.2.weight": torch.arange(12.0).reshape(6, 2),
        f"{prefix}layers.0.linears_scalar.2.bias": torch.arange(6.0),
        f"{prefix}distance.box": torch.zeros(3, 3),
    }


def to_old_layout(rows: Tensor) -> Tensor:
    """The inverse: row c H + k of the new order at 3 k + c."""
    return rows.reshape(3, rows.shape[0] // 3, -1).transpose(0, 1).reshape(rows.shape)


def trained(model: str, steps: int = 15) -> tuple[Weights, list[dict[str, object]]]:
    """Weights and state of the optimiser of a model that has learned random forces for a moment."""
    z, pos, batch = two_molecules()
    potential = small_model(model, embedding_dimension=16).train()
    optimizer = torch.optim.AdamW(potential.parameters(), lr=3e-3)
    targets = torch.randn(pos.shape, generator=torch.Generator().manual_seed(1), dtype=pos.dtype)
    for _ in range(steps):
        optimizer.zero_grad()
        energy, forces = potential(z, pos, batch)
        ((forces - targets).square().mean() + energy.square().mean()).backward()
        optimizer.step()
    return dict(potential.state_dict()), [optimizer.state_dict()]


def as_old_file(
    weights: Weights, states: list[dict[str, object]], model: str
) -> tuple[Weights, list[dict[str, object]]]:
    """The same in the order of before 3.0, moments of the optimiser too."""
    layers = layers_with_parts(weights, {"model": model})
    moved = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    old = {key: to_old_layout(value) if key in moved else value for key, value in weights.items()}
    shape = weights[f"{layers[0]}.weight"].shape
    state = dict(states[0]["state"])
    kinds = [index for index in sorted(state) if state[index]["exp_avg_sq"].shape == shape]
    for index in kinds[: len(layers)]:
        state[index] = {**state[index], "exp_avg_sq": to_old_layout(state[index]["exp_avg_sq"])}
    return old, [{**states[0], "state": state}]


def test_rows_move_to_part_times_channels_plus_channel() -> None:
    weights = numbered_weights()
    moved = to_new_layout(weights, layers_with_parts(weights, OPTIONS))
    for layer in ("tensor_embedding.linears_scalar.1", "layers.0.linears_scalar.2"):
        assert moved[f"representation_model.{layer}.bias"].tolist() == [0, 3, 1, 4, 2, 5]
        assert moved[f"representation_model.{layer}.weight"][:, 0].tolist() == [0, 6, 2, 8, 4, 10]


def test_only_the_embedding_of_tensornet2_changed() -> None:
    assert layers_with_parts(numbered_weights(), {"model": "tensornet2"}) == [
        "representation_model.tensor_embedding.linears_scalar.1"
    ]


def test_the_layers_of_a_wrapped_model_are_found() -> None:
    weights = small_model("tensornet", atom_filter=1, derivative=False).state_dict()
    layers = layers_with_parts(weights, OPTIONS)
    assert layers[0] == "representation_model.model.tensor_embedding.linears_scalar.1"
    assert len(layers) == 3


def test_other_models_have_no_such_layers() -> None:
    assert not has_old_layout(numbered_weights(), {"model": "equivariant-transformer"})


def test_check_errors_marks_a_file_from_before_3() -> None:
    assert has_old_layout(numbered_weights(), OPTIONS | {"check_errors": True})


def test_a_file_without_box_is_from_before_the_change() -> None:
    weights = numbered_weights()
    del weights["representation_model.distance.box"]
    assert has_old_layout(weights, OPTIONS)


def test_an_option_of_3_1_marks_a_later_file() -> None:
    assert not has_old_layout(numbered_weights(), OPTIONS | {"repulsion": False})


def test_a_file_without_any_evidence_is_refused_with_the_two_ways_out() -> None:
    with pytest.raises(ValueError, match=r"compatibility_load=True if TorchMD-NET 2\.6\.2 .* compatibility_load=False"):
        has_old_layout(numbered_weights(), OPTIONS)


@pytest.mark.parametrize("model", ["tensornet", "tensornet2"])
def test_the_moments_of_the_optimiser_tell_the_order(model: str) -> None:
    weights, states = trained(model)
    old_weights, old_states = as_old_file(weights, states, model)
    assert not has_old_layout(weights, {"model": model}, optimizer_states=states)
    assert has_old_layout(old_weights, {"model": model}, optimizer_states=old_states)


def test_weights_trained_for_long_tell_the_order_alone() -> None:
    """Rows of one part have grown alike, as they do in thousands of steps."""
    growth = torch.tensor([1.0, 2.0, 4.0]).repeat_interleave(16).unsqueeze(1)
    weights = dict(small_model("tensornet", embedding_dimension=16).state_dict())
    for layer in layers_with_parts(weights, OPTIONS):
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] * growth
    assert not has_old_layout(weights, OPTIONS)
    assert has_old_layout(as_old_file(weights, [{"state": {}}], "tensornet")[0], OPTIONS)


def test_weights_that_contradict_the_options_are_refused() -> None:
    growth = torch.tensor([1.0, 2.0, 4.0]).repeat_interleave(16).unsqueeze(1)
    weights = dict(small_model("tensornet", embedding_dimension=16).state_dict())
    for layer in layers_with_parts(weights, OPTIONS):
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] * growth
    with pytest.raises(ValueError, match=r"options of TorchMD-NET before 3\.0 and weights in the order of 3\.0"):
        has_old_layout(weights, OPTIONS | {"check_errors": True})


@pytest.mark.parametrize("channels", [8, 64, 256])
def test_weights_that_nobody_trained_are_no_evidence(channels: int) -> None:
    generator = torch.Generator().manual_seed(channels)
    for _ in range(50):
        weights = {"a.weight": torch.rand(3 * channels, 2 * channels, generator=generator) - 0.5}
        assert abs(layout_evidence(weights, ["a"])) < 10
