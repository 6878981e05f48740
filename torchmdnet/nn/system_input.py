"""From the arguments of a call to a checked :class:`torchmdnet.graph.System`. Letters: N atoms, B systems."""

import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.ops import recording

__all__ = ["make_system"]


def make_system(
    z: Tensor,
    pos: Tensor,
    batch: Tensor | None = None,
    *,
    max_z: int,
    dtype: torch.dtype,
    box: Tensor | None = None,
    pbc: Tensor | None = None,
    q: Tensor | None = None,
    s: Tensor | None = None,
    num_systems: int | None = None,
) -> System:
    """The arguments in a model's types, one box, charge and so on for each system.

    Args:
        z: Atomic numbers, any integer type. (N,)
        pos: Positions. (N, 3)
        batch: System of each atom, any order; None for one system. (N,)
        max_z: Atomic numbers are below this.
        dtype: Type of the model.
        box: (3, 3) or (B, 3, 3)
        pbc: (3,) or (B, 3)
        q: () or (B,)
        s: () or (B,)
        num_systems: B; by default the largest number in ``batch`` plus one.

    Raises:
        ValueError: A shape does not fit, or an atomic number is out of range.
        TypeError: Atomic numbers or system numbers are no integers, or positions are.
    """
    if not pos.is_floating_point():
        raise TypeError(f"pos must be floating point; got {pos.dtype}")
    if pos.ndim != 2 or pos.shape[1] != 3:
        raise ValueError(f"pos must have shape (N, 3); got {tuple(pos.shape)}")
    z = _atomic_numbers(z, num_atoms=pos.shape[0], max_z=max_z)
    if batch is None:
        batch, num_systems = torch.zeros_like(z), num_systems or 1
    batch = _integers(batch, "batch")
    if batch.shape != z.shape:
        raise ValueError(f"batch must name the system of each of the {len(z)} atoms; got shape {tuple(batch.shape)}")
    if num_systems is None:
        if torch.compiler.is_compiling():
            raise ValueError(
                "the number of systems cannot be read from batch in compiled code: pass num_systems, or call the model "
                "once before it is compiled"
            )
        num_systems = int(batch.max()) + 1 if len(batch) else 0
    return System(
        z=z,
        pos=pos.to(dtype),
        batch=batch,
        num_systems=num_systems,
        box=None if box is None else _for_each(box.to(dtype), (3, 3), num_systems=num_systems, name="box"),
        pbc=None if pbc is None else _for_each(pbc.to(torch.bool), (3,), num_systems=num_systems, name="pbc"),
        q=None if q is None else _for_each(q.to(dtype), (), num_systems=num_systems, name="q"),
        s=None if s is None else _for_each(s.to(dtype), (), num_systems=num_systems, name="s"),
    )


def _integers(values: Tensor, name: str) -> Tensor:
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise TypeError(f"{name} must hold integers; got {values.dtype}")
    return values.long()


def _atomic_numbers(z: Tensor, *, num_atoms: int, max_z: int) -> Tensor:
    z = _integers(z, "z")
    if z.shape != (num_atoms,):
        raise ValueError(
            f"z must hold an atomic number for each of the {num_atoms} atoms in pos; got shape {tuple(z.shape)}"
        )
    if num_atoms and not recording.is_recorded(z):
        low, high = torch.aminmax(z)
        if int(low) < 0 or int(high) >= max_z:
            atom = int(((z < 0) | (z >= max_z)).nonzero()[0])
            raise ValueError(
                f"the atomic number of atom {atom} is {int(z[atom])}, this model knows 0 to {max_z - 1}: "
                "check z, or use a model with a larger max_z"
            )
    return z


def _for_each(value: Tensor, shape: tuple[int, ...], *, num_systems: int, name: str) -> Tensor:
    """One row for each system, from as many or from one for all."""
    wanted = (num_systems, *shape)
    if value.shape not in (shape, (1, *shape), wanted):
        raise ValueError(
            f"{name} must have shape {wanted}, or {shape} for all {num_systems} systems; got {tuple(value.shape)}"
        )
    return value.expand(wanted)
