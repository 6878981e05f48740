"""Old names of options and weights."""

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


def test_a_coulomb_head_with_a_cutoff_gets_its_box():
    options = {"model": "tensornet2", "output_model": "ScalarPlusWeightedCoulomb", "coulomb_cutoff": 9.0}
    assert torch.equal(migrate_weights({}, options)["output_model.distance.box"], torch.zeros(3, 3))


def test_the_box_of_a_wrapped_model_lies_one_level_deeper():
    migrated = migrate_weights({}, {"model": "tensornet", "atom_filter": 1})
    assert set(migrated) == {"representation_model.model.distance.box"}


def test_files_of_this_package_are_left_as_they_are():
    weights = {"model.mean": torch.zeros(()), "model.output_model.output_network.0.weight": torch.ones(2, 2)}
    migrated = migrate_weights(weights, {"model": "tensornet", "format_version": FORMAT_VERSION})
    assert set(migrated) == {"mean", "output_model.output_network.0.weight"}


@pytest.mark.parametrize("name", ["tensornet-nqe", "tensornetv2_alt"])
def test_old_model_names_are_known(name):
    assert migrate_options({"model": name})["model"] == "tensornet2"


def test_options_from_before_precision_mean_float32():
    assert migrate_options({"model": "tensornet"})["precision"] == 32


def test_a_file_of_a_newer_version_is_refused():
    with pytest.raises(ValueError, match=f"format 99, this version reads up to {FORMAT_VERSION}"):
        migrate_options({"model": "tensornet", "format_version": 99})
