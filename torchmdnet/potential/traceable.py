"""A potential as functions of tensors alone, which can be traced.

Letters in shapes: N atoms, B systems, F fields of ``extra_args``.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from torchmdnet.models.atom_filter import AtomFilter
from torchmdnet.neighbors import DefaultBox, use_skin, use_static_shapes
from torchmdnet.nn.frozen_attention import FrozenAttention
from torchmdnet.nn.tabulated_layer import TabulatedLayer
from torchmdnet.outputs.weighted_coulomb import ScalarPlusWeightedCoulomb

__all__ = ["NUM_ATOMS", "NUM_SYSTEMS", "TraceablePotential"]

NUM_ATOMS, NUM_SYSTEMS = 1009, 211
"""Lengths for a trace, unlike each other and all others."""


class TraceablePotential:
    """A copy of a potential whose neighbour lists have as many edges as there are, as functions of tensors.

    All take z (N,), pos (N, 3), batch (N,), box (B, 3, 3) or None, q (B,), s (B,), fields (N, F) and B.

    Args:
        model: A :class:`torchmdnet.potential.TorchMD_Net`, the module of which imports this one. It stays as it is.
    """

    def __init__(self, model: Any) -> None:
        shared = {id(constant): constant for constant in _constants(model)}
        model = copy.deepcopy(model, shared).eval().requires_grad_(False)
        use_skin(model, skin=0.0)
        use_static_shapes(model, enabled=False)
        for module in model.modules():
            if isinstance(module, DefaultBox):
                module.has_box()  # reads the box now, as a graph cannot
        self.model = model
        self.fields = sorted({name for prior in model.prior_model or () for name in prior.fields})

    @property
    def takes_box(self) -> bool:
        """Whether periodic systems have a value."""
        head = self.model.output_model
        return not isinstance(head, ScalarPlusWeightedCoulomb) or head.distance is not None

    @property
    def has_slopes(self) -> bool:
        """Whether the value is one number of all atoms, which has a gradient."""
        is_number: bool = self.model.output_model.is_differentiable
        return is_number and not isinstance(self.model.representation_model, AtomFilter)

    def value(self, *arguments: Any) -> list[Tensor]:
        """-> y (B, K)"""
        return [self._value(*arguments)]

    def value_and_forces(self, z: Tensor, pos: Tensor, *others: Any) -> list[Tensor]:
        """-> y (B, 1), forces (N, 3)"""
        pos = pos.detach().requires_grad_()
        with torch.enable_grad():
            y = self._value(z, pos, *others)
            (slope,) = torch.autograd.grad(y.sum(), [pos], materialize_grads=True)
        return [y.detach(), -slope]

    def value_and_slopes(self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, *others: Any) -> list[Tensor]:
        """-> y (B, 1), its gradient by positions (N, 3)[, by cells (B, 3, 3)]"""
        wanted = [tensor.detach().requires_grad_() for tensor in (pos, box) if tensor is not None]
        with torch.enable_grad():
            y = self._value(z, wanted[0], batch, None if box is None else wanted[1], *others)
            slopes = torch.autograd.grad(y.sum(), wanted, materialize_grads=True)
        return [y.detach(), *slopes]

    def _value(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        box: Tensor | None,
        q: Tensor,
        s: Tensor,
        fields: Tensor,
        num_systems: int,
    ) -> Tensor:
        system = self.model._system(z, pos, batch, box=box, pbc=None, q=q, s=s, num_systems=num_systems)
        extra_args = {name: fields[:, column] for column, name in enumerate(self.fields)}
        # The method of the class: the model may have been given compiled code in its place.
        y: Tensor = type(self.model)._evaluate(self.model, system, extra_args, second_derivatives=False)[0]
        return y


def _constants(model: nn.Module) -> Iterator[Tensor]:
    """What a model makes anew where its weights change, and never writes to: copies of the model may share it."""
    for module in model.modules():
        if isinstance(module, TabulatedLayer) and module.table is not None:
            yield module.table
        if isinstance(module, FrozenAttention):
            yield from module.buffers()
