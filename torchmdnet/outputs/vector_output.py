"""A vector of each system."""

from torch import Tensor

from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.outputs.network_head import PropertyHead
from torchmdnet.outputs.output_model import reduce_atoms
from torchmdnet.outputs.scalar import EquivariantScalar, through_gated_network

__all__ = ["EquivariantVectorOutput"]


class EquivariantVectorOutput(PropertyHead, EquivariantScalar):
    """Sum of the atoms' vectors, (B, 3): always a sum, whatever ``reduce_op`` the configuration names."""

    is_sum = False
    is_differentiable = False
    labels = ("dp", "y")

    def pre_reduce(self, features: AtomFeatures) -> Tensor:
        _, v = through_gated_network(self.output_network, features)
        return v.squeeze(-1)

    def reduce(self, x: Tensor, batch: Tensor, *, num_systems: int) -> Tensor:
        return reduce_atoms(x, batch, num_systems=num_systems, op="add")
