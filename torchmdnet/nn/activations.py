"""Activation functions by their names in a configuration."""

from torch import Tensor, nn
from torch.nn import functional as F

from torchmdnet.ops.silu import silu

__all__ = ["ShiftedSoftplus", "SiLU", "act_class_mapping", "activation_class"]

_LOG_2 = 0.6931471824645996
"""log 2 rounded to float32: published ssp models were trained with this value (it shows at 1e-8 in float64)."""


class ShiftedSoftplus(nn.Module):
    r""":math:`\ln(1 + e^x) - \ln 2`, zero at zero (SchNet). Shape kept."""

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x) - _LOG_2


class SiLU(nn.Module):
    r""":math:`x \, \sigma(x)`, with a cheap second derivative for training on forces. Shape kept."""

    def forward(self, x: Tensor) -> Tensor:
        return silu(x)


act_class_mapping: dict[str, type[nn.Module]] = {
    "ssp": ShiftedSoftplus,
    "silu": SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "swish": SiLU,
    "mish": nn.Mish,
}


def activation_class(name: str | type[nn.Module]) -> type[nn.Module]:
    """Class of an activation given by name, or by the class itself.

    Raises ValueError for a name that is not in ``act_class_mapping``.
    """
    if not isinstance(name, str):
        return name
    if name not in act_class_mapping:
        raise ValueError(f"activation {name!r} is not known; choose one of {', '.join(act_class_mapping)}")
    return act_class_mapping[name]
