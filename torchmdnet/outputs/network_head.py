"""The constructor that the heads with a network share."""

from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from torchmdnet.nn.activations import activation_class
from torchmdnet.outputs.output_model import OutputModel

__all__ = ["NetworkHead", "PropertyHead"]


class NetworkHead(OutputModel):
    """A head around one network, made of the arguments that TorchMD-NET's heads of energies have, in their order.

    Args:
        hidden_channels: Channels C of the features.
        activation: Name in ``act_class_mapping``.
        allow_prior_model: As of :class:`OutputModel`.
        reduce_op: As of :class:`OutputModel`.
        dtype: Type of the weights.
        static_shapes: As of :class:`OutputModel`.
        **options: As of :class:`OutputModel`.

    Raises:
        ValueError: A name is unknown.
        TypeError: A keyword is no option.
    """

    def __init__(
        self,
        hidden_channels: int,
        activation: str = "silu",
        allow_prior_model: bool | None = None,
        reduce_op: str = "add",
        dtype: torch.dtype = torch.float32,
        static_shapes: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(allow_prior_model, reduce_op, static_shapes, **options)
        self.create_network(hidden_channels, activation_class(activation))
        self.to(dtype)

    @abstractmethod
    def create_network(self, hidden_channels: int, activation: type[nn.Module]) -> None:
        """Make the modules and buffers, in any type."""


class PropertyHead(NetworkHead):
    """A head of something else than an energy, to which no prior is added: in TorchMD-NET the constructors of these
    have no ``allow_prior_model``, so that it has no place among their arguments here. It may still be given by name.

    Args:
        hidden_channels, activation, reduce_op, dtype, static_shapes, **options: As of :class:`NetworkHead`.
    """

    allow_prior_model = False

    def __init__(
        self,
        hidden_channels: int,
        activation: str = "silu",
        reduce_op: str = "add",
        dtype: torch.dtype = torch.float32,
        static_shapes: bool = False,
        *,
        allow_prior_model: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            hidden_channels, activation, allow_prior_model, reduce_op, dtype, static_shapes=static_shapes, **options
        )
