"""Repulsion of nuclei that electrons screen, within the reach of the covalent radii."""

import torch
from torch import Tensor, nn

from torchmdnet.elements import COVALENT_RADII
from torchmdnet.graph import Graph
from torchmdnet.ops.scatter import scatter_sum

__all__ = ["RepulsionZBL", "ScreenedRepulsion", "polynomial_envelope", "universal_screening"]

COULOMB_EV_ANGSTROM = 14.399645
"""e²/(4πε₀) in eV Å, to the digits that published weights were made with."""

SCREENING_ANGSTROM = 0.4543 / 1.8897261258369282
"""0.4543 Bohr radii."""

_SCREENING_EXPONENT = 0.3
_ENVELOPE_POWER = 6

_CONTACT = 1e-6
"""Å; nearer atoms count as this far apart, so that coincident ones have a huge energy and not NaN."""

_SCREENING = ((0.1818, 3.2), (0.5099, 0.9423), (0.2802, 0.4029), (0.02817, 0.2016))
"""Factor and decay rate of the four exponentials."""


def universal_screening(reduced: Tensor) -> Tensor:
    """Share of the bare repulsion that electrons leave, Ziegler, Biersack and Littmark 1985; x in screening lengths.

    :math:`0.1818 e^{-3.2 x} + 0.5099 e^{-0.9423 x} + 0.2802 e^{-0.4029 x} + 0.02817 e^{-0.2016 x}`. Shape kept.
    """
    return torch.stack([factor * torch.exp(-rate * reduced) for factor, rate in _SCREENING]).sum(0)


def polynomial_envelope(x: Tensor, power: int) -> Tensor:
    r"""From 1 at 0 to 0 at 1 and beyond, with two continuous derivatives (Gasteiger et al. 2020, DimeNet).

    :math:`1 - \frac{(p + 1)(p + 2)}{2} x^p + p (p + 2) x^{p + 1} - \frac{p (p + 1)}{2} x^{p + 2}`. Shape kept.
    """
    p = power
    factor = -(p + 1) * (p + 2) / 2 + x * (p * (p + 2) - x * (p * (p + 1) / 2))
    return (1 + x**p * factor).masked_fill(x >= 1, 0)


class PairRepulsion(nn.Module):
    r"""Half the repulsion of each atom's pairs, in eV: what forms of the same energy share.

    .. math:: E_i = \tfrac12 \sum_{j \ne i} \frac{e^2}{4 \pi \epsilon_0} \frac{Z_i Z_j}{d}\, \phi(d / a)\, f(d / r_c),
        \quad a = \frac{0.4543\,a_0}{Z_i^{0.3} + Z_j^{0.3}}

    with :func:`universal_screening` φ, :func:`polynomial_envelope` f of power 6 and the sum of covalent radii
    :math:`r_c`. Elements beyond the table count as its last one.
    """

    z_pow: Tensor
    z_outer: Tensor
    cutoff_ab: Tensor

    def __init__(self, max_z: int) -> None:
        super().__init__()
        radius = torch.tensor(COVALENT_RADII[:max_z], dtype=torch.float64)
        z = torch.arange(len(radius), dtype=torch.float64).clamp(min=1)
        self.register_buffer("z_pow", z**_SCREENING_EXPONENT)
        self.register_buffer("z_outer", torch.outer(z, z))
        self.register_buffer("cutoff_ab", radius[:, None] + radius)

    def sum_of_pairs(
        self, z: Tensor, *, receiver: Tensor, sender: Tensor, distance: Tensor, is_left_out: Tensor
    ) -> Tensor:
        """z: (N,), all else (E,) -> (N, 1)"""
        kind = z.clamp(max=len(self.z_pow) - 1)
        first, second = kind.index_select(0, receiver), kind.index_select(0, sender)
        distance = distance.masked_fill(is_left_out, 1).clamp(min=_CONTACT)
        reduced = distance / SCREENING_ANGSTROM * (self.z_pow[first] + self.z_pow[second])
        envelope = polynomial_envelope(distance / self.cutoff_ab[first, second], _ENVELOPE_POWER)
        bare = (0.5 * COULOMB_EV_ANGSTROM) * self.z_outer[first, second] / distance
        energy = (bare * universal_screening(reduced) * envelope).masked_fill(is_left_out, 0)
        return scatter_sum(energy.unsqueeze(1), receiver, z.shape[0])


class ScreenedRepulsion(PairRepulsion):
    """:class:`PairRepulsion` of the pairs in a graph.

    Args:
        max_z: Length of the tables, at most that of the periodic table.
        cutoff_upper: Å; edges of this length are padding.
    """

    def __init__(self, max_z: int, cutoff_upper: float) -> None:
        super().__init__(max_z)
        self.cutoff_upper = cutoff_upper

    def forward(self, z: Tensor, graph: Graph) -> Tensor:
        """z: (N,) -> (N, 1)"""
        is_self = (graph.receiver == graph.sender) & (graph.distance == 0)
        return self.sum_of_pairs(
            z,
            receiver=graph.receiver,
            sender=graph.sender,
            distance=graph.distance,
            is_left_out=is_self | (graph.distance >= self.cutoff_upper),
        )


class RepulsionZBL(PairRepulsion):
    """:class:`PairRepulsion` of a list of directed pairs, in the form that TorchMD-NET has.

    Args:
        max_z: Length of the tables, at most that of the periodic table.
    """

    def __init__(self, max_z: int = 87) -> None:
        super().__init__(max_z)

    def forward(self, z: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Energies of the atoms in the first row; pairs of length zero count for nothing.

        Shapes: z (N,), edge_index (2, E), edge_weight (E,) in Å -> (N,), in the type of ``edge_weight``.
        """
        energy = self.sum_of_pairs(
            z, receiver=edge_index[0], sender=edge_index[1], distance=edge_weight, is_left_out=edge_weight == 0
        )
        return energy.squeeze(1).to(edge_weight.dtype)
