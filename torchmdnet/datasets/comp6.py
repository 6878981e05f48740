"""Import paths of TorchMD-NET."""

from torchmdnet.datasets.comp6v1 import ANIMD, S66X8, COMP6v1, DrugBank, GDB07to09, GDB10to13, Tripeptides
from torchmdnet.datasets.comp6v2 import COMP6v2

__all__ = ["ANIMD", "S66X8", "COMP6v1", "COMP6v2", "DrugBank", "GDB07to09", "GDB10to13", "Tripeptides"]
