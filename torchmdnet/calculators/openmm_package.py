"""OpenMM, an optional package: the module that imports it for the others, and says how to install it."""

import importlib.util

if importlib.util.find_spec("openmm") is None:
    raise ModuleNotFoundError(
        "the calculators for OpenMM need the package openmm: pip install 'torchmdnet[openmm]'", name="openmm"
    )

import openmm
from openmm import app, unit

__all__ = ["app", "openmm", "unit"]
