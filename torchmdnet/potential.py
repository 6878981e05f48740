"""The potential: graph, representation, head and priors to energy, forces and stress.

The only place where energies are differentiated. Letters in shapes: N atoms, B systems.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchmdnet.graph import System
from torchmdnet.models import MODELS
from torchmdnet.models.atom_filter import AtomFilter
from torchmdnet.nn.representation import Representation
from torchmdnet.outputs.output_model import OutputModel

__all__ = ["Ensemble", "Prediction", "TorchMD_Net"]

ExtraArgs = Mapping[str, Any]


class Prediction(NamedTuple):
    """What a potential says of B systems with N atoms."""

    energy: Tensor
    """Energy, or the head's other quantity, of each system. (B, 1)"""
    forces: Tensor | None = None
    """Minus the gradient with respect to positions. (N, 3)"""
    stress: Tensor | None = None
    r"""Strain derivative over volume, :math:`\frac1V \partial E / \partial \epsilon` (sign as in ASE). (B, 3, 3)"""
    energies: Tensor | None = None
    """Share of each atom; together with ``mean`` and pair priors they add up to the energy. (N, 1)"""


class TorchMD_Net(nn.Module):  # noqa: N801  the public name
    r"""A representation, a head and priors, with derivatives.

    The value of a system is :math:`y = \mathrm{post}(\sum_i (\sigma x_i + \mathrm{prior}_i) + \mu)`, x the head's terms.

    Args:
        representation_model: Gives every atom its features.
        output_model: Head: features to a value.
        prior_model: Physical terms, one or several.
        mean: µ, added to each system's sum.
        std: σ, a factor of each atom's term.
        derivative: Whether a call returns forces too.
        dtype: Type of all weights and of the arithmetic.

    Raises:
        ValueError: The parts do not fit together.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        representation_model: Representation,
        output_model: OutputModel,
        prior_model: nn.Module | Sequence[nn.Module] | None = None,
        mean: Tensor | float | None = None,
        std: Tensor | float | None = None,
        derivative: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if output_model.needs_vectors and not representation_model.is_equivariant:
            raise ValueError(
                f"{type(output_model).__name__} reads vector features, {type(representation_model).__name__} has none: "
                "use the equivariant-transformer, or a head without vectors"
            )
        priors = [prior_model] if isinstance(prior_model, nn.Module) else list(prior_model or [])
        if priors and not output_model.allows_prior:
            warnings.warn(
                f"{type(output_model).__name__} is no energy: its priors ({', '.join(_names(priors))}) are left out",
                stacklevel=2,
            )
            priors = []
        self.representation_model = representation_model
        self.output_model = output_model
        self.prior_model = nn.ModuleList(priors) if priors else None
        self.derivative = derivative
        self.register_buffer("mean", torch.as_tensor(0.0 if mean is None else mean).reshape(()))
        self.register_buffer("std", torch.as_tensor(1.0 if std is None else std).reshape(()))
        self._ignored_inputs_told = False
        self.to(dtype)
        if derivative:
            self._check_differentiable()

    def reset_parameters(self) -> None:
        """Initialise the weights of all parts anew."""
        self.representation_model.reset_parameters()
        self.output_model.reset_parameters()
        for prior in self.prior_model or ():
            prior.reset_parameters()

    def forward(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None = None,
        box: Tensor | None = None,
        q: Tensor | None = None,
        s: Tensor | None = None,
        extra_args: ExtraArgs | None = None,
        num_systems: int | None = None,
        pbc: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Value of each system and, with ``derivative``, minus its gradient.

        In evaluation mode forces and values come without a graph; ``pos`` is never changed.

        Args:
            z: Atomic numbers, any integer type. (N,)
            pos: Positions. (N, 3)
            batch: System of each atom, in any order; None for one system. (N,)
            box: Cell vectors as rows, one cell for all systems or one for each. (3, 3) or (B, 3, 3)
            q: Total charge of each system, e. (B,)
            s: Spin of each system. (B,)
            extra_args: Further fields of the batch, which priors may read.
            num_systems: B; by default the largest number in ``batch`` plus one.
            pbc: Which axes are periodic; None with a box means all. (3,) or (B, 3)

        Returns:
            y (B, 1) and forces (N, 3), or an empty tensor (0,) without ``derivative``.

        Raises:
            ValueError: A shape, an atomic number or a position is wrong.
            TypeError: A tensor has a wrong type.
        """
        system = self._system(z, pos, batch, box=box, pbc=pbc, q=q, s=s, num_systems=num_systems)
        if not self.derivative:
            return self._evaluate(system, extra_args)[0], torch.empty(0, dtype=self.mean.dtype, device=pos.device)
        energy, forces, _, _ = self._differentiate(system, extra_args, forces=True, stress=False)
        if forces is None:
            raise RuntimeError("forces were asked for and not computed")
        return energy, forces

    def compute(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None = None,
        *,
        box: Tensor | None = None,
        pbc: Tensor | None = None,
        q: Tensor | None = None,
        s: Tensor | None = None,
        extra_args: ExtraArgs | None = None,
        num_systems: int | None = None,
        forces: bool = True,
        stress: bool = False,
        energies: bool = False,
    ) -> Prediction:
        """Whatever is asked for, in one evaluation, whether or not ``derivative`` is set. Arguments as in a call.

        Raises:
            ValueError: As in a call; or stress was asked for and there is no box with a volume.
        """
        system = self._system(z, pos, batch, box=box, pbc=pbc, q=q, s=s, num_systems=num_systems)
        if forces or stress:
            prediction = self._differentiate(system, extra_args, forces=forces, stress=stress)
        else:
            energy, terms = self._evaluate(system, extra_args)
            prediction = Prediction(energy, energies=terms)
        return prediction if energies else prediction._replace(energies=None)

    def _differentiate(self, system: System, extra_args: ExtraArgs | None, *, forces: bool, stress: bool) -> Prediction:
        """Values and derivatives, with a graph in training mode alone."""
        self._check_differentiable()
        with torch.inference_mode(False), torch.enable_grad():
            # Only if the caller tracks gradients himself can anybody differentiate the forces once more.
            is_tracked = system.pos.requires_grad or (system.box is not None and system.box.requires_grad)
            pos = system.pos if system.pos.requires_grad else system.pos.detach().clone().requires_grad_()
            system = system._replace(pos=pos)
            wanted = [pos] if forces else []
            strain = None
            if stress:
                strain = torch.zeros_like(_cells(system)).requires_grad_()
                wanted.append(strain)
                system = _strained(system, strain)
            energy, terms = self._evaluate(system, extra_args, second_derivatives=is_tracked)
            gradients = torch.autograd.grad(energy.sum(), wanted, create_graph=self.training, materialize_grads=True)
        virial = gradients[-1] / torch.linalg.det(_cells(system)).abs()[:, None, None] if stress else None
        if not self.training:
            energy, terms = energy.detach(), terms.detach()
            virial = None if virial is None else virial.detach()
        return Prediction(energy, -gradients[0] if forces else None, virial, terms)

    def _evaluate(
        self, system: System, extra_args: ExtraArgs | None, *, second_derivatives: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Value of each system (B, K) and terms of its atoms (N, K)."""
        extra = dict(extra_args or {})
        if system.pbc is not None:
            extra["pbc"] = system.pbc
        features = self.representation_model.represent(system, second_derivatives=second_derivatives)
        kept = features.system
        terms = self.output_model.pre_reduce(features) * self.std
        for prior in self.prior_model or ():
            terms = prior.pre_reduce(terms, kept.z, kept.pos, kept.batch, extra)
        y = self.output_model.reduce(terms, kept.batch, num_systems=kept.num_systems) + self.mean
        y = self.output_model.post_reduce(y)
        for prior in self.prior_model or ():
            y = prior.post_reduce(y, kept.z, kept.pos, kept.batch, kept.box, extra)
        return y, terms

    def _check_differentiable(self) -> None:
        if isinstance(self.representation_model, AtomFilter):
            raise ValueError("atom_filter drops atoms, so that forces are not defined: use derivative=False")
        if not self.output_model.is_differentiable:
            raise ValueError(f"{type(self.output_model).__name__} has several values: forces are not defined")

    def _system(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None,
        *,
        box: Tensor | None,
        pbc: Tensor | None,
        q: Tensor | None,
        s: Tensor | None,
        num_systems: int | None,
    ) -> System:
        """The arguments of a call, checked and in the model's types."""
        dtype = self.mean.dtype
        if not pos.is_floating_point() or pos.ndim != 2 or pos.shape[1] != 3:
            raise ValueError(f"pos must be floating point of shape (N, 3); got {pos.dtype} {tuple(pos.shape)}")
        z = _checked_z(z, num_atoms=pos.shape[0], max_z=self.representation_model.max_z)
        if batch is None:
            batch, num_systems = torch.zeros_like(z), num_systems or 1
        if batch.shape != z.shape or batch.is_floating_point():
            raise ValueError(f"batch must hold an integer for each of {z.shape[0]} atoms; got {tuple(batch.shape)}")
        if num_systems is None:
            num_systems = int(batch.max()) + 1 if batch.shape[0] else 0
        if box is None:
            box = self.representation_model.default_box()
        if box is not None:
            box = _for_each_system(box.to(dtype), (3, 3), num_systems=num_systems, name="box")
        if pbc is not None:
            pbc = _for_each_system(pbc.to(torch.bool), (3,), num_systems=num_systems, name="pbc")
        if q is not None:
            q = _for_each_system(q.to(dtype), (), num_systems=num_systems, name="q")
        if s is not None:
            s = _for_each_system(s.to(dtype), (), num_systems=num_systems, name="s")
        if not self._ignored_inputs_told:
            self._tell_ignored_inputs(q, s)
        return System(z=z, pos=pos.to(dtype), batch=batch.long(), num_systems=num_systems, box=box, pbc=pbc, q=q, s=s)

    def _tell_ignored_inputs(self, q: Tensor | None, s: Tensor | None) -> None:
        """Warn once when a charge or spin that is not zero has no effect."""
        model = self.representation_model
        for value, is_used, name, what in (
            (q, model.uses_charge, "uses_charge", "charges q"),
            (s, model.uses_spin, "uses_spin", "spins s"),
        ):
            if value is None or is_used or not bool(value.any()):
                continue
            users = [key for key, cls in MODELS.items() if getattr(cls, name)]
            warnings.warn(
                f"{type(model).__name__} ignores the {what}; models that use them: {', '.join(users) or 'none'}",
                stacklevel=4,
            )
            self._ignored_inputs_told = True


def _names(modules: Sequence[nn.Module]) -> list[str]:
    return [type(module).__name__ for module in modules]


def _checked_z(z: Tensor, *, num_atoms: int, max_z: int) -> Tensor:
    """Atomic numbers as int64. Raises where they do not fit the positions or the embedding."""
    if z.is_floating_point() or z.is_complex() or z.dtype == torch.bool:
        raise TypeError(f"z must hold integers (atomic numbers); got {z.dtype}")
    if z.shape != (num_atoms,):
        raise ValueError(
            f"z must hold one atomic number for each of the {num_atoms} atoms in pos; got {tuple(z.shape)}"
        )
    if num_atoms and not torch.compiler.is_compiling():
        low, high = torch.aminmax(z)
        if int(low) < 0 or int(high) >= max_z:
            atom = int(((z < 0) | (z >= max_z)).nonzero()[0])
            raise ValueError(
                f"z of atom {atom} is {int(z[atom])}; this model knows 0 to {max_z - 1} (max_z: {max_z}): "
                "check the input, or train with a larger max_z"
            )
    return z.long()


def _for_each_system(value: Tensor, shape: tuple[int, ...], *, num_systems: int, name: str) -> Tensor:
    """One row for each system, from that or from one for all."""
    wanted = (num_systems, *shape)
    if value.shape not in (shape, (1, *shape), wanted):
        raise ValueError(
            f"{name} must have shape {shape} or {wanted} for {num_systems} systems; got {tuple(value.shape)}"
        )
    return value.expand(wanted)


def _cells(system: System) -> Tensor:
    """Cells with a volume. Raises ValueError when one is missing."""
    if system.box is None:
        raise ValueError("stress needs a box: pass box=..., rows a, b, c")
    return system.box


def _strained(system: System, strain: Tensor) -> System:
    """Positions and cells under a symmetric strain. strain: (B, 3, 3)"""
    symmetric = 0.5 * (strain + strain.transpose(1, 2))
    moved = torch.bmm(system.pos.unsqueeze(1), symmetric[system.batch]).squeeze(1)
    cells = _cells(system)
    return system._replace(pos=system.pos + moved, box=cells + torch.bmm(cells, symmetric))


class Ensemble(nn.ModuleList):
    """Several potentials as one: means over the members, and their spread.

    Args:
        modules: The members.
        return_std: Whether a call returns the standard deviations too.

    Raises:
        TypeError: A member is no :class:`TorchMD_Net`.
    """

    def __init__(self, modules: Sequence[nn.Module], return_std: bool = False) -> None:
        for module in modules:
            if not isinstance(module, TorchMD_Net):
                raise TypeError(f"an ensemble is made of TorchMD_Net models; got {type(module).__name__}")
        super().__init__(modules)
        self.return_std = return_std

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        """Arguments as of :class:`TorchMD_Net`. -> mean y, mean forces[, unbiased std of y, of forces]"""
        y, neg_dy = (torch.stack(values) for values in zip(*(model(*args, **kwargs) for model in self), strict=True))
        means = (y.mean(0), neg_dy.mean(0))
        return (*means, y.std(0), neg_dy.std(0)) if self.return_std else means

    def compute(self, *args: Any, **kwargs: Any) -> Prediction:
        """Mean of the members' predictions. Arguments as of :meth:`TorchMD_Net.compute`."""
        members = [model.compute(*args, **kwargs) for model in self if isinstance(model, TorchMD_Net)]
        fields = zip(*members, strict=True)
        return Prediction(*(None if field[0] is None else torch.stack(field).mean(0) for field in fields))
