"""Graphs, polynomials and maps for the op whose weights a network makes for each edge."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops.charged_message import ChargedMaps, PairPolynomials, charged_message

Sizes = tuple[int, int, int]


class ChargedCase(NamedTuple):
    """What the op reads."""

    polynomials: PairPolynomials
    own: Tensor
    other: Tensor
    y: Tensor
    maps: ChargedMaps
    graph: Graph

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the native derivative knows: t, own, other, y."""
        return self.polynomials.t, self.own, self.other, self.y

    def arguments(self) -> tuple[Tensor, ...]:
        """Those of the reference, and all but one of the op's."""
        edges = self.graph.receiver, self.graph.sender, self.graph.row_ptr, self.graph.pair
        return *self.polynomials, self.own, self.other, self.y, *self.maps, *edges

    def at(self, t: Tensor, own: Tensor, other: Tensor, y: Tensor) -> "ChargedCase":
        """With other inputs."""
        return self._replace(polynomials=self.polynomials._replace(t=t), own=own, other=other, y=y)

    def run(self) -> Tensor:
        """The op."""
        return charged_message(
            self.polynomials, self.y, own=self.own, other=self.other, maps=self.maps, graph=self.graph
        )


def maps_of(second: Tensor, second_bias: Tensor, third: Tensor, third_bias: Tensor) -> ChargedMaps:
    """From weights as linear layers have them."""
    return ChargedMaps(second.t().contiguous(), second, second_bias, third.t().contiguous(), third, third_bias)


def make_charged_case(
    num_atoms: int = 7,
    sizes: Sizes = (5, 6, 4),
    dtype: torch.dtype = torch.float64,
    *,
    degrees: int = 3,
    loop: bool = True,
    cutoff: float = 2.5,
) -> ChargedCase:
    """Two crystals so small that atoms see their own images. sizes: A, B, C"""
    random = torch.Generator().manual_seed(num_atoms)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

    system = System(
        z=torch.ones(num_atoms, dtype=torch.int64),
        pos=torch.rand((num_atoms, 3), generator=random, dtype=torch.float64).to(dtype) * 2,
        batch=(torch.arange(num_atoms) >= 4).long(),
        num_systems=2,
        box=torch.eye(3, dtype=dtype).expand(2, 3, 3) * 2.2,
    )
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=cutoff, loop=loop)
    num_pairs, (first, second, channels) = len(graph.pair_distance), sizes
    row = torch.randint(0, 6, (num_pairs,), generator=random, dtype=torch.int32)
    return ChargedCase(
        PairPolynomials(numbers(6, degrees, first + 1), row, numbers(num_pairs).sigmoid()),
        numbers(num_atoms, first),
        numbers(num_atoms, first),
        numbers(9, num_atoms, channels),
        maps_of(
            numbers(second, first) / first**0.5,
            numbers(second),
            numbers(3 * channels, second) / second**0.5,
            numbers(3 * channels),
        ),
        graph,
    )
