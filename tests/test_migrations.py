"""Old names and layouts of weights."""

import pytest
import torch

from torchmdnet.migrations import FORMAT_VERSION, migrate_options, migrate_weights


def test_strips_the_prefix_of_the_training_module():
    weights = {"model.mean": torch.zeros(()), "model.representation_model.distance.box": torch.eye(3)}
    assert set(migrate_weights(weights, {"model": "equivariant-transformer"})) == {
        "mean",
        "representation_model.distance.box",
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "output_model.output_network.0.update_net.0.weight",
            "output_model.output_network.0.update_net.layers.0.weight",
        ),
        ("output_model.output_network.0.weight", "output_model.output_network.layers.0.weight"),
        ("output_model.output_network.2.bias", "output_model.output_network.layers.2.bias"),
        ("prior_model.atomref.weight", "prior_model.0.atomref.weight"),
        ("prior_model.1.atomref.weight", "prior_model.1.atomref.weight"),
        (
            "output_model.output_network.0.vec1_proj.weight",
            "output_model.output_network.0.vec1_proj.weight",
        ),
    ],
)
def test_old_names_become_todays(old, new):
    migrated = migrate_weights({old: torch.zeros(1)}, {"model": "equivariant-transformer"})
    assert set(migrated) - {"representation_model.distance.box"} == {new}


def test_boxes_that_old_files_lack_are_zero():
    weights = {"prior_model.0.atomic_number": torch.zeros(5), "prior_model.1.C_6": torch.zeros(55)}
    migrated = migrate_weights(weights, {"model": "equivariant-transformer"})
    boxes = ["representation_model.distance.box", "prior_model.0.distance.box", "prior_model.1.distances.box"]
    for key in boxes:
        assert torch.equal(migrated[key], torch.zeros(3, 3))


def old_layout_weights() -> dict[str, torch.Tensor]:
    return {
        "representation_model.tensor_embedding.linears_scalar.1.weight": torch.arange(12.0).reshape(6, 2),
        "representation_model.tensor_embedding.linears_scalar.1.bias": torch.arange(6.0),
        "representation_model.layers.0.linears_scalar.2.weight": torch.arange(12.0).reshape(6, 2),
        "representation_model.layers.0.linears_scalar.2.bias": torch.arange(6.0),
        "representation_model.distance.box": torch.zeros(3, 3),
    }


def test_rows_of_the_old_tensor_layout_move_to_part_times_channels_plus_channel():
    migrated = migrate_weights(old_layout_weights(), {"model": "tensornet", "check_errors": True})
    for layer in ("tensor_embedding.linears_scalar.1", "layers.0.linears_scalar.2"):
        assert migrated[f"representation_model.{layer}.bias"].tolist() == [0, 3, 1, 4, 2, 5]
        assert migrated[f"representation_model.{layer}.weight"][:, 0].tolist() == [0, 6, 2, 8, 4, 10]


def test_only_the_embedding_of_tensornet2_changed_layout():
    migrated = migrate_weights(old_layout_weights(), {"model": "tensornet2", "check_errors": True})
    assert migrated["representation_model.layers.0.linears_scalar.2.bias"].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_file_without_box_is_from_before_the_layout_changed():
    weights = old_layout_weights()
    del weights["representation_model.distance.box"]
    migrated = migrate_weights(weights, {"model": "tensornet"})
    assert migrated["representation_model.layers.0.linears_scalar.2.bias"].tolist() == [0, 3, 1, 4, 2, 5]


def test_a_file_without_any_mark_is_read_as_new_with_a_warning():
    with pytest.warns(UserWarning, match="compatibility_load=True"):
        migrated = migrate_weights(old_layout_weights(), {"model": "tensornet"})
    assert migrated["representation_model.layers.0.linears_scalar.2.bias"].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_users_word_on_the_layout_wins():
    migrated = migrate_weights(old_layout_weights(), {"model": "tensornet", "check_errors": True}, old_layout=False)
    assert migrated["representation_model.layers.0.linears_scalar.2.bias"].tolist() == [0, 1, 2, 3, 4, 5]


def test_files_of_this_package_are_left_as_they_are():
    weights = {f"model.{key}": value for key, value in old_layout_weights().items()}
    migrated = migrate_weights(weights, {"model": "tensornet", "format_version": FORMAT_VERSION})
    assert all(torch.equal(migrated[key], value) for key, value in old_layout_weights().items())


def test_old_model_names_are_known():
    assert migrate_options({"model": "tensornet-nqe"})["model"] == "tensornet2"


def test_a_file_of_a_newer_version_is_refused():
    with pytest.raises(ValueError, match=f"format 99, this version reads up to {FORMAT_VERSION}"):
        migrate_options({"model": "tensornet", "format_version": 99})
