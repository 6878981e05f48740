"""Where a prior takes the charges of atoms from: the batch, or one number an element."""

from collections.abc import Mapping

from torch import Tensor

from torchmdnet.elements import SYMBOLS
from torchmdnet.graph import System
from torchmdnet.priors.base import ExtraArgs
from torchmdnet.priors.option_checks import number

__all__ = ["ElementCharges", "given_charges", "read_charges"]

ElementCharges = Mapping[str | int, float]
"""Charge in e by symbol or atomic number."""


def given_charges(system: System, extra_args: ExtraArgs, *, prior: str) -> Tensor:
    """The field ``partial_charges`` of a batch, e. (N,)

    Raises:
        KeyError: the batch has no such field.
        ValueError: it has another number of atoms.
    """
    if extra_args is None or "partial_charges" not in extra_args:
        raise KeyError(
            f"the prior {prior} needs the charge of each atom: pass extra_args={{'partial_charges': (N,) tensor}}, "
            "or train on a data set that has the field partial_charges"
        )
    charges: Tensor = extra_args["partial_charges"]
    if charges.numel() != system.z.shape[0]:
        raise ValueError(f"{prior}: {charges.numel()} partial charges for {system.z.shape[0]} atoms")
    return charges.reshape(-1).to(system.pos.dtype)


def read_charges(charges: ElementCharges) -> dict[str, float]:
    """Charge by symbol, from charges by symbol or atomic number.

    Raises:
        ValueError: an unknown element, or a charge that is no finite number.
    """
    if not isinstance(charges, Mapping) or not charges:
        raise ValueError(
            f"Ewald: 'charges' must say the charge of each element, as in {{Na: 1.0, Cl: -1.0}}, not {charges!r}"
        )
    known: dict[str, float] = {}
    for element, charge in charges.items():
        text = str(element)
        symbol = SYMBOLS[int(text)] if text.isdigit() and int(text) < len(SYMBOLS) else text
        if symbol not in SYMBOLS[1:]:
            raise ValueError(f"Ewald: 'charges' has {element!r}, which is no element: give symbols or atomic numbers")
        known[symbol] = number(charge, prior="Ewald", option=f"charges: {symbol}")
    return known
