"""Radial functions and cutoff of a graph's distances, as every model needs them."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.nn.jets import attach_jet
from torchmdnet.nn.radial import RadialBasis, cosine_cutoff_jet

__all__ = ["DistanceFunctions", "distance_functions"]


class DistanceFunctions(NamedTuple):
    """Jets on the P distinct distances of a graph: K = 2 with slopes, K = 1 without."""

    distance: Tensor
    """(P,)"""
    rbf: Tensor
    """Radial functions. (K, P, R)"""
    cutoff: Tensor
    """Cutoff function. (K, P, 1)"""

    def attach(self, jet: Tensor) -> Tensor:
        """Values of a jet as functions of the distance. (K, P, C) -> (P, C)"""
        return attach_jet(jet, self.distance)

    def attach_faded(self, jet: Tensor) -> Tensor:
        """The same, times the cutoff function. (K, P, C) -> (P, C)"""
        return attach_jet(jet, self.distance, factor=self.cutoff)


def distance_functions(graph: Graph, basis: RadialBasis, *, second_derivatives: bool) -> DistanceFunctions:
    """Radial functions and cutoff; jets carry slopes where forces, and no more than forces, will be asked for."""
    distance = graph.pair_distance
    has_slopes = distance.requires_grad and not second_derivatives
    order = 2 if has_slopes else 1
    source = distance.detach() if has_slopes else distance
    cutoff = cosine_cutoff_jet(source, basis.cutoff_lower, basis.cutoff_upper).unsqueeze(-1)
    return DistanceFunctions(distance, basis.jet(source)[:order], cutoff[:order])
