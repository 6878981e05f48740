"""Records of SDF files, written column by column."""

from collections.abc import Mapping, Sequence

Atom = tuple[str, tuple[float, float, float]]

WATER_SDF: list[Atom] = [("O", (0.0, 0.0, 0.0)), ("H", (0.96, 0.0, 0.0)), ("H", (-0.24, 0.93, 0.0))]


def sdf_record(atoms: Sequence[Atom], *, title: str = "", items: Mapping[str, str] | None = None) -> str:
    """One V2000 record without bonds."""
    lines = [title, "  written by a test", "", f"{len(atoms):3d}  0  0  0  0  0  0  0  0  0999 V2000"]
    lines += [f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol:<3} 0  0  0  0  0  0" for symbol, (x, y, z) in atoms]
    lines += ["M  END"]
    for name, value in (items or {}).items():
        lines += [f">  <{name}>", value, ""]
    return "\n".join([*lines, "$$$$", ""])
