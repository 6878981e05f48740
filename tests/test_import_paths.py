"""Import lines of TorchMD-NET's users, each of which works here."""

import importlib

import pytest
import torch
from small_models import small_model, two_molecules

import torchmdnet

HEADS = (
    "OutputModel Scalar EquivariantScalar DipoleMoment EquivariantDipoleMoment ElectronicSpatialExtent "
    "EquivariantElectronicSpatialExtent EquivariantVectorOutput ScalarPlusWeightedCoulomb"
)
DATASETS = (
    "Ace AceHF ANIMD ANI1 ANI1CCX ANI1X ANI2X COMP6v1 COMP6v2 Custom DrugBank GDB07to09 GDB10to13 GenentechTorsions "
    "HDF5 MDCATH MD17 MD22 QM9 QM9q S66X8 SPICE Tripeptides WaterBox MACEOFF"
)
NAMES = {
    "torchmdnet.calculators": "External TMDNETCalculator tranforms",
    "torchmdnet.data": "DataModule",
    "torchmdnet.datasets": DATASETS,
    "torchmdnet.datasets.ace": "Ace",
    "torchmdnet.datasets.ani": "ANI1 ANI1X ANI1CCX ANI2X",
    "torchmdnet.datasets.comp6": "ANIMD DrugBank GDB07to09 GDB10to13 Tripeptides S66X8 COMP6v1 COMP6v2",
    "torchmdnet.datasets.custom": "Custom",
    "torchmdnet.datasets.genentech": "GenentechTorsions",
    "torchmdnet.datasets.hdf": "HDF5",
    "torchmdnet.datasets.maceoff": "MACEOFF",
    "torchmdnet.datasets.md17": "MD17",
    "torchmdnet.datasets.md22": "MD22",
    "torchmdnet.datasets.mdcath": "MDCATH",
    "torchmdnet.datasets.qm9": "QM9",
    "torchmdnet.datasets.qm9q": "QM9q",
    "torchmdnet.datasets.spice": "SPICE",
    "torchmdnet.datasets.water": "WaterBox",
    "torchmdnet.models.model": "create_model create_prior_models load_model load_ensemble TorchMD_Net Ensemble",
    "torchmdnet.models.output_modules": HEADS,
    "torchmdnet.models.tensornet": "TensorNet",
    "torchmdnet.models.tensornet2": "TensorNet2",
    "torchmdnet.models.torchmd_et": "TorchMD_ET",
    "torchmdnet.models.torchmd_gn": "TorchMD_GN",
    "torchmdnet.models.torchmd_t": "TorchMD_T",
    "torchmdnet.models.utils": (
        "OptimizedDistance CosineCutoff ExpNormalSmearing GaussianSmearing rbf_class_mapping act_class_mapping "
        "ShiftedSoftplus Swish GLU SwiGLU MLP NeighborEmbedding GatedEquivariantBlock scatter RepulsionZBL"
    ),
    "torchmdnet.models.wrappers": "AtomFilter",
    "torchmdnet.module": "LNNP",
    "torchmdnet.optimize": "optimize",
    "torchmdnet.priors": "Atomref LearnableAtomref D2 ZBL Coulomb",
    "torchmdnet.priors.atomref": "Atomref",
    "torchmdnet.priors.base": "BasePrior",
    "torchmdnet.priors.coulomb": "Coulomb",
    "torchmdnet.priors.d2": "D2",
    "torchmdnet.priors.zbl": "ZBL",
    "torchmdnet.scripts.train": "main",
    "torchmdnet.utils": "write_as_hdf5 make_splits train_val_test_split number save_argparse",
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in NAMES.items() for name in names.split()]
)
def test_import_line_of_torchmd_net_works(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", NAMES)
def test_a_re_exported_name_is_the_one_of_this_package(module: str) -> None:
    for name in NAMES[module].split():
        source = getattr(importlib.import_module(module), name)
        home = getattr(source, "__module__", None)
        assert home is None or home.split(".")[0] == torchmdnet.__name__


@pytest.mark.parametrize(
    "model", ["tensornet", "tensornet2", "equivariant-transformer", "graph-network", "transformer"]
)
def test_setup_for_inference_leaves_the_model_open_to_any_molecule(model: str) -> None:
    potential = small_model(model)
    z, pos, batch = two_molecules()
    before = potential(z, pos, batch)
    potential.setup_for_inference(z[:3], batch[:3])
    potential.representation_model.setup_for_inference(z[:3], batch[:3])
    for got, expected in zip(potential(z, pos, batch), before, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=0)
