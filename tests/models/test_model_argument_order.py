"""Representation models are made with their arguments by position in the order of TorchMD-NET's constructors."""

import inspect

import pytest

from torchmdnet.models.tensornet import TensorNet
from torchmdnet.models.tensornet2 import TensorNet2
from torchmdnet.models.torchmd_et import TorchMD_ET
from torchmdnet.models.torchmd_gn import TorchMD_GN
from torchmdnet.models.torchmd_t import TorchMD_T

ATTENTION = "attn_activation neighbor_embedding num_heads distance_influence"
RADIAL = "num_layers num_rbf rbf_type trainable_rbf activation"
RANGE = "cutoff_lower cutoff_upper max_z max_num_neighbors"
TENSOR = f"{RADIAL} cutoff_lower cutoff_upper max_num_neighbors max_z equivariance_invariance_group static_shapes"

ORDERS = {
    TorchMD_GN: f"hidden_channels num_filters {RADIAL} neighbor_embedding {RANGE} aggr dtype box_vecs",
    TorchMD_T: f"hidden_channels {RADIAL} {ATTENTION} {RANGE} dtype box_vecs",
    TorchMD_ET: f"hidden_channels {RADIAL} {ATTENTION} {RANGE} box_vecs vector_cutoff dtype",
    TensorNet: f"hidden_channels {TENSOR} dtype box_vecs",
    TensorNet2: f"hidden_channels q_dim {TENSOR} dtype box_vecs output_charges repulsion",
}


@pytest.mark.parametrize("model", ORDERS)
def test_arguments_stand_in_the_order_of_torchmd_net(model: type) -> None:
    expected = ORDERS[model].split()
    parameters = inspect.signature(model).parameters
    assert list(parameters)[: len(expected)] == expected
    assert {parameters[name].kind for name in expected} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
