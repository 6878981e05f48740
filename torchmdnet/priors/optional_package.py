"""Packages that only some priors need: extras of this package, imported when such a prior is made."""

import importlib
from types import ModuleType

__all__ = ["load_optional"]


def load_optional(module: str, *, package: str, extra: str, prior: str) -> ModuleType:
    """Import what a prior needs, so that all others work without it.

    Args:
        module: what is imported.
        package: the distribution that holds it.
        extra: the extra of torchmdnet that installs it.
        prior: who asks.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise  # the package is there, and misses something itself
        raise ModuleNotFoundError(
            f"the prior {prior} needs the package {package}: pip install 'torchmdnet[{extra}]'", name=error.name
        ) from error
