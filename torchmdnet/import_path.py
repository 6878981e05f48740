"""A class that a user has written, by its import path, ``module.Class``."""

import importlib
import os
import sys
from importlib.machinery import PathFinder
from types import ModuleType

__all__ = ["import_class"]


def import_class(name: str, *, kind: str) -> type:
    """The class that ``name`` leads to.

    A module is looked for as Python does, and then in the working folder.

    Args:
        name: ``module.Class`` or ``package.module.Class``.
        kind: what it is to be, for messages: "data set".

    Raises:
        ValueError: no such module, or nothing of that name in it.
        TypeError: it is not a class.
    """
    module_name, _, class_name = name.rpartition(".")
    try:
        found = getattr(_import(module_name), class_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the {kind} '{name}' cannot be imported: {error}; install its package, start in its folder, or put that "
            "on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise ValueError(f"the {kind} '{name}' does not exist: module '{module_name}' has no '{class_name}'") from error
    if not isinstance(found, type):
        raise TypeError(f"the {kind} '{name}' must be a class, not {found!r}")
    return found


def _import(module_name: str) -> ModuleType:
    """Import a module, which may lie in the working folder: installed commands do not look there by themselves."""
    top, folder = module_name.split(".")[0], os.getcwd()
    is_new = top not in sys.modules and PathFinder.find_spec(top) is None
    if is_new and PathFinder.find_spec(top, [folder]) is not None:
        sys.path.append(folder)
    return importlib.import_module(module_name)
