"""Leave out light atoms after the representation."""

import pytest
import torch
from small_models import small_model, two_molecules


def test_drops_the_terms_of_light_atoms() -> None:
    z, pos, batch = two_molecules()
    plain, filtered = (small_model("tensornet", atom_filter=k, derivative=False) for k in (-1, 1))
    terms = plain.compute(z, pos, batch, forces=False, energies=True).energies
    assert terms is not None
    expected = torch.zeros(2, 1, dtype=torch.float64).index_add_(0, batch[z > 1], terms[z > 1])
    torch.testing.assert_close(filtered(z, pos, batch)[0], expected)


def test_works_with_a_box() -> None:
    z, pos, batch = two_molecules()
    box = 20 * torch.eye(3, dtype=torch.float64)
    model = small_model("equivariant-transformer", atom_filter=1, derivative=False)
    torch.testing.assert_close(model(z, pos, batch, box=box)[0], model(z, pos, batch)[0])


def test_images_of_light_atoms_take_part_though_they_leave_no_term() -> None:
    z, pos, batch = two_molecules()
    box = torch.tensor([[4.5, 0.0, 0.0], [1.0, 5.0, 0.0], [0.5, -1.0, 4.0]], dtype=torch.float64)
    plain, filtered = (small_model("tensornet", atom_filter=k, derivative=False) for k in (-1, 1))
    terms = plain.compute(z, pos, batch, box=box, forces=False, energies=True).energies
    assert terms is not None
    expected = torch.zeros(2, 1, dtype=torch.float64).index_add_(0, batch[z > 1], terms[z > 1])
    for given in (box, box.expand(2, 3, 3)):
        torch.testing.assert_close(filtered(z, pos, batch, box=given)[0], expected)
    assert float((filtered(z, pos, batch)[0] - expected).detach().abs().min()) > 1e-6


def test_a_system_without_heavy_atoms_is_named() -> None:
    model = small_model("tensornet", atom_filter=6, derivative=False)
    with pytest.raises(ValueError, match="atom_filter 6 leaves no atom in system 1"):
        model(torch.tensor([8, 6, 1]), torch.randn(3, 3, dtype=torch.float64), torch.tensor([0, 1, 1]))


def test_forces_are_refused() -> None:
    with pytest.raises(ValueError, match="forces are not defined: use derivative=False"):
        small_model("tensornet", atom_filter=1, derivative=True)


def test_weights_lie_below_the_wrapped_model() -> None:
    names = small_model("tensornet", atom_filter=1, derivative=False).state_dict()
    assert "representation_model.model.distance.box" in names
