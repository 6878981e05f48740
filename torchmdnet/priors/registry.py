"""Find a prior by the name that a configuration gives it."""

import difflib
import importlib

from torchmdnet.priors.atomref import Atomref
from torchmdnet.priors.base import BasePrior
from torchmdnet.priors.coulomb import Coulomb
from torchmdnet.priors.d2 import D2
from torchmdnet.priors.learnable_atomref import LearnableAtomref
from torchmdnet.priors.zbl import ZBL

__all__ = ["PRIORS", "resolve_prior"]

PRIORS: dict[str, type[BasePrior]] = {
    "Atomref": Atomref,
    "LearnableAtomref": LearnableAtomref,
    "ZBL": ZBL,
    "D2": D2,
    "Coulomb": Coulomb,
}


def resolve_prior(name: str) -> type[BasePrior]:
    """Return the prior of that name: one of ``PRIORS``, or a class of your own by its import path, ``module.Class``.

    Raises:
        ValueError: no such prior, module or class.
        TypeError: the class is not a :class:`~torchmdnet.priors.base.BasePrior`.
    """
    if name in PRIORS:
        return PRIORS[name]
    module_name, _, class_name = name.rpartition(".")
    if not module_name:
        by_lower_case = {known.lower(): known for known in PRIORS}
        near = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.4)
        hint = f"; did you mean '{by_lower_case[near[0]]}'?" if near else "."
        raise ValueError(
            f"'{name}' is not a prior{hint} Known: {', '.join(PRIORS)}; "
            "a prior of your own is named by its import path, such as my_module.MyPrior"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the prior '{name}' cannot be imported: {error}; is its folder on PYTHONPATH or its package installed?"
        ) from error
    except AttributeError as error:
        raise ValueError(f"the prior '{name}' does not exist: module '{module_name}' has no '{class_name}'") from error
    if not (isinstance(found, type) and issubclass(found, BasePrior)):
        raise TypeError(f"the prior '{name}' must be a class derived from torchmdnet.priors.BasePrior, not {found!r}")
    return found
