"""Functions of the distance: smooth cutoff and radial basis sets."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from torchmdnet.nn.jets import Jet

__all__ = [
    "CosineCutoff",
    "ExpNormalSmearing",
    "GaussianSmearing",
    "RadialBasis",
    "cosine_cutoff",
    "cosine_cutoff_jet",
    "radial_basis",
    "rbf_class_mapping",
]

_LEAST_EXPONENT = -60.0


def cosine_cutoff(distance: Tensor, lower: float, upper: float) -> Tensor:
    r"""Smooth step that leads an interaction to zero.

    Without a lower cutoff :math:`C(d) = \tfrac12 (\cos(\pi d / u) + 1)`; with one, :math:`l`, the full bump
    :math:`C(d) = \tfrac12 (\cos(\pi (2 (d - l) / (u - l) + 1)) + 1)`. Zero outside (l, u). Shape kept, lengths in Å.
    """
    return _cosine(distance, lower, upper)[0]


def cosine_cutoff_jet(distance: Tensor, lower: float, upper: float) -> Jet:
    """:func:`cosine_cutoff` and its slope. Shape kept."""
    return Jet(*_cosine(distance, lower, upper))


def _cosine(distance: Tensor, lower: float, upper: float) -> tuple[Tensor, Tensor]:
    """Value and slope of the cutoff function."""
    frequency = math.pi / upper if lower <= 0 else 2 * math.pi / (upper - lower)
    phase = frequency * distance if lower <= 0 else frequency * (distance - lower) + math.pi
    outside = distance >= upper if lower <= 0 else (distance >= upper) | (distance <= lower)
    value = (0.5 * (torch.cos(phase) + 1)).masked_fill(outside, 0)
    return value, ((-0.5 * frequency) * torch.sin(phase)).masked_fill(outside, 0)


def exp_of_negative(exponent: Tensor) -> Tensor:
    """Exponential, zero where it is below 1e-26: subnormal numbers make the CPU's matrix products ten times slower."""
    return torch.exp(exponent).masked_fill(exponent < _LEAST_EXPONENT, 0)


def _check_range(cutoff_lower: float, cutoff_upper: float) -> None:
    if not 0 <= cutoff_lower < cutoff_upper:
        raise ValueError(f"cutoffs must satisfy 0 <= lower < upper; got lower {cutoff_lower} and upper {cutoff_upper}")


class CosineCutoff(nn.Module):
    """:func:`cosine_cutoff` with its two radii, in Å."""

    def __init__(self, cutoff_lower: float = 0.0, cutoff_upper: float = 5.0) -> None:
        super().__init__()
        _check_range(cutoff_lower, cutoff_upper)
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper

    def forward(self, distance: Tensor) -> Tensor:
        return cosine_cutoff(distance, self.cutoff_lower, self.cutoff_upper)


class RadialBasis(nn.Module, ABC):
    """A basis with two tensors, trainable (parameters) or fixed (buffers). ``distance: (E,) -> (E, R)``."""

    def __init__(
        self,
        cutoff_lower: float = 0.0,
        cutoff_upper: float = 5.0,
        num_rbf: int = 50,
        trainable: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        _check_range(cutoff_lower, cutoff_upper)
        if num_rbf < 2:
            raise ValueError(f"num_rbf must be at least 2; got {num_rbf}")
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.num_rbf = num_rbf
        for name, value in self.initial_values().items():
            if trainable:
                self.register_parameter(name, nn.Parameter(value.to(dtype)))
            else:
                self.register_buffer(name, value.to(dtype))

    @abstractmethod
    def initial_values(self) -> dict[str, Tensor]:
        """Names and float64 values of the tensors of this basis."""

    @abstractmethod
    def jet(self, distance: Tensor) -> Jet:
        """Values and slopes. (P,) -> (P, R)"""

    def forward(self, distance: Tensor) -> Tensor:
        return self.jet(distance).value

    def reset_parameters(self) -> None:
        """Set the tensors back to their initial values."""
        with torch.no_grad():
            for name, value in self.initial_values().items():
                getattr(self, name).copy_(value)


class ExpNormalSmearing(RadialBasis):
    r"""Gaussians in :math:`e^{-d}`, dense near the nucleus (PhysNet).

    :math:`f_k(d) = C(d) \exp(-\beta_k (e^{\alpha (l - d)} - \mu_k)^2)` with :math:`\alpha = 5 / (u - l)` and C the
    cosine cutoff from 0 to u. ``distance: (E,) -> (E, R)``.
    """

    means: Tensor
    betas: Tensor

    def initial_values(self) -> dict[str, Tensor]:
        start = math.exp(self.cutoff_lower - self.cutoff_upper)
        means = torch.linspace(start, 1, self.num_rbf, dtype=torch.float64)
        betas = torch.full((self.num_rbf,), (2 / self.num_rbf * (1 - start)) ** -2, dtype=torch.float64)
        return {"means": means, "betas": betas}

    def jet(self, distance: Tensor) -> Jet:
        alpha = 5.0 / (self.cutoff_upper - self.cutoff_lower)
        decay = torch.exp(alpha * (self.cutoff_lower - distance)).unsqueeze(-1)
        offset = decay - self.means
        exponent_slope = self.betas * offset
        gaussian = exp_of_negative(-exponent_slope * offset)
        cutoff, cutoff_slope = _cosine(distance.unsqueeze(-1), 0.0, self.cutoff_upper)
        value = cutoff * gaussian
        return Jet(value, cutoff_slope * gaussian + (2 * alpha) * decay * exponent_slope * value)


class GaussianSmearing(RadialBasis):
    r"""Equally spaced Gaussians :math:`f_k(d) = \exp(c (d - o_k)^2)`, without a cutoff. ``(E,) -> (E, R)``."""

    offset: Tensor
    coeff: Tensor

    def initial_values(self) -> dict[str, Tensor]:
        offset = torch.linspace(self.cutoff_lower, self.cutoff_upper, self.num_rbf, dtype=torch.float64)
        return {"coeff": -0.5 / (offset[1] - offset[0]) ** 2, "offset": offset}

    def jet(self, distance: Tensor) -> Jet:
        difference = distance.unsqueeze(-1) - self.offset
        value = exp_of_negative(self.coeff * difference * difference)
        return Jet(value, 2 * self.coeff * difference * value)


rbf_class_mapping: dict[str, type[RadialBasis]] = {"gauss": GaussianSmearing, "expnorm": ExpNormalSmearing}


def radial_basis(
    name: str, cutoff_lower: float, *, cutoff_upper: float, num_rbf: int, trainable: bool, dtype: torch.dtype
) -> RadialBasis:
    """Radial basis by its name in a configuration.

    Raises ValueError for a name that is not in ``rbf_class_mapping``.
    """
    if name not in rbf_class_mapping:
        raise ValueError(f"rbf_type {name!r} is not known; choose one of {', '.join(rbf_class_mapping)}")
    return rbf_class_mapping[name](cutoff_lower, cutoff_upper, num_rbf=num_rbf, trainable=trainable, dtype=dtype)
