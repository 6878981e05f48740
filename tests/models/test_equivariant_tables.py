"""Equivariant transformers that read tables: all options, large systems in blocks."""

from typing import Any

import pytest
import torch
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.models import use_radial_tables
from torchmdnet.nn import atomwise
from torchmdnet.nn.tabulated_layer import TabulatedRadial
from torchmdnet.potential import TorchMD_Net

Z, POS, BATCH = two_molecules()


def assert_near(values: tuple[Tensor, ...], exact: tuple[Tensor, ...], tolerance: float) -> None:
    """The tolerance is relative to the largest entry."""
    for value, expected in zip(values, exact, strict=True):
        if value.numel():
            largest = float(expected.detach().abs().max())
            torch.testing.assert_close(value, expected, rtol=0, atol=tolerance * largest)


OPTIONS = [
    {
        "distance_influence": influence,
        "vector_cutoff": vector_cutoff,
        "attn_activation": act,
        "neighbor_embedding": near,
    }
    for influence in ("keys", "values", "both", "none")
    for vector_cutoff, act, near in (
        (True, "silu", True),
        (False, "silu", False),
        (True, "tanh", False),
        (False, "tanh", True),
    )
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_every_option_gives_the_numbers_of_the_exact_model(options: dict[str, Any]) -> None:
    model = small_model("equivariant-transformer", output_model="EquivariantScalar", **options)
    box = 5 * torch.eye(3, dtype=torch.float64)
    exact = model(Z, POS, BATCH, box)
    use_radial_tables(model)
    assert_near(model(Z, POS, BATCH, box), exact, 2e-6)


def big_system(model: TorchMD_Net) -> tuple[Tensor, ...]:
    """Energy and forces of enough atoms to be treated in two blocks and a bit."""
    copies = 2 * atomwise.ATOMS_AT_ONCE // 8 + 1
    shift = 20 * torch.arange(copies, dtype=torch.float64)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])
    energy, forces = model(Z.repeat(copies), (POS + shift).flatten(0, 1))
    return energy, forces


def test_atoms_in_blocks_give_the_same_energy_and_forces(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model("equivariant-transformer", output_model="EquivariantScalar").requires_grad_(False)
    use_radial_tables(model)
    whole = big_system(model)
    monkeypatch.setattr(atomwise, "FEWEST_ATOMS", 1)
    assert_near(big_system(model), whole, 1e-12)


def test_wide_tables_have_few_intervals() -> None:
    model = small_model("equivariant-transformer", num_rbf=64, cutoff_upper=5.0)
    use_radial_tables(model, tolerance=1e-6)
    representation = model.representation_model
    assert isinstance(representation, TabulatedRadial)
    assert representation.table_scale is not None
    assert representation.table_scale.num_intervals <= 512
