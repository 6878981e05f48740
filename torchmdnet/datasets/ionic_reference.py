"""Energy of a molecule taken apart into free atoms and ions that carry its charge together."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from torchmdnet.datasets.validation import DatasetError
from torchmdnet.units import HARTREE_IN_EV

__all__ = ["ION_ENERGIES", "ionic_reference"]

ION_ENERGIES: Mapping[int, Mapping[int, float]] = {
    z: {charge: energy * HARTREE_IN_EV for charge, energy in ions.items()}
    for z, ions in {
        1: {0: -0.5013312007, 1: 0.0},
        6: {-1: -37.8236383010, 0: -37.8038423252, 1: -37.3826165878},
        7: {-1: -54.4626446440, 0: -54.5269367415, 1: -53.9895574739},
        8: {-1: -74.9699154500, 0: -74.9812632126, 1: -74.4776884006},
        9: {-1: -99.6695561536, 0: -99.6185158728},
    }.items()
}
"""Energy (eV) of free atoms and ions by atomic number and charge, at the level of theory of QM9q."""


def ionic_reference(numbers: Sequence[int], charge: int, *, where: str) -> float:
    """Energy (eV) of the free atoms and ions of a molecule.

    Each atom begins as its ion of lowest energy; then, as long as the charges do not add up to the molecule's, the
    atom is changed by one charge for which that costs least.

    Args:
        numbers: atomic numbers. (a,)
        charge: of the molecule, e.
        where: name of the molecule for messages.

    Raises:
        DatasetError: an element has no reference, or its ions cannot carry the charge.
    """
    unknown = sorted({int(z) for z in numbers} - ION_ENERGIES.keys())
    if unknown:
        raise DatasetError(
            f"{where}: atomic numbers {unknown} have no reference energy; QM9q has only H, C, N, O and F"
        )
    energy = _distribute(tuple(sorted(int(z) for z in numbers)), charge)
    if energy is None:
        raise DatasetError(f"{where}: its atoms cannot carry a charge of {charge} e together, each at most one")
    return energy


@lru_cache(maxsize=1 << 16)
def _distribute(numbers: tuple[int, ...], charge: int) -> float | None:
    charges = [min(ION_ENERGIES[z], key=ION_ENERGIES[z].__getitem__) for z in numbers]
    step = 1 if charge > sum(charges) else -1
    while sum(charges) != charge:
        costs = {
            ION_ENERGIES[z][q + step] - ION_ENERGIES[z][q]: atom
            for atom, (z, q) in enumerate(zip(numbers, charges, strict=True))
            if q + step in ION_ENERGIES[z]
        }
        if not costs:
            return None
        charges[costs[min(costs)]] += step
    return sum(ION_ENERGIES[z][q] for z, q in zip(numbers, charges, strict=True))
