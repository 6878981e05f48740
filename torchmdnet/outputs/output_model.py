"""What every output head is: features of each atom in, a value of each system out."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.ops.reduce import reduce_rows

__all__ = ["REDUCE_OPS", "OutputModel", "reduce_atoms"]

REDUCE_OPS = ("add", "sum", "mean", "max", "atom_mean")
"""Ways to reduce atoms to a system; 'mean' and 'max' are TorchMD-NET's, see :mod:`torchmdnet.ops.reduce`."""


def reduce_atoms(x: Tensor, batch: Tensor, *, num_systems: int, op: str) -> Tensor:
    """Reduce atoms to systems; see :func:`torchmdnet.ops.reduce.reduce_rows`. x: (N, C), batch: (N,) -> (B, C)"""
    return reduce_rows(x, batch, num_systems, op=op)


class OutputModel(nn.Module, ABC):
    """Base of the heads: a subclass defines :meth:`pre_reduce`, and :meth:`post_reduce` where it needs one."""

    needs_vectors: ClassVar[bool] = False
    """Whether the head reads the vector features of an equivariant model."""
    needs_charges: ClassVar[bool] = False
    """Whether the head reads the charges that a model predicts."""
    allows_prior: ClassVar[bool] = True
    """Whether priors, which add energies, make sense with this head."""
    is_differentiable: ClassVar[bool] = True
    """Whether the value is one number, which has a gradient."""
    labels: ClassVar[tuple[str, ...]] = ("y",)
    """Fields of a batch that the value can be trained on; the first that is there counts."""
    is_sum: ClassVar[bool] = True
    """Whether the value is the sum of the atoms' terms, with ``reduce_op`` 'add'."""

    def __init__(self, *, reduce_op: str = "add") -> None:
        super().__init__()
        if reduce_op not in REDUCE_OPS:
            raise ValueError(f"reduce_op {reduce_op!r} is not known; choose one of {', '.join(REDUCE_OPS)}")
        self.reduce_op = reduce_op

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
