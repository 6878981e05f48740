"""What every output head is: features of each atom in, a value of each system out."""

import difflib
import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.ops.reduce import reduce_rows

__all__ = ["REDUCE_OPS", "OutputModel", "reduce_atoms"]

REDUCE_OPS = ("add", "sum", "mean", "max", "atom_mean")
"""Ways to reduce atoms to a system; 'mean' and 'max' are TorchMD-NET's, see :mod:`torchmdnet.ops.reduce`."""

OPTIONS_OF_SOME_HEAD = frozenset(
    {"num_layers", "num_hidden_layers", "output_mlp_num_layers", "q_dim", "q_weights", "coulomb_cutoff", "box_vecs"}
)
"""What TorchMD-NET hands to every head, whether or not it has a use for it."""

OPTIONS_OF_NO_HEAD = frozenset({"coulomb_max_num_neighbors", "coulomb_neighbor_strategy"})
"""The same, without an effect on any head here: neighbour lists have no limit and choose by themselves."""


def reduce_atoms(x: Tensor, batch: Tensor, *, num_systems: int, op: str) -> Tensor:
    """Reduce atoms to systems; see :func:`torchmdnet.ops.reduce.reduce_rows`. x: (N, C), batch: (N,) -> (B, C)"""
    return reduce_rows(x, batch, num_systems, op=op)


class OutputModel(nn.Module, ABC):
    """Base of the heads: a subclass defines :meth:`pre_reduce`, and :meth:`post_reduce` where it needs one.

    Args:
        allow_prior_model: Whether a potential adds priors to what the head gives, or leaves them out with a warning;
            None: as the class says.
        reduce_op: How atoms add up to a system, one of ``REDUCE_OPS``.
        static_shapes: Has no effect here: see :func:`torchmdnet.neighbors.use_static_shapes`.
        **options: Those of other heads, which configurations of TorchMD-NET name for every head. One that asks for
            something this head does not have is warned of.

    Raises:
        ValueError: ``reduce_op`` is unknown.
        TypeError: An option is none of any head, or ``allow_prior_model`` is no truth value.
    """

    needs_vectors: ClassVar[bool] = False
    """Whether the head reads the vector features of an equivariant model."""
    needs_charges: ClassVar[bool] = False
    """Whether the head reads the charges that a model predicts."""
    allow_prior_model: bool = True
    """Whether priors, which add energies, are added; that of the class says whether they make sense with the head."""
    is_differentiable: ClassVar[bool] = True
    """Whether the value is one number, which has a gradient."""
    labels: ClassVar[tuple[str, ...]] = ("y",)
    """Fields of a batch that the value can be trained on; the first that is there counts."""
    is_sum: ClassVar[bool] = True
    """Whether the value is the sum of the atoms' terms, with ``reduce_op`` 'add'."""

    def __init__(
        self,
        allow_prior_model: bool | None = None,
        reduce_op: str = "add",
        static_shapes: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self._check_options(options)
        if not isinstance(allow_prior_model, bool | None):
            raise TypeError(
                f"allow_prior_model: got {allow_prior_model!r}, expected true, false or None; in heads of energies it "
                "stands before reduce_op: give both by name"
            )
        if reduce_op not in REDUCE_OPS:
            raise ValueError(f"reduce_op {reduce_op!r} is not known; choose one of {', '.join(REDUCE_OPS)}")
        if allow_prior_model is not None:
            self.allow_prior_model = allow_prior_model
        self.reduce_op = reduce_op

    def _check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse misspelt options and tell of those that cannot have an effect."""
        name = type(self).__name__
        known = {*inspect.signature(type(self)).parameters, *OPTIONS_OF_SOME_HEAD, *OPTIONS_OF_NO_HEAD} - {"options"}
        for key, value in options.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"; did you mean '{close[0]}'?" if close else ""
                raise TypeError(f"'{key}' is not an option of {name}{hint}")
            asks_for_something = value is not None and (not hasattr(value, "__len__") or len(value) > 0) and value != 0
            if key in OPTIONS_OF_SOME_HEAD and asks_for_something:
                warnings.warn(f"{name} has no {key}: {value!r} has no effect", stacklevel=4)

    @abstractmethod
    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        """Contribution of each atom. (N, K)"""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Initialise the weights anew."""

    def reduce(self, x: Tensor, batch: Tensor, *, num_systems: int) -> Tensor:
        """Contributions of atoms to those of systems. x: (N, K), batch: (N,) -> (B, K)"""
        return reduce_atoms(x, batch, num_systems=num_systems, op=self.reduce_op)

    def post_reduce(self, x: Tensor) -> Tensor:
        """Last step on the systems' values. (B, K) -> (B, L)"""
        return x
