"""Options to models."""

import pytest
import torch

from torchmdnet.config import Config, ConfigError
from torchmdnet.factory import check_names, create_model, create_prior_models
from torchmdnet.models.equivariant_transformer import TorchMD_ET
from torchmdnet.models.tensornet import TensorNet
from torchmdnet.priors import ZBL, Atomref


def options(**changes):
    small = {"model": "tensornet", "embedding_dimension": 8, "num_layers": 1, "num_rbf": 4, "num_heads": 2, "max_z": 10}
    return Config.from_dict(small | {"derivative": True} | changes).to_dict()


@pytest.mark.parametrize(("name", "kind"), [("tensornet", TensorNet), ("equivariant-transformer", TorchMD_ET)])
def test_the_name_in_the_options_chooses_the_class(name, kind):
    assert type(create_model(options(model=name)).representation_model) is kind


def test_options_reach_the_model():
    model = create_model(options(cutoff_upper=4.0, embedding_dimension=12, num_layers=3))
    assert len(model.representation_model.layers) == 3
    assert model.state_dict()["representation_model.tensor_embedding.emb.weight"].shape == (10, 12)


@pytest.mark.parametrize(
    ("precision", "dtype"), [(32, torch.float32), (64, torch.float64), ("bf16-mixed", torch.float32)]
)
def test_precision_is_the_type_of_the_weights(precision, dtype):
    assert {weight.dtype for weight in create_model(options(precision=precision)).parameters()} == {dtype}


@pytest.mark.parametrize(("given", "expected"), [(None, True), (False, False), (True, True)])
def test_vectors_fade_at_the_cutoff_unless_switched_off(given, expected):
    model = create_model(options(model="equivariant-transformer", vector_cutoff=given))
    assert model.representation_model.attention_layers[0].vector_cutoff is expected


def test_options_without_vector_cutoff_are_those_of_an_old_file():
    stored = options(model="equivariant-transformer")
    del stored["vector_cutoff"]
    assert create_model(stored).representation_model.attention_layers[0].vector_cutoff is False


def test_options_without_q_dim_are_those_of_an_old_file():
    stored = options(model="tensornet2")
    del stored["q_dim"]
    assert create_model(stored).representation_model.q_dim == 0


def test_standardisation_is_kept_in_the_model():
    model = create_model(options(), mean=torch.tensor(2.0), std=torch.tensor(3.0))
    assert (model.mean.item(), model.std.item()) == (2.0, 3.0)


ZBL_ARGUMENTS = {
    "cutoff_distance": 4.0,
    "max_num_neighbors": 5,
    "atomic_number": list(range(10)),
    "distance_scale": 1e-10,
    "energy_scale": 1.602176634e-19,
}


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        (None, []),
        ("Atomref", [Atomref]),
        ({"Atomref": {"max_z": 10}}, [Atomref]),
        (["Atomref", {"ZBL": ZBL_ARGUMENTS}], [Atomref, ZBL]),
        ({"Atomref": None, "ZBL": ZBL_ARGUMENTS}, [Atomref, ZBL]),
    ],
)
def test_priors_are_named_in_any_of_the_accepted_forms(given, kinds):
    assert [type(prior) for prior in create_prior_models({"prior_model": given})] == kinds


def test_prior_args_replace_the_arguments():
    stored = {"prior_model": {"Atomref": {"max_z": 10}}, "prior_args": [{"max_z": 20}]}
    assert create_prior_models(stored)[0].initial_atomref.shape == (20, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "tensornett"}, r"model: got 'tensornett', expected one of .*; did you mean 'tensornet'\?"),
        ({"output_model": "Scaler"}, r"output_model: got 'Scaler', expected one of .*; did you mean 'Scalar'\?"),
        ({"prior_model": "zbl"}, r"did you mean 'ZBL'\?"),
        ({"output_mlp_num_layers": 2}, r"output_mlp_num_layers: got 2, but Scalar has no further layers"),
        ({"repulsion": True}, r"repulsion: got true, but tensornet has none; models that have: tensornet2"),
        ({"so3_convention": "4.x"}, r"so3_convention: got '4\.x', expected 2\.x or 3\.x"),
        ({"prior_model": "ZBLL"}, r"did you mean 'ZBL'\?"),
        ({"prior_model": "ZBL"}, r"ZBL needs 'cutoff_distance': prior_model: \{ZBL: \{cutoff_distance: \.\.\.\}\}"),
        ({"prior_model": {"ZBL": {"cutof": 4}}}, r"'cutof' is not an option of ZBL; did you mean 'cutoff_distance'\?"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_names(options(**changes))


def test_a_missing_option_is_named():
    with pytest.raises(ConfigError, match="the option 'precision' is missing"):
        create_model({"model": "tensornet", "output_model": "Scalar", "embedding_dimension": 8})


def test_layers_that_a_head_does_not_have_are_told_and_left_out():
    with pytest.warns(UserWarning, match="output_mlp_num_layers: got 2, but Scalar has no further layers"):
        model = create_model(options(output_mlp_num_layers=2))
    assert set(model.state_dict()) == set(create_model(options()).state_dict())


def test_a_repulsion_that_the_model_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="repulsion: got true, but tensornet has none"):
        create_model(options() | {"repulsion": True})
