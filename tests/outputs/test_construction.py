"""Heads are made as those of TorchMD-NET are: the same arguments by name, and in the same order."""

import warnings

import pytest
import torch
from small_models import small_model, two_molecules

from torchmdnet.models.output_modules import OUTPUTS, EquivariantVectorOutput, OutputModel, Scalar
from torchmdnet.outputs import ScalarPlusWeightedCoulomb
from torchmdnet.potential import TorchMD_Net
from torchmdnet.priors import Atomref

HEADS = sorted(set(OUTPUTS.values()), key=lambda head: head.__name__)
ALLOW = {"Scalar", "EquivariantScalar", "ScalarPlusWeightedCoulomb"}
HANDED_TO_ALL = {
    "num_hidden_layers": 0,
    "num_layers": 0,
    "q_dim": 0,
    "q_weights": [],
    "coulomb_cutoff": None,
    "coulomb_max_num_neighbors": None,
    "coulomb_neighbor_strategy": "brute",
}
"""What TorchMD-NET's own factory hands to a head that has no charges."""


@pytest.mark.parametrize("head", HEADS)
def test_arguments_stand_in_the_order_of_torchmd_net(head: type[OutputModel]) -> None:
    named = {"hidden_channels": 8, "activation": "tanh"}
    named |= {"allow_prior_model": False} if head.__name__ in ALLOW else {}
    named |= {"reduce_op": "mean", "dtype": torch.float64, "static_shapes": True}
    torch.manual_seed(0)
    by_name = head(**named)
    torch.manual_seed(0)
    by_position = head(*named.values())
    for made in (by_name, by_position):
        assert (made.allow_prior_model, made.reduce_op) == (False, "mean")
        assert {value.dtype for value in made.state_dict().values()} == {torch.float64}
        assert any(isinstance(module, torch.nn.Tanh) for module in made.modules())
    for key, value in by_name.state_dict().items():
        torch.testing.assert_close(by_position.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("head", HEADS)
def test_energies_alone_allow_priors_by_default(head: type[OutputModel]) -> None:
    assert head(8).allow_prior_model is (head.__name__ in ALLOW)
    assert head(8, allow_prior_model=True).allow_prior_model is True


def test_a_head_that_is_told_to_allow_no_priors_drops_them_with_a_warning() -> None:
    parts = small_model("tensornet")
    prior = Atomref(max_z=10)
    with torch.no_grad():
        prior.atomref.weight.fill_(1.0)
    with pytest.warns(UserWarning, match="Scalar allows no priors: Atomref are left out"):
        model = TorchMD_Net(
            parts.representation_model,
            Scalar(8, allow_prior_model=False, dtype=torch.float64),
            prior_model=prior,
            dtype=torch.float64,
        ).eval()
    model.output_model.load_state_dict(parts.output_model.state_dict())
    z, pos, batch = two_molecules()
    assert model.prior_model is None
    torch.testing.assert_close(model(z, pos, batch)[0], parts(z, pos, batch)[0])


@pytest.mark.parametrize("head", [head for head in HEADS if head is not ScalarPlusWeightedCoulomb])
def test_what_torchmd_net_hands_to_every_head_is_accepted(head: type[OutputModel]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head(8, **HANDED_TO_ALL)


@pytest.mark.parametrize("head", HEADS)
def test_a_misspelt_option_names_the_right_one(head: type[OutputModel]) -> None:
    message = rf"'reduce_opp' is not an option of {head.__name__}; did you mean 'reduce_op'\?"
    with pytest.raises(TypeError, match=message):
        head(8, reduce_opp="mean")


def test_an_option_that_resembles_none_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'zzz' is not an option of Scalar$"):
        Scalar(8, zzz=1)


@pytest.mark.parametrize(("option", "value"), [("output_mlp_num_layers", 2), ("q_weights", [1.0]), ("q_dim", 4)])
def test_an_option_that_has_no_effect_is_told(option: str, value: object) -> None:
    with pytest.warns(UserWarning, match=rf"Scalar has no {option}: .* has no effect"):
        Scalar(8, **{option: value})


def test_reduction_in_the_place_of_the_priors_is_told() -> None:
    with pytest.raises(TypeError, match="allow_prior_model: got 'mean', expected true, false or None; in heads of"):
        Scalar(8, "silu", "mean")


def test_vectors_are_added_whatever_the_reduction() -> None:
    head = EquivariantVectorOutput(8, reduce_op="mean", dtype=torch.float64)
    x, batch = torch.ones(4, 3, dtype=torch.float64), torch.tensor([0, 0, 1, 0])
    torch.testing.assert_close(head.reduce(x, batch, num_systems=2)[:, 0], torch.tensor([3.0, 1.0]).double())


def test_the_charges_head_knows_the_names_of_torchmd_net() -> None:
    ours = ScalarPlusWeightedCoulomb(8, coulomb_cutoff=7.0, output_mlp_num_layers=1)
    theirs = ScalarPlusWeightedCoulomb(8, "silu", True, "add", torch.float32, False, 7.0, num_hidden_layers=1)
    assert theirs.distance.cutoff_upper == ours.distance.cutoff_upper == 7.0
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    with pytest.raises(ValueError, match=r"coulomb_cutoff and cutoff: got 6\.0 and 7\.0, two values of one"):
        ScalarPlusWeightedCoulomb(8, cutoff=7.0, coulomb_cutoff=6.0)
