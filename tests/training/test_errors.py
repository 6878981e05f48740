"""Errors in physical units."""

import math

import pytest
import torch

from torchmdnet.training.errors import Errors, ErrorSums


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Errors(
        z=torch.tensor([1, 8, 1, 6]),
        num_atoms=torch.tensor([3, 1]),
        energy=torch.randn(2, 1, generator=generator),
        forces=torch.randn(4, 3, generator=generator),
        stress=torch.randn(2, 3, 3, generator=generator),
    )


def rows(*batches, **options):
    sums = ErrorSums(**options)
    for errors in batches:
        sums.update(errors)
    return {row.quantity: row for row in sums.compute()}


def test_energy_is_in_mev_per_system_and_per_atom():
    errors = Errors(
        z=torch.ones(6, dtype=torch.int64), num_atoms=torch.tensor([2, 4]), energy=torch.tensor([[0.2], [-0.4]])
    )
    found = rows(errors)
    assert found["energy"].mae == pytest.approx(300)
    assert found["energy"].rmse == pytest.approx(1000 * math.sqrt((0.04 + 0.16) / 2))
    assert found["energy per atom"].mae == pytest.approx(100)
    assert found["energy per atom"].unit == "meV/atom"


def test_energies_in_another_unit_are_told_in_it():
    errors = Errors(
        z=torch.ones(2, dtype=torch.int64),
        num_atoms=torch.tensor([2]),
        energy=torch.tensor([[0.2]]),
        forces=torch.ones(2, 3),
    )
    found = rows(errors, energy_unit="kcal/mol")
    assert found["energy"].mae == pytest.approx(0.2)
    assert [found[name].unit for name in ("energy", "forces")] == ["kcal/mol", "kcal/mol/Å"]


def test_forces_are_compared_by_component():
    errors = batch()
    found = rows(errors)
    assert found["forces"].mae == pytest.approx(1000 * errors.forces.abs().mean().item())
    assert found["forces"].rmse == pytest.approx(1000 * errors.forces.square().mean().sqrt().item())
    assert found["forces"].num_values == 12


def test_forces_are_kept_apart_by_element():
    errors = batch()
    found = rows(errors)
    assert found["forces on H"].mae == pytest.approx(1000 * errors.forces[errors.z == 1].abs().mean().item())
    assert {name for name in found if name.startswith("forces on")} == {"forces on H", "forces on C", "forces on O"}


def test_batches_add_up():
    first, second = batch(0), batch(1)
    whole = Errors(*(torch.cat([a, b]) for a, b in zip(first, second, strict=True)))
    assert rows(first, second)["stress"].rmse == pytest.approx(rows(whole)["stress"].rmse)


def test_what_has_no_label_has_no_row():
    errors = batch()._replace(stress=None, energy=None)
    assert set(rows(errors)) == {"forces", "forces on H", "forces on C", "forces on O"}


def test_an_output_that_is_no_energy_has_no_unit():
    errors = batch()._replace(forces=None, stress=None)
    found = rows(errors, is_energy=False)
    assert list(found) == ["prediction"]
    assert found["prediction"].mae == pytest.approx(errors.energy.abs().mean().item())
