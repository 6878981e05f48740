"""Maps of single atoms give the same whether they run on all atoms at once or on blocks of them."""

import pytest
import torch
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.models import use_radial_tables
from torchmdnet.nn import atomwise as module
from torchmdnet.nn.atomwise import atomwise

Z, POS, BATCH = two_molecules()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEWEST_ATOMS", 1)
    monkeypatch.setattr(module, "ATOMS_AT_ONCE", 3)


def products(x: Tensor, y: Tensor | None, scale: Tensor) -> tuple[Tensor, Tensor]:
    return x.sin() * scale + (0 if y is None else y.sum(0)), (x * scale).sum(0)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn((2, 9, 8, 4), generator=random, dtype=torch.float64)
    scale = torch.randn((8, 1), generator=random, dtype=torch.float64)
    return x.requires_grad_(), y.requires_grad_(), scale


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("has_y", [True, False])
def test_blocks_have_the_values_and_gradients_of_the_whole(has_y: bool) -> None:
    results = []
    for saves_memory in (False, True):
        x, y, scale = inputs()
        first, second = atomwise(products, x, y if has_y else None, scale, saves_memory=saves_memory)
        leaves = (x, y) if has_y else (x,)
        gradients = torch.autograd.grad(first.cos().sum() + second.sin().sum(), leaves)
        results.append((first.detach(), second.detach(), *gradients))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("small_blocks")
def test_a_result_that_is_not_used_has_no_gradient() -> None:
    x, y, scale = inputs()
    first, _ = atomwise(products, x, y, scale, saves_memory=True)
    (by_x,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(by_x, x.detach().cos() * scale)


@pytest.mark.usefixtures("small_blocks")
def test_a_frozen_model_in_blocks_has_the_same_energies_and_forces() -> None:
    model = small_model("tensornet")
    use_radial_tables(model)
    expected = model(Z, POS, BATCH, q=torch.tensor([0, 1]))
    got = model.requires_grad_(False)(Z, POS, BATCH, q=torch.tensor([0, 1]))
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("small_blocks")
def test_weights_that_are_trained_keep_their_gradients() -> None:
    model = small_model("tensornet")
    use_radial_tables(model)
    energy = model.compute(Z, POS, BATCH, forces=False).energy
    weight = model.representation_model.linear.weight  # type: ignore[union-attr]
    assert torch.autograd.grad(energy.sum(), weight)[0].any()  # type: ignore[arg-type]
