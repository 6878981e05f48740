"""Which names in a file hold the energy, the forces and so on: told by the user, or recognised if unambiguous."""

from collections.abc import Iterable
from typing import NamedTuple

from torchmdnet.datasets.validation import DatasetError

__all__ = ["KNOWN_NAMES", "LEAVE_OUT", "FoundNames", "LabelKeys", "NameFinder"]


def _with_prefixes(*names: str) -> tuple[str, ...]:
    return tuple(prefix + name for prefix in ("", "ref_", "dft_") for name in names)


KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "energy": (*_with_prefixes("energy", "total_energy", "potential_energy"), "totenergy"),
    "forces": _with_prefixes("forces", "force"),
    "stress": _with_prefixes("stress"),
    "virial": _with_prefixes("virial", "virials"),
    "charge": ("charge", "total_charge", "net_charge", "q"),
    "spin": ("spin", "total_spin", "spin_multiplicity", "multiplicity"),
    "dipole": _with_prefixes("dipole"),
    "partial_charges": ("partial_charges", "charges", "charge", "atomic_charges"),
}
"""Names recognised for each quantity, in lower case."""

PER_ATOM = ("forces", "partial_charges")
SWITCHED_OFF = "none"
LEAVE_OUT = "its key set to none, such as stress_key: none, leaves it out"
"""Advice for messages."""


class LabelKeys(NamedTuple):
    """Names given by the user; None: recognise it; "none": leave the quantity out."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    charge: str | None = None
    spin: str | None = None
    dipole: str | None = None
    partial_charges: str | None = None


class FoundNames(NamedTuple):
    """Name under which each quantity stands in a frame; None if it is not there."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    charge: str | None = None
    spin: str | None = None
    dipole: str | None = None
    partial_charges: str | None = None


class NameFinder:
    """Finds the quantities of one frame after the other, and insists that each has one name in all of them.

    Raises:
        DatasetError: two names would do for one quantity.
    """

    def __init__(self, keys: LabelKeys, *, dataset: str) -> None:
        # "None" in quotes is the word too
        self._keys = LabelKeys(
            *(SWITCHED_OFF if key is not None and key.lower() == SWITCHED_OFF else key for key in keys)
        )
        self._dataset = dataset
        self._known: dict[tuple[frozenset[str], frozenset[str]], FoundNames] = {}
        self._used: dict[str, str] = {}
        self._unmet = {
            quantity: key for quantity, key in self._keys._asdict().items() if key not in (None, SWITCHED_OFF)
        }
        self._seen: set[str] = set()

    def is_per_atom(self, name: str) -> bool:
        """Whether an array of this name with a row an atom is a quantity of the atoms."""
        given = (self._keys.forces, self._keys.partial_charges)
        return name in given or any(name.lower() in KNOWN_NAMES[quantity] for quantity in PER_ATOM)

    def check_given_names(self) -> None:
        """After all frames: every name that the user gave must have occurred, and something to train on.

        Raises:
            DatasetError: one did not.
        """
        for quantity, key in self._unmet.items():
            raise DatasetError(
                f"{self._dataset}: {quantity}_key: no frame has {key!r}; names found: {_listed(frozenset(self._seen))}"
            )
        if self._known and all(found == FoundNames() for found in self._known.values()):
            raise DatasetError(
                f"{self._dataset}: no energy or forces recognised among the names {_listed(frozenset(self._seen))}; "
                "say which to use with energy_key, forces_key, ... in dataset_arg"
            )

    def find(self, frame_names: Iterable[str], atom_names: Iterable[str], *, where: str) -> FoundNames:
        """Names of the quantities among those of a frame and those of its atoms."""
        names = (frozenset(frame_names), frozenset(atom_names))
        if names not in self._known:
            self._known[names] = self._look(*names, where=where)
        return self._known[names]

    def _look(self, frame_names: frozenset[str], atom_names: frozenset[str], *, where: str) -> FoundNames:
        self._seen |= frame_names | atom_names
        found: dict[str, str | None] = {}
        for quantity, key in self._keys._asdict().items():
            names = atom_names if quantity in PER_ATOM else frame_names
            found[quantity] = self._pick(quantity, key, names, where=where)
        # Given by the user, one of the two speaks for both
        if self._keys.virial not in (None, SWITCHED_OFF) and self._keys.stress is None:
            found["stress"] = None
        if self._keys.stress not in (None, SWITCHED_OFF) and self._keys.virial is None:
            found["virial"] = None
        return FoundNames(**found)

    def _pick(self, quantity: str, key: str | None, names: frozenset[str], *, where: str) -> str | None:
        if key == SWITCHED_OFF:
            return None
        if key is not None:
            if key in names:
                self._unmet.pop(quantity, None)
            return key if key in names else None
        matches = sorted(name for name in names if name.lower() in KNOWN_NAMES[quantity])
        if matches and self._used.setdefault(quantity, matches[0]) != matches[0]:
            matches.append(self._used[quantity])
        if len(matches) > 1:
            raise DatasetError(
                f"{self._dataset}: {where}: the {quantity} could be any of {_listed(frozenset(matches))}; "
                f"say which in dataset_arg, for example {quantity}_key: {matches[0]}"
            )
        return matches[0] if matches else None


def _listed(names: frozenset[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
