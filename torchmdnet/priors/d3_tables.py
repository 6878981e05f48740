"""The published numbers of D3: those of the elements and of the functionals, from the package tad-dftd3."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from torchmdnet.priors.d3_terms import Damping
from torchmdnet.priors.option_checks import number
from torchmdnet.priors.optional_package import load_optional

__all__ = ["HIGHEST", "ElementTables", "element_tables", "functional_damping"]

HIGHEST = 103
"""Lawrencium is the last element with parameters."""

WANTED = frozenset({"a1", "a2", "s8"})
"""What differs between functionals; s6 and s9 are 1 where nothing is said."""


class ElementTables(NamedTuple):
    """Numbers of the elements by atomic number, in Bohr and Hartree; row 0 is no element.

    Letters in shapes: Z = 104, R = 7 reference systems of an element.
    """

    c6: Tensor
    """Of two reference systems. (Z, Z, R, R)"""
    coordination: Tensor
    """Of each reference system; -1 where an element has fewer. (Z, R)"""
    r4r2: Tensor
    """Root of the quotient of expectation values that gives C8 from C6. (Z,)"""
    covalent: Tensor
    """Covalent radius times 4/3. (Z,)"""
    van_der_waals: Tensor
    """Van der Waals radius of a pair. (Z, Z)"""


def element_tables() -> ElementTables:
    """Read the tables, in float64.

    Raises:
        ModuleNotFoundError: tad-dftd3 is not installed.
    """
    d3 = load_optional("tad_dftd3", package="tad-dftd3", extra="d3", prior="D3")
    radii = load_optional("tad_mctc.data.radii", package="tad-mctc", extra="d3", prior="D3")
    device = torch.device("cpu")
    reference = d3.reference.Reference(dtype=torch.float64, device=device)
    size = HIGHEST + 1
    return ElementTables(
        c6=reference.c6,
        coordination=reference.cn,
        r4r2=d3.data.R4R2(dtype=torch.float64, device=device)[:size],
        covalent=radii.COV_D3(dtype=torch.float64, device=device)[:size],
        van_der_waals=radii.VDW_PAIRWISE(dtype=torch.float64, device=device)[:size, :size],
    )


def functional_damping(functional: str | None, given: Mapping[str, float | None]) -> Damping:
    """Damping of a functional; numbers that are given come before those of the table.

    Raises:
        ModuleNotFoundError: tad-dftd3 is not installed.
        ValueError: neither a functional nor a1, a2 and s8; a functional that the table does not have.
    """
    numbers = {"s6": 1.0, "s9": 1.0}
    chosen = {name: number(value, prior="D3", option=name) for name, value in given.items() if value is not None}
    if not chosen.keys() >= WANTED:
        if functional is None:
            missing = ", ".join(sorted(WANTED - chosen.keys()))
            raise ValueError(
                "D3 needs the functional of the data, as in D3: {functional: pbe}, or a1, a2 (in Bohr) and s8; "
                f"missing: {missing}"
            )
        numbers |= _published(str(functional))
    return Damping(**{name: (numbers | chosen)[name] for name in Damping._fields})


def _published(functional: str) -> dict[str, float]:
    """What the table says of a functional."""
    d3 = load_optional("tad_dftd3", package="tad-dftd3", extra="d3", prior="D3")
    try:
        table = d3.param.get_functional_params(functional, damping="bj", dtype=torch.float64)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"D3 knows no Becke-Johnson damping for the functional '{functional}': take the name that DFT-D3 programs "
            "have, such as pbe, b3lyp, r2scan, wb97m, or give a1, a2 (in Bohr) and s8"
        ) from error
    return {name: float(table[name]) for name in Damping._fields if name in table}
