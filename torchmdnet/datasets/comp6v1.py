"""COMP6 v1: the benchmark of ANI-1x, six parts and all of them together."""

from torchmdnet.datasets.ani_atomref import ANI1_ATOMREF
from torchmdnet.datasets.ani_dataset import AniDataset
from torchmdnet.datasets.ani_layout import AniLayout
from torchmdnet.datasets.published import PublishedFile

__all__ = ["ANIMD", "S66X8", "COMP6Part", "COMP6v1", "DrugBank", "GDB07to09", "GDB10to13", "Tripeptides"]

URL = "https://raw.githubusercontent.com/isayev/COMP6/master/COMP6v1"


def _files(folder: str, *names: str) -> tuple[PublishedFile, ...]:
    return tuple(PublishedFile(name, f"{URL}/{folder}/{name}") for name in names)


class COMP6Part(AniDataset):
    """Some files of COMP6 v1: H, C, N, O; ωB97X/6-31G(d). Samples have y and neg_dy.

    What these files call forces points uphill: it is the derivative of the energy, and its sign is turned. Arguments as
    of :class:`~torchmdnet.datasets.ani_dataset.AniDataset`.

    Smith, Nebgen, Lubbers, Isayev, Roitberg, J. Chem. Phys. 148, 241733 (2018), https://doi.org/10.1063/1.5023802.
    """

    layout = AniLayout(z="species", energy="energies", gradients="forces")
    atomref = ANI1_ATOMREF


class ANIMD(COMP6Part):
    """Frames of molecular dynamics of 14 drugs and 2 small proteins; see :class:`COMP6Part`."""

    files = _files("ANI-MD", "ani_md_bench.h5")


class DrugBank(COMP6Part):
    """Drug molecules, displaced along normal modes; see :class:`COMP6Part`."""

    files = _files("DrugBank", "drugbank_testset.h5")


class GDB07to09(COMP6Part):
    """Molecules of 7 to 9 heavy atoms from GDB-11, displaced; see :class:`COMP6Part`."""

    files = _files("GDB07to09", "gdb11_07_test500.h5", "gdb11_08_test500.h5", "gdb11_09_test500.h5")


class GDB10to13(COMP6Part):
    """Molecules of 10 to 13 heavy atoms from GDB-11 and GDB-13, displaced; see :class:`COMP6Part`."""

    files = _files(
        "GDB10to13",
        "gdb11_10_test500.h5",
        "gdb11_11_test500.h5",
        "gdb13_12_test1000.h5",
        "gdb13_13_test1000.h5",
    )


class Tripeptides(COMP6Part):
    """Random tripeptides, displaced; see :class:`COMP6Part`."""

    files = _files("Tripeptides", "tripeptide_full.h5")


class S66X8(COMP6Part):
    """The 66 dimers of S66, each at 8 distances; see :class:`COMP6Part`."""

    files = _files("s66x8", "s66x8_wb97x6-31gd.h5")


class COMP6v1(COMP6Part):
    """The six parts one after the other, in the order of this file; see :class:`COMP6Part`."""

    files = (
        *ANIMD.files,
        *DrugBank.files,
        *GDB07to09.files,
        *GDB10to13.files,
        *Tripeptides.files,
        *S66X8.files,
    )
