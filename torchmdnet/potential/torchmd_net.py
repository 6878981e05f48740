"""The potential: graph, representation, head and priors to energy, forces and stress.

The only place where energies are differentiated. Letters in shapes: N atoms, B systems.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchmdnet.graph import System
from torchmdnet.models import MODELS
from torchmdnet.models.atom_filter import AtomFilter
from torchmdnet.nn.representation import Representation
from torchmdnet.nn.strain import cells, strained, with_leaf_positions
from torchmdnet.nn.system_input import make_system
from torchmdnet.ops import recording
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.outputs.output_model import OutputModel
from torchmdnet.potential.fit_of_parts import check_differentiable, check_fit
from torchmdnet.potential.prediction import Prediction
from torchmdnet.potential.scripting import scriptable
from torchmdnet.priors.base import BasePrior

__all__ = ["TorchMD_Net"]

ExtraArgs = Mapping[str, Any]


class TorchMD_Net(nn.Module):  # noqa: N801  the public name
    r"""A representation, a head and priors, with derivatives.

    The value of a system is :math:`y = \mathrm{post}(\sum_i (\sigma x_i + \mathrm{prior}_i) + \mu)` with the head's
    terms x; a prior may add to y as a whole, too.

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
        prior_model: BasePrior | Sequence[BasePrior] | None = None,
        mean: Tensor | float | None = None,
        std: Tensor | float | None = None,
        derivative: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_fit(representation_model, output_model, has_mean=mean is not None and bool(torch.as_tensor(mean).any()))
        priors = [prior_model] if isinstance(prior_model, BasePrior) else list(prior_model or [])
        if priors and not output_model.allow_prior_model:
            warnings.warn(
                f"{type(output_model).__name__} allows no priors: {', '.join(_names(priors))} are left out",
                stacklevel=2,
            )
            priors = []
        self.representation_model = representation_model
        self.output_model = output_model
        self.prior_model = nn.ModuleList(priors) if priors else None
        self.derivative = derivative
        self.register_buffer("mean", torch.as_tensor(0.0 if mean is None else mean).reshape(()))
        self.register_buffer("std", torch.as_tensor(1.0 if std is None else std).reshape(()))
        self._ignored_inputs_told: set[str] = set()
        # Compiled code cannot read the number of systems from batch, and callers such as OpenMM-ML pass batch alone:
        # they call once before they compile, and the number of that call is the number of the compiled ones.
        self._num_systems_of_last_call: int | None = None
        self.to(dtype)
        if derivative:
            check_differentiable(self.representation_model, self.output_model)

    def reset_parameters(self) -> None:
        """Initialise the weights of all parts anew."""
        self.representation_model.reset_parameters()
        self.output_model.reset_parameters()
        for prior in self._priors():
            prior.reset_parameters()

    def setup_for_inference(self, z: Tensor, batch: Tensor) -> None:
        """Has no effect: see :meth:`torchmdnet.nn.representation.Representation.setup_for_inference`. z, batch: (N,)"""

    def __prepare_scriptable__(self) -> nn.Module:
        """What ``torch.jit.script`` takes in the place of the model, by itself or inside a module."""
        return scriptable(self)

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
            num_systems: B; by default the largest number in ``batch`` plus one, in compiled code B of the last call
                that was not compiled.
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
        prediction = self._differentiate(system, extra_args, forces=True, stress=False)
        if prediction.forces is None:
            raise RuntimeError("forces were asked for and not computed")
        return prediction.energy, prediction.forces

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
        shares = self._atom_energies if energies else None
        if forces or stress:
            return self._differentiate(system, extra_args, forces=forces, stress=stress, shares=shares)
        y, terms = self._evaluate(system, extra_args)
        return Prediction(y, energies=None if shares is None else shares(terms, system, extra_args))

    def _differentiate(
        self,
        system: System,
        extra_args: ExtraArgs | None,
        *,
        forces: bool,
        stress: bool,
        shares: Callable[[Tensor, System, ExtraArgs | None], Tensor] | None = None,
    ) -> Prediction:
        """Values and derivatives, with a graph in training mode alone."""
        check_differentiable(self.representation_model, self.output_model)
        with torch.inference_mode(False), torch.enable_grad():
            system = with_leaf_positions(system)
            wanted = [system.pos] if forces else []
            # Nobody but a caller who tracks gradients himself can differentiate the forces by positions once more.
            is_tracked = not system.pos.is_leaf or (system.box is not None and system.box.requires_grad)
            virtual = system
            if stress:
                strain = torch.zeros_like(cells(system)).requires_grad_()
                wanted.append(strain)
                virtual = strained(system, strain)
            y, terms = self._evaluate(virtual, extra_args, second_derivatives=is_tracked)
            gradients = torch.autograd.grad(y.sum(), wanted, create_graph=self.training, materialize_grads=True)
            energies = None if shares is None else shares(terms, virtual, extra_args)
        volume = torch.linalg.det(cells(system)).abs()[:, None, None] if stress else None
        prediction = Prediction(
            energy=y,
            forces=-gradients[0] if forces else None,
            stress=None if volume is None else gradients[-1] / volume,
            energies=energies,
        )
        return prediction if self.training else prediction.without_graph()

    def _evaluate(
        self, system: System, extra_args: ExtraArgs | None, *, second_derivatives: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Value of each system (B, K) and terms of its atoms (N, K)."""
        extra = _extra(system, extra_args)
        features = self.representation_model.represent(system, second_derivatives=second_derivatives)
        kept = features.system
        terms = self.output_model.pre_reduce(features)
        if features.energies is not None:
            terms = terms + features.energies
        terms = terms * self.std
        for prior in self._priors():
            terms = prior.pre_reduce(terms, kept.z, kept.pos, kept.batch, extra)
        y = self.output_model.reduce(terms, kept.batch, num_systems=kept.num_systems) + self.mean
        y = self.output_model.post_reduce(y)
        for prior in self._priors():
            y = prior.post_reduce(y, kept.z, kept.pos, kept.batch, kept.box, extra)
        return y, terms

    def _atom_energies(self, terms: Tensor, system: System, extra_args: ExtraArgs | None) -> Tensor:
        """Share of each atom in the energy, which they add up to. (N, 1)"""
        head = self.output_model
        if head.reduce_op not in ("add", "sum") or not head.is_sum:
            raise ValueError(
                f"energies of atoms are defined for a sum over atoms, not for {type(head).__name__} "
                f"with reduce_op {head.reduce_op!r}"
            )
        if isinstance(self.representation_model, AtomFilter):
            raise ValueError("atom_filter drops atoms, so that energies of atoms are not defined")
        ones = torch.ones_like(terms)
        energies = terms + self.mean / scatter_sum(ones, system.batch, system.num_systems)[system.batch]
        for prior in self._priors():
            share = prior.atom_energies(system, _extra(system, extra_args))
            if share is not None:
                energies = energies + share
            elif type(prior).post_reduce is not BasePrior.post_reduce:
                raise ValueError(f"the prior {type(prior).__name__} does not say how atoms share its energy")
        return energies

    def _priors(self) -> list[BasePrior]:
        return [prior for prior in self.prior_model or () if isinstance(prior, BasePrior)]

    def _system(self, z: Tensor, pos: Tensor, batch: Tensor | None, *, box: Tensor | None, **others: Any) -> System:
        """The arguments of a call, checked and in the model's types."""
        model = self.representation_model
        box = model.default_box() if box is None else box
        is_compiling = torch.compiler.is_compiling()
        is_recalled = is_compiling and batch is not None and others["num_systems"] is None
        if is_recalled:
            others["num_systems"] = self._num_systems_of_last_call
        system = make_system(z, pos, batch, max_z=model.max_z, dtype=self.mean.dtype, box=box, **others)
        if is_recalled:
            torch._assert_async(
                (system.batch < system.num_systems).all(),
                "batch holds more systems than the call before compilation: pass num_systems",
            )
        if not is_compiling:
            self._num_systems_of_last_call = system.num_systems
            if not recording.is_captured(system.pos):
                self._tell_ignored_inputs(system.q, system.s)
        return system

    def _tell_ignored_inputs(self, q: Tensor | None, s: Tensor | None) -> None:
        """Warn when a charge or a spin that is not zero has no effect, once of each."""
        model = self.representation_model
        for value, is_used, name, what in (
            (q, model.uses_charge, "uses_charge", "charges q"),
            (s, model.uses_spin, "uses_spin", "spins s"),
        ):
            if value is None or is_used or name in self._ignored_inputs_told or not bool(value.any()):
                continue
            users = [key + cls.conditions.get(name, "") for key, cls in MODELS.items() if getattr(cls, name)]
            warnings.warn(
                f"{type(model).__name__} ignores the {what}; models that use them: {', '.join(users) or 'none'}",
                stacklevel=4,
            )
            self._ignored_inputs_told.add(name)


def _names(modules: Sequence[nn.Module]) -> list[str]:
    return [type(module).__name__ for module in modules]


def _extra(system: System, extra_args: ExtraArgs | None) -> dict[str, Any]:
    """Further fields for the priors, and the periodic axes, for which their signature has no place."""
    extra = dict(extra_args or {})
    if system.pbc is not None:
        extra["pbc"] = system.pbc
    return extra
