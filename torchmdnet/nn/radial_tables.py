r"""Radial networks as tables: what an edge layer knows of the distance, evaluated at knots and interpolated.

In these models the networks that turn a distance into weights are most of the arithmetic of an edge. They are smooth
functions of one number, so that for inference a table takes their place; how exact it is is checked when it is built.
Knots are even in :math:`e^{-a d}`, from the cutoff to d = 0: near atoms, where functions change fast, they are dense.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.distance_functions import DistanceFunctions, functions_of_distance
from torchmdnet.nn.jets import Jet
from torchmdnet.nn.radial import RadialBasis
from torchmdnet.ops.radial_table import interpolate, midpoint_table
from torchmdnet.ops.table_coordinate import table_coordinate
from torchmdnet.ops.table_environment import table_environment
from torchmdnet.ops.table_message import table_message
from torchmdnet.ops.tensor_environment import tensor_environment
from torchmdnet.ops.tensor_message import tensor_message

__all__ = [
    "RadialWeights",
    "TableCoordinate",
    "TableScale",
    "TableWeights",
    "build_tables",
    "radial_environment",
    "radial_message",
]

DECAY_ACROSS = 3.5
"""The exponent a d at the cutoff; of 1 to 5 the value with the smallest errors for the radial functions ``expnorm``."""
FEWEST_INTERVALS, MOST_INTERVALS = 64, 1 << 11
_PROBES = (0.08, 0.21, 0.35)
"""Where in an interval, up to its middle, the errors of slope and value are largest."""
_ROWS_AT_ONCE = 256
"""Distances evaluated together: enough for fast products of matrices, and little memory."""


class TableScale(NamedTuple):
    """Intervals of a table, numbered from the cutoff inwards: s = M (e^{-a d} - e^{-a u}) / (1 - e^{-a u})."""

    cutoff: float
    """u, in Å."""
    num_intervals: int
    """M"""
    decay: float = DECAY_ACROSS
    """a u"""

    def coordinate(self, distance: Tensor) -> Tensor:
        """Coordinate s of each distance. Shape kept."""
        rate, end, factor = self._constants()
        return table_coordinate(distance.flatten(), rate=rate, end=end, factor=factor).view(distance.shape)

    def distance(self, coordinate: Tensor) -> Tensor:
        """Distance of each coordinate. Shape kept."""
        rate, end, factor = self._constants()
        return -torch.log(coordinate / factor + end) / rate

    def slope(self, distance: Tensor) -> Tensor:
        """Derivative of the coordinate by the distance. Shape kept."""
        rate, _, factor = self._constants()
        return -rate * factor * torch.exp(-rate * distance)

    def _constants(self) -> tuple[float, float, float]:
        end = math.exp(-self.decay)
        return self.decay / self.cutoff, end, self.num_intervals / (1 - end)


def decay_with_knot_at(lower: float, upper: float) -> float:
    """The decay nearest to the usual one for which a knot of every table lies at the lower cutoff.

    There the second derivative of the cutoff function jumps: within an interval it would cost two orders of accuracy.
    """
    if lower == 0:
        return DECAY_ACROSS

    def place(decay: float) -> float:
        return (math.exp(-decay * lower / upper) - math.exp(-decay)) / (1 - math.exp(-decay))

    wanted = min(max(round(FEWEST_INTERVALS * place(DECAY_ACROSS)), 1), FEWEST_INTERVALS - 1) / FEWEST_INTERVALS
    least, most = DECAY_ACROSS / 10, DECAY_ACROSS * 10
    for _ in range(100):  # place falls with the decay
        middle = (least + most) / 2
        least, most = (middle, most) if place(middle) > wanted else (least, middle)
    return (least + most) / 2


class TableCoordinate(NamedTuple):
    """Takes the place of :class:`DistanceFunctions` in a model that has tables."""

    s: Tensor
    """(P,)"""


class TableWeights(NamedTuple):
    """Weights of P distances, not yet interpolated."""

    table: Tensor
    """(M, 6, 3, C), or what the op wants that reads it."""
    s: Tensor
    """(P,)"""


RadialWeights = Tensor | TableWeights
"""Weights of the three parts of a tensor for each distance, (P, 3, C), or where to read them."""


def radial_message(weights: RadialWeights, x: Tensor, graph: Graph) -> Tensor:
    """Weighted sum over neighbours. x: (9, N, C) -> (9, N, C)"""
    if isinstance(weights, TableWeights):
        return table_message(weights.table, weights.s, x.to(weights.table.dtype), graph)
    return tensor_message(weights, x, graph)


def radial_environment(
    weights: RadialWeights, components: Tensor, *, own: Tensor, other: Tensor, graph: Graph
) -> Tensor:
    """Tensors of the atoms' surroundings. components: (E, 9), own, other: (N, C) -> (9, N, C)"""
    if isinstance(weights, TableWeights):
        # Under autocast, linear maps give numbers of lower precision.
        own, other = own.to(weights.table.dtype), other.to(weights.table.dtype)
        return table_environment(weights.table, weights.s, components=components, own=own, other=other, graph=graph)
    return tensor_environment(weights, components, own=own, other=other, graph=graph)


def build_tables(
    layers: Sequence[nn.Module],
    basis: RadialBasis,
    *,
    weights: Callable[[nn.Module, DistanceFunctions], Tensor],
    tolerance: float,
) -> tuple[TableScale, list[Tensor]]:
    """Tables of several layers with the same knots, as few as keep the tolerance.

    Args:
        layers: Their radial networks are tabulated; in float64 whatever their own type.
        basis: Radial functions that the layers read.
        weights: A layer's weights for given distances. -> (P, ...)
        tolerance: Largest error of a weight, relative to the layer's largest, and of its derivative by the distance,
            relative to the largest of those.

    Returns:
        The scale, and for each layer a table (M, 6, ...) of the layer's type, on its device.

    Raises:
        ValueError: The tolerance is not positive or cannot be kept with 2048 intervals.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"the tolerance of radial tables must be between 0 and 1; got {tolerance}")
    exact_basis = copy.deepcopy(basis).cpu().double()
    functions = [_as_function(copy.deepcopy(layer).cpu().double(), exact_basis, weights) for layer in layers]
    decay = decay_with_knot_at(basis.cutoff_lower, basis.cutoff_upper)
    intervals = FEWEST_INTERVALS
    while True:
        scale = TableScale(basis.cutoff_upper, intervals, decay)
        tables: list[Tensor] = []
        for layer, function in zip(layers, functions, strict=True):
            table = _tabulate(function, scale)
            error = _error(table, function, scale)
            if not error <= tolerance:  # or NaN
                break
            weight = next(layer.parameters())
            tables.append(table.to(weight.device, weight.dtype))
        if len(tables) == len(layers):
            return scale, tables
        if intervals == MOST_INTERVALS:
            raise ValueError(
                f"radial tables with {intervals} intervals have an error of {error:.1e}, more than the tolerance "
                f"of {tolerance:.1e}: give a larger tolerance, or do without tables"
            )
        intervals *= 2


class ValueAndSlope(NamedTuple):
    """A function of P distances and its derivative. (P, ...)"""

    value: Tensor
    slope: Tensor


class JetFunctions(DistanceFunctions):
    """Functions of P distances that stay apart from their slopes: P rows of values, then P rows of slopes."""

    def attach(self, jet: Jet) -> Tensor:
        return self._rows(jet, Jet(torch.ones_like(self.step.value), torch.zeros_like(self.step.value)))

    def attach_faded(self, jet: Jet) -> Tensor:
        return self._rows(jet, self.cutoff)

    def attach_cut(self, jet: Jet) -> Tensor:
        return self._rows(jet, self.step)

    def _rows(self, jet: Jet, factor: Jet) -> Tensor:
        if jet.slope is None or factor.slope is None:
            raise ValueError("functions without slopes cannot be tabulated")
        slope = jet.slope * factor.value + jet.value * factor.slope
        return torch.cat([jet.value * factor.value, slope])


def _as_function(
    layer: nn.Module, basis: RadialBasis, weights: Callable[[nn.Module, DistanceFunctions], Tensor]
) -> Callable[[Tensor], ValueAndSlope]:
    """A layer's weights and their derivatives at given distances."""

    @torch.no_grad()
    def evaluate(distance: Tensor) -> ValueAndSlope:
        tracked = distance.detach().requires_grad_()  # asks for slopes
        functions = functions_of_distance(tracked, basis, second_derivatives=False)
        # A polynomial has no jump at its end; padding, which the step is for, is left out by the ops.
        endless = functions._replace(step=Jet(torch.ones_like(functions.step.value), functions.step.slope))
        functions = JetFunctions(*endless)
        return ValueAndSlope(*weights(layer, functions).chunk(2))

    return evaluate


def _tabulate(function: Callable[[Tensor], ValueAndSlope], scale: TableScale) -> Tensor:
    """Polynomials that have the function's values and slopes at the knots. -> (M, 6, ...)"""
    knots = torch.arange(2 * scale.num_intervals + 1, dtype=torch.float64)
    distance = scale.distance(knots / 2).clamp(0, scale.cutoff)
    parts = [function(part) for part in distance.split(_ROWS_AT_ONCE)]
    value, slope = (torch.cat(rows) for rows in zip(*parts, strict=True))
    return midpoint_table(value, slope / _column(scale.slope(distance), slope))


def _error(table: Tensor, function: Callable[[Tensor], ValueAndSlope], scale: TableScale) -> float:
    """Largest error between the knots, of values and of slopes, each relative to the largest."""
    start = torch.arange(scale.num_intervals, dtype=torch.float64)
    largest, errors = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for s in torch.cat([start + probe for one in _PROBES for probe in (one, 1 - one)]).split(_ROWS_AT_ONCE):
        distance = scale.distance(s)
        exact = function(distance)
        by_distance = interpolate(table, s, order=1) * _column(scale.slope(distance), exact.slope)
        found = ValueAndSlope(interpolate(table, s), by_distance)
        largest = torch.maximum(largest, torch.stack([e.abs().max() for e in exact]))
        errors = torch.maximum(errors, torch.stack([(f - e).abs().max() for f, e in zip(found, exact, strict=True)]))
    return float((errors / largest.clamp_min(torch.finfo(torch.float64).tiny)).max())


def _column(values: Tensor, like: Tensor) -> Tensor:
    """(P,) -> (P, 1, ...), as many axes as ``like``"""
    return values.reshape(-1, *[1] * (like.ndim - 1))
