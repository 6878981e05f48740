"""The units that a table of errors tells are those of the data; references are removed from energies alone."""

import pytest
import torch
from torch_geometric.data import Data

from torchmdnet.datasets import DatasetError
from torchmdnet.datasets.sample_dataset import SampleDataset
from torchmdnet.training.data_checks import check_data
from torchmdnet.training.errors import Errors, ErrorSums


def test_forces_are_told_in_the_length_unit_of_the_data():
    sums = ErrorSums(energy_unit="Hartree", length_unit="Bohr")
    zeros = torch.zeros(1, 3, 3)
    sums.update(Errors(torch.tensor([1]), torch.tensor([1]), torch.ones(1, 1), zeros[0, :1], zeros))
    units = {row.quantity: row.unit for row in sums.compute()}
    expected = {"energy": "Hartree", "energy per atom": "Hartree/atom", "forces": "Hartree/Bohr"}
    assert units == expected | {"stress": "Hartree/Bohr³", "forces on H": "Hartree/Bohr"}


class Samples(list):
    """Frames of a user's own."""

    length_unit = "nm"


def test_a_data_set_of_the_users_own_tells_its_length_unit():
    samples = Samples([Data(z=torch.tensor([1]), pos=torch.zeros(1, 3), neg_dy=torch.zeros(1, 3))])
    assert (SampleDataset(samples).energy_unit, SampleDataset(samples).length_unit) == ("eV", "nm")


OPTIONS = {"charge": False, "spin": False, "max_z": 10, "derivative": True, "y_weight": 0.0, "neg_dy_weight": 1.0}
OPTIONS |= {"stress_weight": 0.0, "standardize": False, "remove_ref_energy": True, "output_model": "Scalar"}


def test_references_of_data_without_energies_are_refused():
    data = SampleDataset([Data(z=torch.tensor([1]), pos=torch.zeros(1, 3), neg_dy=torch.zeros(1, 3))])
    with pytest.raises(DatasetError, match="remove_ref_energy: true, but the data set list has no energies to remove"):
        check_data(data, OPTIONS)


def test_references_of_a_dipole_are_refused():
    data = SampleDataset([Data(z=torch.tensor([1]), pos=torch.zeros(1, 3), y=torch.zeros(1, 1))])
    options = OPTIONS | {"output_model": "DipoleMoment", "derivative": False, "y_weight": 1.0}
    with pytest.raises(DatasetError, match="remove_ref_energy: true, but DipoleMoment gives no energies"):
        check_data(data, options)
