"""Charges that add up to those of their systems."""

import pytest
import torch

from torchmdnet.graph import System
from torchmdnet.nn.charge_predictor import equilibrated_charges

BATCH = torch.tensor([1, 0, 1, 0, 1])


def system(q: torch.Tensor | None) -> System:
    return System(z=torch.ones(5), pos=torch.zeros(5, 3), batch=BATCH, num_systems=2, q=q)


def make() -> tuple[torch.Tensor, torch.Tensor]:
    """Charges and freedoms of five atoms."""
    generator = torch.Generator().manual_seed(0)
    charge = torch.randn((5, 3), generator=generator, dtype=torch.float64)
    return charge, torch.rand((5, 3), generator=generator, dtype=torch.float64) + 0.5


@pytest.mark.parametrize("q", [None, torch.tensor([1.0, -2.0], dtype=torch.float64)])
def test_charges_add_up_to_that_of_their_system(q: torch.Tensor | None) -> None:
    charges = equilibrated_charges(*make(), system(q))
    total = torch.zeros(2, 3, dtype=torch.float64).index_add(0, BATCH, charges)
    expected = torch.zeros(2, 3).double() if q is None else q[:, None].expand(2, 3)
    # 1e-6 is added to the sum of squared freedoms, which lets as much of the charge go missing.
    torch.testing.assert_close(total, expected, rtol=0, atol=1e-5)


def test_atoms_change_in_proportion_to_their_squared_freedom() -> None:
    charge, freedom = make()
    change = (equilibrated_charges(charge, freedom, system(None)) - charge) / freedom.square()
    for k in range(2):
        own = change[k == BATCH]
        torch.testing.assert_close(own, own[:1].expand_as(own))


def test_atoms_without_freedom_keep_their_charges() -> None:
    charge, freedom = make()
    torch.testing.assert_close(equilibrated_charges(charge, 0 * freedom, system(None)), charge)
