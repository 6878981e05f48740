"""Constants of the energy are taken from the label in float64."""

import pytest
import torch
from torch_geometric.data import Batch, Data

from torchmdnet.config import Config
from torchmdnet.factory import create_model
from torchmdnet.potential.references import FixedReferences
from torchmdnet.priors import Atomref, LearnableAtomref
from torchmdnet.training.step import predict

OPTIONS = Config.from_dict(
    {"model": "tensornet", "embedding_dimension": 8, "num_layers": 1, "num_rbf": 8, "derivative": True, "max_z": 10}
).to_dict()
TABLE = torch.tensor([0.0, -13.6, 0, 0, 0, 0, -1030.567, 0, -2042.61]).reshape(-1, 1)
Z, SYSTEM = torch.tensor([8, 1, 1, 6]), torch.tensor([0, 0, 0, 1])


def make(prior, **given):
    torch.manual_seed(0)
    options = OPTIONS | given
    model = create_model(options, [prior])
    return model, FixedReferences(model)


def atomref(**arguments):
    prior = Atomref(max_z=9, **arguments)
    prior.set_reference(TABLE)
    return prior


def batch(energy):
    frames = Data(
        z=torch.tensor([8, 1, 1]),
        pos=torch.tensor([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], dtype=torch.float64),
        y=torch.tensor([[energy]], dtype=torch.float64),
        neg_dy=torch.zeros(3, 3, dtype=torch.float64),
    )
    return Batch.from_data_list([frames])


def compare(model, references, energy, options=OPTIONS):
    return predict(model, batch(energy), hparams=options, references=references, forces=True, stress=False)


@pytest.mark.parametrize("enable", [True, False])
def test_adds_up_the_table_over_the_atoms_of_each_system(enable):
    _, references = make(atomref(enable=enable))
    energy = references.energy(Z, SYSTEM, num_systems=2)
    table = TABLE.float().double()
    torch.testing.assert_close(energy, torch.stack([table[8] + 2 * table[1], table[6]]))


def test_a_table_in_training_stays_in_the_prediction():
    model, references = make(LearnableAtomref(max_z=9))
    assert references.energy(Z, SYSTEM, num_systems=2) is None
    with references.left_out():
        assert model.prior_model[0].enable


def test_the_table_of_a_mean_over_atoms_stays_in_the_prediction():
    _, references = make(atomref(), reduce_op="mean")
    assert references.energy(Z, SYSTEM, num_systems=2) is None


def test_prior_is_on_again_after_a_step():
    model, references = make(atomref())
    compare(model, references, -2069.0)
    assert model.prior_model[0].enable


@pytest.mark.parametrize("derivative", [True, False])
def test_error_is_the_same_as_with_the_constants_in_the_prediction(derivative):
    model, references = make(atomref(), precision=64)
    model.double()
    comparison = compare(model, references, -2069.5)
    whole = model.compute(batch(0.0).z, batch(0.0).pos).energy
    torch.testing.assert_close(comparison.energy - comparison.energy_label, whole + 2069.5, atol=1e-9, rtol=0)


def test_keeps_energies_that_float32_loses():
    """Two energies 0.01 meV apart, of a molecule of -2000 eV, are the same number in float32."""
    model, references = make(atomref())
    labels = [compare(model, references, energy).energy_label.float().item() for energy in (-2069.5, -2069.50001)]
    assert torch.tensor(-2069.5, dtype=torch.float32) == torch.tensor(-2069.50001, dtype=torch.float32)
    assert labels[0] - labels[1] == pytest.approx(1e-5, rel=0.1)


def test_remove_ref_energy_leaves_the_prediction_without_them():
    model, references = make(atomref(enable=False))
    comparison = compare(model, references, -2069.5)
    alone = model.eval().compute(batch(0.0).z, batch(0.0).pos).energy
    torch.testing.assert_close(comparison.energy.detach(), alone)
    assert comparison.energy_label.item() == pytest.approx(-2069.5 - (TABLE[8] + 2 * TABLE[1]).item(), abs=1e-3)
