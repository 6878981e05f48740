"""Train neural-network potentials and serve them to molecular dynamics."""

from importlib.metadata import version

__version__ = version("torchmdnet")
