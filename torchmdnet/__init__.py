"""Train neural-network potentials and serve them to molecular dynamics."""

from importlib.metadata import version

# Files of TorchScript and AOTInductor need the library of native ops, and their readers import no more than this.
from torchmdnet.ops import native as native

__version__ = version("torchmdnet")
