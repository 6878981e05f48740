"""Energies of the isolated atoms (eV) that go with the ANI and COMP6 data sets, by atomic number."""

from torchmdnet.units import HARTREE_IN_EV

__all__ = ["ANI1CCX_ATOMREF", "ANI1X_ATOMREF", "ANI1_ATOMREF", "ANI2X_ATOMREF"]


def _from_hartree(energies: dict[int, float]) -> dict[int, float]:
    return {z: energy * HARTREE_IN_EV for z, energy in energies.items()}


ANI1_ATOMREF = _from_hartree({1: -0.500607632585, 6: -37.8302333826, 7: -54.5680045287, 8: -75.0362229210})
"""ωB97X/6-31G(d) of single atoms, published with ANI-1; also for COMP6 v1, which has the same level of theory."""

ANI1X_ATOMREF = _from_hartree({1: -0.60095298, 6: -38.08316124, 7: -54.7077577, 8: -75.19446356})
"""Fitted to ANI-1x (ωB97X/6-31G(d))."""

ANI1CCX_ATOMREF = _from_hartree(
    {1: -0.5991501324919538, 6: -38.03750806057356, 7: -54.67448347695333, 8: -75.16043537275567}
)
"""Fitted to ANI-1ccx (CCSD(T)*/CBS)."""

ANI2X_ATOMREF = _from_hartree(
    {
        1: -0.5978583943827134,
        6: -38.08933878049795,
        7: -54.711968298621066,
        8: -75.19106774742086,
        9: -99.80348506781634,
        16: -398.1577125334925,
        17: -460.1681939421027,
    }
)
"""Fitted to ANI-2x (ωB97X/6-31G(d)); also for COMP6 v2."""
