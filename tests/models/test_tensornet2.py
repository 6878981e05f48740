"""TensorNet2."""

import warnings

import pytest
import torch
from small_models import small_model, two_molecules

from torchmdnet.graph import System
from torchmdnet.models import use_radial_tables
from torchmdnet.models.atom_filter import AtomFilter
from torchmdnet.models.tensornet import TensorNet
from torchmdnet.models.tensornet2 import TensorNet2

H, R, K = 8, 6, 3
Q = torch.tensor([1.0, -2.0], dtype=torch.float64)


def system(q: torch.Tensor | None = Q) -> System:
    z, pos, batch = two_molecules()
    return System(z=z, pos=pos, batch=batch, num_systems=2, q=q)


def model(**changes: object) -> TensorNet2:
    torch.manual_seed(2)
    given = {"num_layers": 2, "num_rbf": R, "max_z": 10, "q_dim": K, "dtype": torch.float64} | changes
    return TensorNet2(H, **given)


def test_state_is_that_of_tensornet_and_charge_predictors() -> None:
    own = {name: tuple(value.shape) for name, value in model().state_dict().items()}
    plain = TensorNet(H, num_layers=2, num_rbf=R, max_z=10).state_dict()
    expected = {name: tuple(value.shape) for name, value in plain.items()}
    for layer in range(2):
        expected[f"layers.{layer}.linears_scalar.0.weight"] = (H, R + 2 * K)
    for name in ("charge_predict_0", "charge_predicts.0", "charge_predicts.1"):
        expected |= {f"{name}.q_norm.weight": (3 * H,), f"{name}.q_norm.bias": (3 * H,)}
        for layer, (fan_out, fan_in) in {0: (H, 3 * H), 2: (H, H), 4: (2 * K, H)}.items():
            expected[f"{name}.q_mlp.layers.{layer}.weight"] = (fan_out, fan_in)
            expected[f"{name}.q_mlp.layers.{layer}.bias"] = (fan_out,)
    assert own == expected


@pytest.mark.parametrize("q", [Q, None])
def test_charges_of_each_set_add_up_to_the_charge_of_the_system(q: torch.Tensor | None) -> None:
    atoms = system(q)
    charges = model().represent(atoms).charges
    assert charges is not None
    assert charges.shape == (8, 3, K)
    total = torch.zeros(2, 3, K, dtype=torch.float64).index_add(0, atoms.batch, charges)
    expected = (torch.zeros_like(Q) if q is None else Q)[:, None, None].expand(2, 3, K)
    # 1e-6 is added to the sum of squared freedoms, which is some 1e-3 for weights that nobody trained.
    torch.testing.assert_close(total, expected, rtol=0, atol=3e-3)


def test_charges_turn_neither_with_the_molecule_nor_in_a_mirror() -> None:
    atoms = system()
    charges = model().represent(atoms).charges
    mirrored = model().represent(atoms._replace(pos=-atoms.pos)).charges
    torch.testing.assert_close(mirrored, charges)


def test_the_total_charge_changes_the_energy() -> None:
    z, pos, batch = two_molecules()
    potential = small_model("tensornet2")
    neutral, charged = potential(z, pos, batch)[0], potential(z, pos, batch, q=Q)[0]
    assert float((neutral - charged).abs().min()) > 1e-6


def test_the_message_of_a_pair_depends_on_its_direction() -> None:
    """Receiver's and sender's charges go into different columns: swapping them changes the result."""
    first = model(num_layers=1)
    second = model(num_layers=1)
    weight = second.layers[0].linears_scalar[0].weight
    with torch.no_grad():
        weight.copy_(torch.cat([weight[:, :R], weight[:, R + K :], weight[:, R : R + K]], dim=1))
    difference = first.represent(system()).x - second.represent(system()).x
    assert float(difference.detach().abs().max()) > 1e-6


@pytest.mark.parametrize("options", [{}, {"q_dim": 0}, {"activation": "tanh"}, {"trainable_rbf": True}], ids=str)
@pytest.mark.parametrize(("precision", "tolerance"), [(64, 1e-11), (32, 1e-4)])
@pytest.mark.parametrize("tables", [False, True], ids=["exact", "tables"])
@pytest.mark.filterwarnings("ignore:TensorNet2 ignores the charges q:UserWarning")
def test_frozen_weights_give_the_same_numbers(
    options: dict[str, object], precision: int, tolerance: float, tables: bool
) -> None:
    z, pos, batch = two_molecules()
    potential = small_model("tensornet2", precision=precision, **options)
    if tables:
        use_radial_tables(potential)
    results = []
    for trained in (True, False):
        potential.requires_grad_(trained)
        results.append(potential(z, pos.to(potential.mean.dtype), batch, q=Q))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("tables", [False, True], ids=["exact", "tables"])
def test_frozen_weights_have_right_second_derivatives(tables: bool) -> None:
    z, pos, _ = two_molecules()
    potential = small_model("tensornet2", embedding_dimension=4, num_layers=1, num_rbf=3).requires_grad_(False)
    if tables:
        use_radial_tables(potential)
    pos = pos[:3].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda r: potential.compute(z[:3], r, forces=False).energy, pos)


def test_without_charges_a_total_charge_is_said_to_be_ignored() -> None:
    z, pos, batch = two_molecules()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        potential = small_model("tensornet2", q_dim=0)
        potential.reset_parameters()
    assert potential.state_dict()["representation_model.charge_predict_0.q_mlp.layers.4.weight"].shape == (0, 8)
    with pytest.warns(UserWarning, match="TensorNet2 ignores the charges q"):
        potential(z, pos, batch, q=Q)


def test_starts_with_xavier_weights_where_charges_are_predicted() -> None:
    network = model()
    network.reset_parameters()
    layer = network.charge_predict_0.q_mlp.layers[2]
    assert float(layer.weight.detach().abs().max()) <= (6 / (2 * H)) ** 0.5
    assert not layer.bias.detach().any()
    assert network.linear.bias.detach().any()


def test_a_negative_number_of_charges_is_refused() -> None:
    with pytest.raises(ValueError, match="q_dim must be at least 0; got -1"):
        TensorNet2(H, q_dim=-1)


@pytest.mark.parametrize("num_layers", [0, 2])
def test_a_call_appends_the_charges_if_asked_for(num_layers: int) -> None:
    z, pos, batch = two_molecules()
    plain, changed = (model(num_layers=num_layers, output_charges=is_asked) for is_asked in (False, True))
    features = plain.represent(system())
    assert features.charges is not None
    x = changed(z, pos, batch, q=Q)[0]
    assert x.shape == (8, H + (num_layers + 1) * K)
    torch.testing.assert_close(x[:, :H], plain(z, pos, batch, q=Q)[0], rtol=0, atol=0)
    for layer in range(num_layers + 1):
        own = x[:, H + layer * K : H + (layer + 1) * K]
        torch.testing.assert_close(own, features.charges[:, layer], rtol=0, atol=0)


def test_a_model_without_charges_has_none_to_append() -> None:
    z, pos, batch = two_molecules()
    assert model(q_dim=0, output_charges=True)(z, pos, batch)[0].shape == (8, H)


def test_atoms_left_out_have_no_charges_either() -> None:
    z, pos, batch = two_molecules()
    whole = model(output_charges=True)
    filtered = AtomFilter(whole, 1)(z, pos, batch, q=Q)[0]
    torch.testing.assert_close(filtered, whole(z, pos, batch, q=Q)[0][z > 1], rtol=0, atol=0)


def test_heads_read_the_charges_in_any_case() -> None:
    z, pos, batch = two_molecules()
    plain, changed = (
        small_model("tensornet2", output_model="ScalarPlusWeightedCoulomb", q_dim=K, output_charges=is_asked)
        for is_asked in (False, True)
    )
    changed.load_state_dict(plain.state_dict())
    torch.testing.assert_close(changed(z, pos, batch, q=Q), plain(z, pos, batch, q=Q), rtol=0, atol=0)
    assert changed.representation_model.output_charges


def test_a_charge_without_effect_says_how_to_have_one() -> None:
    z, pos, batch = two_molecules()
    message = r"^TensorNet2 ignores the charges q; models that use them: tensornet, tensornet2 with q_dim >= 1$"
    with pytest.warns(UserWarning, match=message):
        small_model("tensornet2", q_dim=0)(z, pos, batch, q=Q)
