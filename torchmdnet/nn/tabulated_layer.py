"""Layers that may read their radial network from a table, and the switch that makes a model do so."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from torchmdnet.graph import Graph
from torchmdnet.nn.distance_functions import DistanceFunctions, distance_functions
from torchmdnet.nn.radial import RadialBasis
from torchmdnet.nn.radial_tables import (
    RadialWeights,
    TableCoordinate,
    TableScale,
    TableWeights,
    build_tables,
)

__all__ = ["RadialInput", "TabulatedLayer", "TabulatedRadial"]

RadialInput = DistanceFunctions | TableCoordinate
"""What a model hands to its layers: functions of the distances, or where those lie in tables."""


class TabulatedLayer(nn.Module):
    """A layer with a radial network. Its table is no part of the weights and goes when they are trained or loaded."""

    table: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", None, persistent=False)
        self.register_load_state_dict_pre_hook(_drop_table)

    @abstractmethod
    def distance_weights(self, functions: DistanceFunctions) -> Tensor:
        """Exact weights for each distance, (P, 3, C) where they are those of the parts of a tensor. -> (P, ...)"""

    def weights(self, radial: RadialInput) -> RadialWeights:
        """Exact weights, or the table that has them."""
        if isinstance(radial, DistanceFunctions):
            return self.distance_weights(radial)
        table = self.table
        if table is None:
            raise RuntimeError("this layer has no table: use_radial_tables builds it")
        return TableWeights(table, radial.s)

    def train(self, mode: bool = True) -> "TabulatedLayer":
        """Drop the table before training: the weights are about to change."""
        if mode:
            self.table = None
        super().train(mode)
        return self


def _drop_table(layer: nn.Module, *_: Any) -> None:
    layer.register_buffer("table", None, persistent=False)


def _distance_weights(layer: nn.Module, functions: DistanceFunctions) -> Tensor:
    if not isinstance(layer, TabulatedLayer):
        raise TypeError(f"{type(layer).__name__} has no radial network")
    return layer.distance_weights(functions)


class TabulatedRadial(nn.Module):
    """A part of a model: its radial functions, and the scale of the tables where its layers have some."""

    distance_expansion: RadialBasis
    table_scale: TableScale | None = None
    # As they were when the tables were made: to walk through all modules at each call takes as long as a layer.
    _layers_with_tables: tuple[TabulatedLayer, ...] = ()
    _weights: tuple[nn.Parameter, ...] = ()

    def tabulated_layers(self) -> Sequence[TabulatedLayer]:
        """Layers whose radial networks depend on the distance alone; none, where the model cannot use tables."""
        return [module for module in self.modules() if isinstance(module, TabulatedLayer)]

    def build_radial_tables(self, tolerance: float) -> None:
        """Let the layers read their radial networks from tables from now on; see :func:`build_tables`."""
        layers = self.tabulated_layers()
        if not layers:
            return
        self.table_scale, tables = build_tables(
            layers,
            self.distance_expansion,
            weights=_distance_weights,
            tolerance=tolerance,
        )
        for layer, table in zip(layers, tables, strict=True):
            layer.table = table
        self._layers_with_tables, self._weights = tuple(layers), tuple(self.parameters())

    def drop_radial_tables(self) -> None:
        """Let the layers evaluate their radial networks again."""
        self.table_scale = None
        self._layers_with_tables, self._weights = (), ()
        for layer in self.tabulated_layers():
            layer.table = None

    def radial_input(self, graph: Graph, *, second_derivatives: bool) -> RadialInput:
        """Places of the distances in the tables, where all layers have theirs; functions of them elsewhere."""
        if self.table_scale is None or any(layer.table is None for layer in self._layers_with_tables):
            return distance_functions(graph, self.distance_expansion, second_derivatives=second_derivatives)
        return TableCoordinate(self.table_scale.coordinate(graph.pair_distance))

    def is_frozen(self, radial: RadialInput) -> bool:
        """Whether the layers read tables, and no weight of the model is to be trained."""
        return isinstance(radial, TableCoordinate) and True not in [weight.requires_grad for weight in self._weights]
