"""Output heads by their names in a configuration."""

from torchmdnet.outputs.dipole_moment import (
    DipoleMoment,
    DipoleVector,
    EquivariantDipoleMoment,
    EquivariantDipoleVector,
)
from torchmdnet.outputs.electronic_spatial_extent import ElectronicSpatialExtent, EquivariantElectronicSpatialExtent
from torchmdnet.outputs.output_model import OutputModel
from torchmdnet.outputs.scalar import EquivariantScalar, Scalar
from torchmdnet.outputs.vector_output import EquivariantVectorOutput
from torchmdnet.outputs.weighted_coulomb import ScalarPlusWeightedCoulomb

__all__ = [
    "OUTPUTS",
    "DipoleMoment",
    "DipoleVector",
    "ElectronicSpatialExtent",
    "EquivariantDipoleMoment",
    "EquivariantDipoleVector",
    "EquivariantElectronicSpatialExtent",
    "EquivariantScalar",
    "EquivariantVectorOutput",
    "OutputModel",
    "Scalar",
    "ScalarPlusWeightedCoulomb",
]

OUTPUTS: dict[str, type[OutputModel]] = {
    "Scalar": Scalar,
    "EquivariantScalar": EquivariantScalar,
    "DipoleMoment": DipoleMoment,
    "EquivariantDipoleMoment": EquivariantDipoleMoment,
    "DipoleVector": DipoleVector,
    "EquivariantDipoleVector": EquivariantDipoleVector,
    "ElectronicSpatialExtent": ElectronicSpatialExtent,
    "EquivariantElectronicSpatialExtent": EquivariantElectronicSpatialExtent,
    "VectorOutput": EquivariantVectorOutput,
    "EquivariantVectorOutput": EquivariantVectorOutput,
    "ScalarPlusWeightedCoulomb": ScalarPlusWeightedCoulomb,
}
