"""One batch: which label a prediction stands beside."""

from types import SimpleNamespace

import pytest
import torch
from small_models import small_model, two_molecules
from torch_geometric.data import Batch, Data

from torchmdnet.datasets import DatasetError
from torchmdnet.potential.references import FixedReferences
from torchmdnet.training.data_checks import check_data
from torchmdnet.training.evaluation import Comparison
from torchmdnet.training.step import predict

DIPOLES = torch.tensor([[0.1, 0.2, 0.3], [-0.3, 0.0, 0.5]])
ENERGIES = torch.tensor([[-5.0], [2.0]], dtype=torch.float64)


def compared(output_model: str) -> Comparison:
    """Predictions beside labels, of two molecules that have energies and dipoles."""
    z, pos, batch = two_molecules()
    frames = [
        Data(z=z[batch == k], pos=pos[batch == k], y=ENERGIES[k : k + 1], dp=DIPOLES[k : k + 1]) for k in range(2)
    ]
    model = small_model("tensornet", output_model=output_model, derivative=False)
    return predict(
        model,
        Batch.from_data_list(frames),
        hparams={"charge": False, "spin": False},
        references=FixedReferences(model),
        forces=False,
        stress=False,
    )


def test_a_dipole_stands_beside_the_dipole_of_the_data() -> None:
    result = compared("DipoleVector")
    assert result.energy.shape == (2, 3)
    torch.testing.assert_close(result.energy_label, DIPOLES.double())


def test_an_energy_stands_beside_the_energy_of_the_data() -> None:
    torch.testing.assert_close(compared("Scalar").energy_label, ENERGIES)


def test_data_without_a_dipole_are_refused_before_training() -> None:
    dataset = SimpleNamespace(fields=("z", "pos", "neg_dy"), name="ExtXYZ", frames_with_element_from=lambda z: [])
    options = dict.fromkeys(("charge", "spin", "derivative", "standardize", "remove_ref_energy"), False) | {
        "output_model": "DipoleVector",
        "y_weight": 1.0,
        "stress_weight": 0.0,
        "max_z": 10,
    }
    with pytest.raises(DatasetError, match="the data set ExtXYZ has no dp or y for DipoleVector"):
        check_data(dataset, options)
