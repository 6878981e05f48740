"""Radial networks as tables: the scale of their knots, their accuracy, and what is refused."""

import copy

import pytest
import torch
from torch import Tensor, nn

from torchmdnet.models.tensornet import Interaction
from torchmdnet.nn.activations import act_class_mapping
from torchmdnet.nn.distance_functions import DistanceFunctions, functions_of_distance
from torchmdnet.nn.jets import jet_linear
from torchmdnet.nn.radial import RadialBasis, radial_basis
from torchmdnet.nn.radial_tables import TableScale, build_tables, decay_with_knot_at
from torchmdnet.nn.tabulated_layer import TabulatedLayer
from torchmdnet.nn.tensor_layers import TensorEmbedding
from torchmdnet.ops.radial_table import interpolate

UPPER = 4.5


def basis(name: str = "expnorm", *, lower: float = 0.0, num_rbf: int = 8) -> RadialBasis:
    return radial_basis(name, lower, cutoff_upper=UPPER, num_rbf=num_rbf, trainable=False, dtype=torch.float64)


def layers(activation: str = "silu", *, num_rbf: int = 8) -> list[TabulatedLayer]:
    """Both kinds of TensorNet."""
    torch.manual_seed(1)
    act = act_class_mapping[activation]
    made = [TensorEmbedding(4, num_rbf, max_z=3, activation=act), Interaction(4, num_rbf, activation=act, group="O(3)")]
    return [layer.double() for layer in made]


def weights(layer: nn.Module, functions: DistanceFunctions) -> Tensor:
    assert isinstance(layer, TabulatedLayer)
    return layer.distance_weights(functions)


def exact(layer: nn.Module, radial: RadialBasis, distance: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and their derivatives by the distance, by plain autograd. -> (P, 12) each"""
    distance = distance.detach().clone().requires_grad_()
    values = weights(layer, functions_of_distance(distance, radial, second_derivatives=True)).flatten(1)
    slopes = [torch.autograd.grad(column.sum(), distance, retain_graph=True)[0] for column in values.unbind(1)]
    return values.detach(), torch.stack(slopes, 1)


def errors(tables: list[Tensor], scale: TableScale, made: list[TabulatedLayer], radial: RadialBasis) -> list[float]:
    """Largest error of values and of slopes at random distances, relative to the largest; of each layer."""
    random = torch.Generator().manual_seed(2)
    span = UPPER - radial.cutoff_lower
    distance = radial.cutoff_lower + span * torch.rand(3000, generator=random, dtype=torch.float64)
    s = scale.coordinate(distance)
    found: list[float] = []
    for table, layer in zip(tables, made, strict=True):
        by_distance = interpolate(table, s, order=1) * scale.slope(distance)[:, None, None]
        pairs = zip((interpolate(table, s), by_distance), exact(layer, radial, distance), strict=True)
        found += [float((ours.flatten(1) - theirs).abs().max() / theirs.abs().max()) for ours, theirs in pairs]
    return found


class TestScale:
    SCALE = TableScale(UPPER, 640)
    DISTANCES = torch.linspace(0, UPPER, 200, dtype=torch.float64)

    def test_counts_intervals_from_the_cutoff_inwards(self) -> None:
        ends = torch.tensor([UPPER, 0.0], dtype=torch.float64)
        torch.testing.assert_close(self.SCALE.coordinate(ends), torch.tensor([0.0, 640.0], dtype=torch.float64))

    @pytest.mark.parametrize("decay", [1.0, 3.5])
    def test_distance_is_the_inverse_of_the_coordinate(self, decay: float) -> None:
        scale = TableScale(UPPER, 640, decay)
        torch.testing.assert_close(scale.distance(scale.coordinate(self.DISTANCES)), self.DISTANCES)

    def test_slope_is_the_derivative_of_the_coordinate(self) -> None:
        step = 1e-5
        plus, minus = (self.SCALE.coordinate(self.DISTANCES + shift) for shift in (step, -step))
        torch.testing.assert_close((plus - minus) / (2 * step), self.SCALE.slope(self.DISTANCES), rtol=1e-7, atol=0)

    def test_knots_are_denser_near_the_atom(self) -> None:
        knots = self.SCALE.distance(torch.arange(641, dtype=torch.float64))
        spacings = -knots.diff()
        assert bool((spacings.diff() < 0).all())

    def test_float32_places_a_distance_within_a_thousandth_of_an_interval(self) -> None:
        scale = TableScale(UPPER, 2048)
        exact_place = scale.coordinate(self.DISTANCES)
        assert float((scale.coordinate(self.DISTANCES.float()) - exact_place).abs().max()) < 1e-3

    @pytest.mark.parametrize("lower", [0.05, 0.6, 2.0, 4.0])
    @pytest.mark.parametrize("num_intervals", [512, 2048])
    def test_a_lower_cutoff_is_a_knot(self, lower: float, num_intervals: int) -> None:
        scale = TableScale(UPPER, num_intervals, decay_with_knot_at(lower, UPPER))
        place = float(scale.coordinate(torch.tensor(lower, dtype=torch.float64)))
        assert place == pytest.approx(round(place), abs=1e-9)
        assert 2 < scale.decay < 5


@pytest.mark.parametrize("lower", [0.0, 0.7])
@pytest.mark.parametrize("name", ["expnorm", "gauss"])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
def test_tables_keep_their_tolerance_at_any_distance(name: str, lower: float, tolerance: float) -> None:
    radial, made = basis(name, lower=lower), layers()
    scale, tables = build_tables(made, radial, weights=weights, tolerance=tolerance)
    # Probes between knots find the largest error to a few percent.
    assert max(errors(tables, scale, made, radial)) < 1.1 * tolerance


@pytest.mark.parametrize("activation", sorted(act_class_mapping))
def test_tables_of_every_activation_keep_their_tolerance(activation: str) -> None:
    radial, made = basis(), layers(activation)
    scale, tables = build_tables(made, radial, weights=weights, tolerance=1e-6)
    assert max(errors(tables, scale, made, radial)) < 1.1e-6


@pytest.mark.parametrize("lower", [0.0, 0.7])
def test_weights_of_a_self_pair_are_exact(lower: float) -> None:
    radial, made = basis(lower=lower), layers()
    scale, tables = build_tables(made, radial, weights=weights, tolerance=1e-4)
    zero = torch.zeros(1, dtype=torch.float64)
    for layer, table in zip(made, tables, strict=True):
        expected, _ = exact(layer, radial, zero)
        torch.testing.assert_close(
            interpolate(table, scale.coordinate(zero)).flatten(1), expected, rtol=1e-9, atol=1e-12
        )


def test_weights_end_smoothly_at_the_cutoff() -> None:
    made = layers()
    scale, tables = build_tables(made, basis(), weights=weights, tolerance=1e-4)
    s = scale.coordinate(torch.tensor([UPPER], dtype=torch.float64))
    for table in tables:
        for order in (0, 1):
            assert float(interpolate(table, s, order=order).abs().max()) < 1e-13


def test_a_smaller_tolerance_takes_more_intervals() -> None:
    rough, fine = (
        build_tables(layers(), basis(), weights=weights, tolerance=tolerance)[0] for tolerance in (1e-4, 1e-7)
    )
    assert fine.num_intervals > rough.num_intervals


def test_all_layers_share_their_knots() -> None:
    scale, tables = build_tables(layers(), basis(), weights=weights, tolerance=1e-5)
    assert [tuple(table.shape) for table in tables] == [(scale.num_intervals, 6, 3, 4)] * 2


def test_tables_are_of_the_type_of_their_layers_and_made_in_float64() -> None:
    made = [layer.float() for layer in layers()]
    double = [copy.deepcopy(layer).double() for layer in made]
    radial = basis().float()
    _, tables = build_tables(made, radial, weights=weights, tolerance=1e-6)
    _, exact_tables = build_tables(double, radial.double(), weights=weights, tolerance=1e-6)
    for table, expected in zip(tables, exact_tables, strict=True):
        assert torch.equal(table, expected.float())


def test_a_function_that_is_zero_has_a_table() -> None:
    made = layers()[:1]
    for parameter in made[0].parameters():
        parameter.data.zero_()
    _, (table,) = build_tables(made, basis(), weights=weights, tolerance=1e-6)
    assert not table.any()


@pytest.mark.parametrize("tolerance", [0.0, -1e-6, 1.0, float("nan")])
def test_a_tolerance_out_of_range_is_told(tolerance: float) -> None:
    with pytest.raises(ValueError, match=f"tolerance of radial tables must be between 0 and 1; got {tolerance}"):
        build_tables(layers(), basis(), weights=weights, tolerance=tolerance)


def test_a_tolerance_that_no_table_keeps_is_told() -> None:
    text = r"2048 intervals have an error of \d\.\de-\d\d, more than the tolerance of 1.0e-15: give a larger tolerance"
    with pytest.raises(ValueError, match=text):
        build_tables(layers()[:1], basis(), weights=weights, tolerance=1e-15)


class Kinked(nn.Module):
    """A weight that no polynomial follows: |d - 2|, by way of a linear map of one radial function."""

    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        one = functions.rbf._replace(
            value=(functions.distance - 2).abs().unsqueeze(1),
            slope=(functions.distance - 2).sign().unsqueeze(1),
        )
        return functions.attach_faded(jet_linear(one, torch.ones(1, 1, dtype=torch.float64), None))


def test_a_function_with_a_kink_is_refused() -> None:
    with pytest.raises(ValueError, match="do without tables"):
        build_tables(
            [Kinked()], basis(), weights=lambda layer, functions: layer.distance_weights(functions), tolerance=1e-3
        )


def test_weights_that_are_not_finite_are_refused() -> None:
    made = layers()
    next(made[1].parameters()).data.fill_(torch.nan)
    with pytest.raises(ValueError, match="have an error of nan"):
        build_tables(made, basis(), weights=weights, tolerance=1e-3)
