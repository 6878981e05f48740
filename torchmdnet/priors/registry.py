"""Find a prior by the name that a configuration gives it."""

import difflib
import inspect

from torchmdnet.import_path import import_class
from torchmdnet.priors.atomref import Atomref
from torchmdnet.priors.base import BasePrior
from torchmdnet.priors.coulomb import Coulomb
from torchmdnet.priors.d2 import D2
from torchmdnet.priors.d3 import D3
from torchmdnet.priors.ewald import Ewald
from torchmdnet.priors.learnable_atomref import LearnableAtomref
from torchmdnet.priors.zbl import ZBL

__all__ = ["PRIORS", "resolve_prior"]

PRIORS: dict[str, type[BasePrior]] = {
    "Atomref": Atomref,
    "LearnableAtomref": LearnableAtomref,
    "ZBL": ZBL,
    "D2": D2,
    "D3": D3,
    "Coulomb": Coulomb,
    "Ewald": Ewald,
}


def resolve_prior(name: str) -> type[BasePrior]:
    """Return the prior of that name: one of ``PRIORS``, or a class of your own by its import path, ``module.Class``.

    A module is looked for as Python does, and then in the working folder.

    Raises:
        ValueError: no such prior, module or class.
        TypeError: the class is not a :class:`~torchmdnet.priors.base.BasePrior`, or could not be made again from a
            checkpoint.
    """
    if name in PRIORS:
        return PRIORS[name]
    if "." not in name:
        by_lower_case = {known.lower(): known for known in PRIORS}
        near = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.4)
        hint = f"; did you mean '{by_lower_case[near[0]]}'?" if near else "."
        raise ValueError(
            f"'{name}' is not a prior{hint} Known: {', '.join(PRIORS)}; "
            "a prior of your own is named by its import path, such as my_module.MyPrior"
        )
    found = import_class(name, kind="prior")
    if not issubclass(found, BasePrior):
        raise TypeError(f"the prior '{name}' must be a class derived from torchmdnet.priors.BasePrior, not {found!r}")
    _check_can_be_made_again(name, found)
    return found


def _check_can_be_made_again(name: str, prior: type[BasePrior]) -> None:
    """Refuse a class whose options a checkpoint would lose."""
    parameters = inspect.signature(prior).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if "dataset" not in parameters and not takes_any:
        raise TypeError(f"the prior '{name}' must accept the keyword 'dataset', which is None when a model is loaded")
    options = [key for key, value in parameters.items() if key != "dataset" and value.kind is not value.VAR_KEYWORD]
    if options and prior.get_init_args is BasePrior.get_init_args:
        raise TypeError(
            f"the prior '{name}' has the option '{options[0]}' and no get_init_args(), which says what a checkpoint "
            "stores: define it to return the options as a dictionary"
        )
