"""What runs on a GPU gives the numbers of the CPU."""

import pytest
import torch

from torchmdnet.config import Config
from torchmdnet.factory import create_model
from torchmdnet.models import MODELS

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("periodic", [False, True])
def test_energy_forces_and_stress_are_those_of_the_cpu(name, periodic):
    torch.manual_seed(0)
    small = {"model": name, "embedding_dimension": 16, "num_layers": 2, "num_rbf": 8, "num_heads": 2, "max_z": 10}
    model = create_model(Config.from_dict(small | {"derivative": True, "precision": 64}).to_dict()).eval()
    z = torch.randint(1, 10, (24,))
    pos = 6 * torch.rand(24, 3, dtype=torch.float64)
    batch = torch.arange(24) // 12
    box = torch.tensor([[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [0.5, -1.0, 7.0]], dtype=torch.float64) if periodic else None
    on_cpu = model.compute(z, pos, batch, box=box, stress=periodic)
    model.cuda()
    on_gpu = model.compute(z.cuda(), pos.cuda(), batch.cuda(), box=None if box is None else box.cuda(), stress=periodic)
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-9, atol=1e-9)
