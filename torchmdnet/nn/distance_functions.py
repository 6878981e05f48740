"""Radial functions and cutoff of a graph's distances, as every model needs them."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.nn.jets import Jet, attach_jet, attach_product
from torchmdnet.nn.radial import RadialBasis, cosine_cutoff_jet

__all__ = ["DistanceFunctions", "distance_functions", "functions_of_distance"]


class DistanceFunctions(NamedTuple):
    """Jets on the P distinct distances of a graph."""

    distance: Tensor
    """(P,)"""
    rbf: Jet
    """Radial functions. (P, R)"""
    cutoff: Jet
    """Cutoff function. (P, 1)"""
    step: Jet
    """1 within the upper cutoff, 0 from there on: the place of a graph's padding. (P, 1)"""

    def attach(self, jet: Jet) -> Tensor:
        """Values of a jet as functions of the distance. -> (P, C)"""
        return attach_jet(jet, self.distance)

    def attach_faded(self, jet: Jet) -> Tensor:
        """The same, times the cutoff function. -> (P, C)"""
        return attach_product(jet, self.cutoff, distance=self.distance)

    def attach_cut(self, jet: Jet) -> Tensor:
        """The same, with a sharp end at the upper cutoff. -> (P, C)"""
        return attach_product(jet, self.step, distance=self.distance)


def distance_functions(graph: Graph, basis: RadialBasis, *, second_derivatives: bool) -> DistanceFunctions:
    """Radial functions and cutoff; jets carry slopes where forces, and no more than forces, will be asked for."""
    return functions_of_distance(graph.pair_distance, basis, second_derivatives=second_derivatives)


def functions_of_distance(distance: Tensor, basis: RadialBasis, *, second_derivatives: bool) -> DistanceFunctions:
    """The same for distances that are given. distance: (P,)"""
    has_slopes = distance.requires_grad and not second_derivatives
    source = distance.detach() if has_slopes else distance
    rbf = basis.jet(source)
    cutoff = cosine_cutoff_jet(source.unsqueeze(-1), basis.cutoff_lower, basis.cutoff_upper)
    within = torch.ones_like(cutoff.value).masked_fill(source.unsqueeze(-1) >= basis.cutoff_upper, 0)
    if has_slopes:
        return DistanceFunctions(distance, rbf, cutoff, Jet(within, torch.zeros_like(within)))
    return DistanceFunctions(distance, Jet(rbf.value, None), Jet(cutoff.value, None), Jet(within, None))
