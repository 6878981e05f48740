"""Import paths of TorchMD-NET."""

from torchmdnet.outputs import (
    OUTPUTS,
    DipoleMoment,
    DipoleVector,
    ElectronicSpatialExtent,
    EquivariantDipoleMoment,
    EquivariantDipoleVector,
    EquivariantElectronicSpatialExtent,
    EquivariantScalar,
    EquivariantVectorOutput,
    OutputModel,
    Scalar,
    ScalarPlusWeightedCoulomb,
)

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
