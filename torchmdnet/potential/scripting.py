"""A potential as TorchScript: what ``torch.jit.script`` takes in the place of a :class:`TorchMD_Net`.

The physics is in graphs that were traced for any number of atoms and systems, with their derivatives. Around them
stands, as TorchScript, what has to look at the numbers of a call. Letters in shapes: N atoms, B systems, F fields of
``extra_args``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.potential.graph_memory import keep_less
from torchmdnet.potential.traceable import NUM_ATOMS, NUM_SYSTEMS, TraceablePotential
from torchmdnet.potential.tracing import script_graph, trace_any_size

__all__ = ["scriptable"]


def scriptable(model: Any) -> nn.Module:
    """A module that ``torch.jit.script`` takes, with TorchMD-NET's signature and the numbers of the model.

    It is for inference: weights are those of now, and constants. With ``derivative`` it computes forces. Without, its
    value can be differentiated once, by positions and cells.

    Args:
        model: A :class:`torchmdnet.potential.TorchMD_Net`, the module of which imports this one. It stays as it is.

    Raises:
        RuntimeError: A part of the model reads numbers that are not known before a call.
    """
    potential = TraceablePotential(model)
    return ScriptableForces(potential) if potential.model.derivative else ScriptableValue(potential)


class Inputs(NamedTuple):
    """The arguments of a call, checked and in the types of a model."""

    z: Tensor
    """(N,) int64"""
    pos: Tensor
    """(N, 3)"""
    batch: Tensor
    """(N,) int64"""
    box: Tensor | None
    """(B, 3, 3)"""
    q: Tensor
    """(B,)"""
    s: Tensor
    """(B,)"""
    fields: Tensor
    """(N, F)"""
    num_systems: int


class TracedFunction(nn.Module):
    """A function of :class:`TraceablePotential`, traced for systems without cells and for those with."""

    def __init__(self, function: Callable[..., list[Tensor]], potential: TraceablePotential) -> None:
        super().__init__()
        like = potential.model.mean
        z = torch.ones(NUM_ATOMS, dtype=torch.int64, device=like.device)
        pos, totals = like.new_zeros(NUM_ATOMS, 3), like.new_zeros(NUM_SYSTEMS)
        rest = (totals, totals, like.new_zeros(NUM_ATOMS, len(potential.fields)), NUM_SYSTEMS)

        def isolated(z: Tensor, pos: Tensor, batch: Tensor, *others: Any) -> list[Tensor]:
            return function(z, pos, batch, None, *others)

        self.isolated = _scripted(isolated, z, pos, z, *rest)
        self.periodic = None
        if potential.takes_box:
            box = like.new_zeros(NUM_SYSTEMS, 3, 3)
            self.periodic = _scripted(function, z, pos, z, box, *rest)

    def forward(self, x: Inputs) -> list[Tensor]:
        box = x.box  # TorchScript tells of local variables alone whether they are None
        if box is None:
            values: list[Tensor] = self.isolated(x.z, x.pos, x.batch, x.q, x.s, x.fields, x.num_systems)
        elif self.periodic is None:
            raise ValueError("the head of this model sums over all pairs of a molecule: call it without a box")
        else:
            values = self.periodic(x.z, x.pos, x.batch, box, x.q, x.s, x.fields, x.num_systems)
        return values


def _scripted(function: Callable[..., Any], *inputs: Any) -> torch.jit.ScriptModule:
    """A function of tensors with any number of rows."""
    graph = trace_any_size(function, *inputs)
    keep_less(graph)
    return script_graph(graph)


class InputReader(nn.Module):
    """Makes :class:`Inputs` of the arguments of a call, contiguous as those that were traced."""

    like: Tensor
    fields: list[str]  # here, as TorchScript cannot tell of what an empty list is

    def __init__(self, potential: TraceablePotential) -> None:
        super().__init__()
        self.register_buffer("like", potential.model.mean)
        self.max_z: int = potential.model.representation_model.max_z
        self.fields = potential.fields

    def forward(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None,
        box: Tensor | None,
        q: Tensor | None,
        s: Tensor | None,
        extra_args: dict[str, Tensor] | None,
        num_systems: int | None,
    ) -> Inputs:
        z = self.atomic_numbers(z, pos)
        if batch is None:
            batch = torch.zeros_like(z)
            if num_systems is None:
                num_systems = 1
        elif batch.is_floating_point() or batch.dtype == torch.bool or batch.size() != z.size():
            raise ValueError(f"batch must hold an integer for each of {z.size(0)} atoms; got shape {batch.size()}")
        if num_systems is None:
            num_systems = int(batch.max()) + 1 if batch.numel() > 0 else 0
        return Inputs(
            z.contiguous(),
            pos.to(self.like.dtype).contiguous(),
            batch.long().contiguous(),
            None if box is None else self.for_each(box, [3, 3], num_systems, "box"),
            self.for_each(self.like.new_zeros([]) if q is None else q, [], num_systems, "q"),
            self.for_each(self.like.new_zeros([]) if s is None else s, [], num_systems, "s"),
            self.columns(extra_args, z.size(0)),
            num_systems,
        )

    def atomic_numbers(self, z: Tensor, pos: Tensor) -> Tensor:
        """Refuse positions and atomic numbers that the model cannot take. -> (N,) int64"""
        if not pos.is_floating_point() or pos.dim() != 2 or pos.size(1) != 3:
            raise ValueError(f"pos must be floating point of shape (N, 3); got shape {pos.size()}")
        if z.is_floating_point() or z.dtype == torch.bool or z.dim() != 1 or z.size(0) != pos.size(0):
            raise ValueError(f"z must hold an integer for each of {pos.size(0)} atoms; got shape {z.size()}")
        if z.numel() > 0 and (int(z.min()) < 0 or int(z.max()) >= self.max_z):
            raise ValueError(
                f"atomic numbers are {int(z.min())} to {int(z.max())}, this model knows 0 to {self.max_z - 1}"
            )
        return z.long()

    def for_each(self, value: Tensor, shape: list[int], count: int, name: str) -> Tensor:
        """One row for each system, from as many or from one for all, in the type of the model."""
        wanted = [count] + shape  # noqa: RUF005  TorchScript has no unpacking of lists
        if value.size() != shape and value.size() != [1] + shape and value.size() != wanted:  # noqa: RUF005
            raise ValueError(f"{name} must have shape {wanted}, or {shape} for all systems; got {value.size()}")
        return value.to(self.like.dtype).expand(wanted).contiguous()

    def columns(self, extra_args: dict[str, Tensor] | None, num_atoms: int) -> Tensor:
        """The fields that priors read. (N, F)"""
        fields = self.like.new_zeros([num_atoms, len(self.fields)])
        for column, name in enumerate(self.fields):
            if extra_args is None or name not in extra_args:
                raise ValueError(f"a prior needs {name}: pass extra_args={{'{name}': (N,) tensor}}")
            field = extra_args[name]
            if field.numel() != num_atoms:
                raise ValueError(f"{name}: got {field.numel()} numbers for {num_atoms} atoms")
            fields[:, column] = field.reshape(-1).to(self.like.dtype)
        return fields


class ScriptableForces(nn.Module):
    """A potential with ``derivative``: y (B, 1) and forces (N, 3), without a graph."""

    def __init__(self, potential: TraceablePotential) -> None:
        super().__init__()
        self.inputs = InputReader(potential)
        self.value_and_forces = TracedFunction(potential.value_and_forces, potential)

    def forward(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None = None,
        box: Tensor | None = None,
        q: Tensor | None = None,
        s: Tensor | None = None,
        extra_args: dict[str, Tensor] | None = None,
        num_systems: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Arguments and results as of a call of the model."""
        with torch.no_grad():
            values = self.value_and_forces(self.inputs(z, pos, batch, box, q, s, extra_args, num_systems))
        return values[0], values[1]


class ScriptableValue(nn.Module):
    """A potential without ``derivative``: y (B, K), and an empty tensor.

    Where positions or the cell track gradients, the slopes of y are computed with it, and y is given a graph that has
    them as constants: so y can be differentiated once, and Python has no part in it.
    """

    def __init__(self, potential: TraceablePotential) -> None:
        super().__init__()
        self.inputs = InputReader(potential)
        self.value = TracedFunction(potential.value, potential)
        self.value_and_slopes = None
        if potential.has_slopes:
            self.value_and_slopes = TracedFunction(potential.value_and_slopes, potential)

    def forward(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None = None,
        box: Tensor | None = None,
        q: Tensor | None = None,
        s: Tensor | None = None,
        extra_args: dict[str, Tensor] | None = None,
        num_systems: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Arguments and results as of a call of the model."""
        inputs = self.inputs(z, pos, batch, box, q, s, extra_args, num_systems)
        cell = inputs.box
        is_tracked = inputs.pos.requires_grad or (cell is not None and cell.requires_grad)
        if not is_tracked:
            with torch.no_grad():
                y = self.value(inputs)[0]
        elif self.value_and_slopes is None:
            raise RuntimeError("this model has no scripted gradient: pass positions that do not track gradients")
        else:
            with torch.no_grad():
                values = self.value_and_slopes(inputs)
            along = ((inputs.pos - inputs.pos.detach()) * values[1]).sum(1)  # zeros, with a gradient
            y = values[0].index_add(0, inputs.batch, along.unsqueeze(1))
            if cell is not None:
                y = y + ((cell - cell.detach()) * values[2]).sum([1, 2]).unsqueeze(1)
        return y, inputs.pos.new_zeros([0])
