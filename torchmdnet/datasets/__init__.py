"""Data sets by the name used for the option ``dataset``."""

from torchmdnet.datasets.ace import Ace
from torchmdnet.datasets.ace_hf import AceHF
from torchmdnet.datasets.ani1 import ANI1
from torchmdnet.datasets.ani1ccx import ANI1CCX
from torchmdnet.datasets.ani1x import ANI1X
from torchmdnet.datasets.ani2x import ANI2X
from torchmdnet.datasets.ase_database import ASEDatabase
from torchmdnet.datasets.comp6v1 import ANIMD, S66X8, COMP6v1, DrugBank, GDB07to09, GDB10to13, Tripeptides
from torchmdnet.datasets.comp6v2 import COMP6v2
from torchmdnet.datasets.custom import Custom
from torchmdnet.datasets.extxyz import ExtXYZ
from torchmdnet.datasets.genentech_torsions import GenentechTorsions
from torchmdnet.datasets.hdf5 import HDF5
from torchmdnet.datasets.maceoff import MACEOFF
from torchmdnet.datasets.md17 import MD17
from torchmdnet.datasets.md22 import MD22
from torchmdnet.datasets.mdcath import MDCATH
from torchmdnet.datasets.qm9 import QM9
from torchmdnet.datasets.qm9q import QM9q
from torchmdnet.datasets.spice import SPICE
from torchmdnet.datasets.stored_dataset import StoredDataset
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.datasets.water_box import WaterBox

__all__ = [
    "ANI1",
    "ANI1CCX",
    "ANI1X",
    "ANI2X",
    "ANIMD",
    "DATASETS",
    "HDF5",
    "MACEOFF",
    "MD17",
    "MD22",
    "MDCATH",
    "QM9",
    "S66X8",
    "SPICE",
    "ASEDatabase",
    "Ace",
    "AceHF",
    "COMP6v1",
    "COMP6v2",
    "Custom",
    "DatasetError",
    "DrugBank",
    "ExtXYZ",
    "GDB07to09",
    "GDB10to13",
    "GenentechTorsions",
    "QM9q",
    "StoredDataset",
    "Tripeptides",
    "WaterBox",
]

DATASETS: dict[str, type[StoredDataset]] = {
    "HDF5": HDF5,
    "Custom": Custom,
    "QM9": QM9,
    "QM9q": QM9q,
    "MD17": MD17,
    "MD22": MD22,
    "ExtXYZ": ExtXYZ,
    "ASEDatabase": ASEDatabase,
    "ANI1": ANI1,
    "ANI1X": ANI1X,
    "ANI1CCX": ANI1CCX,
    "ANI2X": ANI2X,
    "ANIMD": ANIMD,
    "DrugBank": DrugBank,
    "GDB07to09": GDB07to09,
    "GDB10to13": GDB10to13,
    "Tripeptides": Tripeptides,
    "S66X8": S66X8,
    "COMP6v1": COMP6v1,
    "COMP6v2": COMP6v2,
    "SPICE": SPICE,
    "MACEOFF": MACEOFF,
    "Ace": Ace,
    "AceHF": AceHF,
    "GenentechTorsions": GenentechTorsions,
    "MDCATH": MDCATH,
    "WaterBox": WaterBox,
}
