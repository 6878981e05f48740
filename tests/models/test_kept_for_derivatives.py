"""What TensorNet, with tables and weights that are not trained, keeps from values for forces."""

import torch
from small_models import small_model
from torch import Tensor

from torchmdnet.models import use_radial_tables

NUM_ATOMS, CHANNELS, NUM_LAYERS = 30, 8, 3


def test_keeps_three_tensors_a_layer_and_two() -> None:
    model = small_model("tensornet", embedding_dimension=CHANNELS, num_layers=NUM_LAYERS).requires_grad_(False)
    use_radial_tables(model)
    generator = torch.Generator().manual_seed(1)
    pos = 2 * torch.randn(NUM_ATOMS, 3, generator=generator, dtype=torch.float64)
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.shape == (9, NUM_ATOMS, CHANNELS):
            kept[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.ones(NUM_ATOMS, dtype=torch.int64), pos)
    # The first two are before and after the embedding is scaled; a layer's are Y, the message and the new X.
    assert len(kept) == 2 + 3 * NUM_LAYERS
