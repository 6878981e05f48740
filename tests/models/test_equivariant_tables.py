"""Equivariant transformers that read tables: all options, large systems in blocks."""

import copy
from typing import Any

import pytest
import torch
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.models import use_radial_tables
from torchmdnet.nn import atomwise
from torchmdnet.nn.frozen_attention import FrozenAttention
from torchmdnet.nn.tabulated_layer import TabulatedRadial
from torchmdnet.ops import native, vector_exchange
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
    monkeypatch.setitem(native._KERNELS, "atom_projection", frozenset())  # native ops have blocks of their own
    model = small_model("equivariant-transformer", output_model="EquivariantScalar").requires_grad_(False)
    use_radial_tables(model)
    whole = big_system(model)
    monkeypatch.setattr(atomwise, "FEWEST_ATOMS", 1)
    assert_near(big_system(model), whole, 1e-12)


def frozen_and_trainable() -> tuple[TorchMD_Net, TorchMD_Net]:
    """The same model with tables, with weights that are frozen and that are not."""
    trainable = small_model("equivariant-transformer", output_model="EquivariantScalar")
    frozen = copy.deepcopy(trainable).requires_grad_(False)
    for model in (frozen, trainable):
        use_radial_tables(model)
    return frozen, trainable


@pytest.mark.parametrize("most_kept", [0, 512])
def test_frozen_weights_give_the_numbers_of_weights_that_are_not(
    most_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_exchange, "MOST_KEPT", most_kept)
    frozen, trainable = frozen_and_trainable()
    assert_near(frozen(Z, POS, BATCH), trainable(Z, POS, BATCH), 1e-12)


def test_frozen_weights_give_second_derivatives() -> None:
    results = []
    for model in frozen_and_trainable():
        pos = POS.clone().requires_grad_()
        energy = model.compute(Z, pos, BATCH, forces=False).energy
        (first,) = torch.autograd.grad(energy.sum(), pos, create_graph=True)
        results.append(torch.autograd.grad(first.sin().sum(), pos))
    assert_near(results[0], results[1], 1e-11)


def test_training_and_loading_drop_the_copies_of_the_weights() -> None:
    def copies(model: TorchMD_Net) -> int:
        return sum(isinstance(module, FrozenAttention) for module in model.modules())

    frozen, trainable = frozen_and_trainable()
    keys = small_model("equivariant-transformer", output_model="EquivariantScalar").state_dict().keys()
    assert copies(frozen) == copies(trainable) > 0
    assert frozen.state_dict().keys() == keys
    frozen.load_state_dict(frozen.state_dict())
    trainable.train()
    assert copies(frozen) == copies(trainable) == 0
    use_radial_tables(frozen)
    use_radial_tables(frozen, enabled=False)
    assert copies(frozen) == 0


def test_wide_tables_have_few_intervals() -> None:
    model = small_model("equivariant-transformer", num_rbf=64, cutoff_upper=5.0)
    use_radial_tables(model, tolerance=1e-6)
    representation = model.representation_model
    assert isinstance(representation, TabulatedRadial)
    assert representation.table_scale is not None
    assert representation.table_scale.num_intervals <= 512
